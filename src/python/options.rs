//! What users may set, from a dict of names to the structs of the core.
//!
//! Names, types and ranges are checked in `pygase.options`; here a value that cannot be used is an error all the same.

use std::time::Duration;

use pyo3::{exceptions::PyTypeError, prelude::*, types::PyDict};

use crate::{connection::Config, endpoint::ServerConfig, net::Line, netsim::Conditions};

/// What a server may be told.
pub(super) fn server_config(options: Option<&Bound<'_, PyDict>>) -> PyResult<ServerConfig> {
    let mut config = ServerConfig::default();
    for (name, value) in options.into_iter().flatten() {
        match &*name.extract::<String>()? {
            "max_connections" => config.max_connections = value.extract()?,
            "idle_removal" => config.idle_removal = seconds(&value)?,
            "max_unproven" => config.max_unproven = value.extract()?,
            "max_connections_per_source" => config.max_connections_per_source = value.extract()?,
            "max_new_per_source" => config.max_new_per_source = value.extract()?,
            "max_package_rate" => config.max_package_rate = value.extract()?,
            "max_event_rate" => config.max_event_rate = value.extract()?,
            "max_bans" => config.max_bans = value.extract()?,
            "host_shutdown" => config.host_shutdown = value.extract()?,
            name => set(&mut config.connection, name, &value)?,
        }
    }
    Ok(config)
}

/// Changes what `options` has of a connection.
pub(super) fn configure(config: &mut Config, options: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    for (name, value) in options.into_iter().flatten() {
        set(config, &name.extract::<String>()?, &value)?;
    }
    Ok(())
}

/// How many shards `options` ask for.
pub(super) fn shards(options: Option<&Bound<'_, PyDict>>) -> PyResult<usize> {
    let given = options.map(|options| options.get_item("shards")).transpose()?.flatten();
    given.map_or(Ok(1), |shards| shards.extract())
}

/// The line that `options` put a socket behind.
pub(super) fn line(options: Option<&Bound<'_, PyDict>>) -> PyResult<Option<Line>> {
    let Some(given) = options.map(|options| options.get_item("conditions")).transpose()?.flatten() else {
        return Ok(None);
    };
    let (conditions, seed) = conditions(given.cast()?)?;
    Ok(Some(Line::new(conditions, seed)))
}

/// The fields of `pygase.conditions.Conditions`, and the seed.
pub(super) fn conditions(fields: &Bound<'_, PyDict>) -> PyResult<(Conditions, u64)> {
    let (mut conditions, mut seed) = (Conditions::default(), 0);
    for (name, value) in fields {
        match &*name.extract::<String>()? {
            "latency" => conditions.latency = seconds(&value)?,
            "jitter" => conditions.jitter = seconds(&value)?,
            "loss" => conditions.loss = value.extract()?,
            "duplicate" => conditions.duplicate = value.extract()?,
            "reorder" => conditions.reorder = value.extract()?,
            "rate" => conditions.rate = value.extract()?,
            "seed" => seed = value.extract()?,
            name => return Err(PyTypeError::new_err(format!("conditions have no {name:?}"))),
        }
    }
    Ok((conditions, seed))
}

fn set(config: &mut Config, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match name {
        "connection_timeout" => config.timeout = seconds(value)?,
        "package_timeout" => config.package_timeout = seconds(value)?,
        "interval_good" => config.interval_good = seconds(value)?,
        "interval_bad" => config.interval_bad = seconds(value)?,
        "latency_threshold" => config.latency_threshold = value.extract()?,
        "min_throttle_time" => config.min_throttle_time = value.extract()?,
        "max_throttle_time" => config.max_throttle_time = value.extract()?,
        "max_waiting_events" => config.max_waiting_events = value.extract()?,
        "max_waiting_bytes" => config.max_waiting_bytes = value.extract()?,
        "max_event_depth" => config.max_event_depth = value.extract()?,
        "max_event_values" => config.max_event_values = value.extract()?,
        "package_size" => config.package_size = value.extract()?,
        "prompt_events" => config.prompt_events = value.extract()?,
        "ordered_events" => config.ordered_events = value.extract()?,
        // Of the socket, not of the connection: see `line`.
        "conditions" | "shards" => {}
        _ => return Err(PyTypeError::new_err(format!("there is no option {name:?}"))),
    }
    Ok(())
}

fn seconds(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = value.extract()?;
    Duration::try_from_secs_f64(seconds).map_err(|error| PyTypeError::new_err(error.to_string()))
}
