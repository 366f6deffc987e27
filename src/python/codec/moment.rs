//! Python's `datetime` from and to the msgpack timestamp.

use pyo3::prelude::*;
use pyo3::types::{PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTimeAccess, PyTzInfo, PyTzInfoAccess};

use crate::calendar::{civil, days_since_epoch};
use crate::wire::msgpack::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The moment a `datetime` stands for; without a time zone it is taken as UTC, as the released PyGaSe does.
///
/// None if it lies outside of the years 1 to 9999 in UTC.
pub(super) fn to_timestamp(value: &Bound<'_, PyDateTime>) -> PyResult<Option<Timestamp>> {
    let days = days_since_epoch(value.get_year().into(), value.get_month().into(), value.get_day().into());
    let time = (i64::from(value.get_hour()) * 60 + i64::from(value.get_minute())) * 60;
    let seconds = days * SECONDS_PER_DAY + time + i64::from(value.get_second());
    let mut micros = seconds * MICROS_PER_SECOND + i64::from(value.get_microsecond());
    if value.get_tzinfo().is_some() {
        let offset = value.call_method0("utcoffset")?;
        if let Ok(offset) = offset.cast::<PyDelta>() {
            let seconds = i64::from(offset.get_days()) * SECONDS_PER_DAY + i64::from(offset.get_seconds());
            micros -= seconds * MICROS_PER_SECOND + i64::from(offset.get_microseconds());
        }
    }
    let nanoseconds = micros.rem_euclid(MICROS_PER_SECOND) as u32 * 1000;
    Ok(Timestamp::new(micros.div_euclid(MICROS_PER_SECOND), nanoseconds))
}

/// A moment as a `datetime` in UTC.
pub(super) fn from_timestamp(py: Python<'_>, value: Timestamp) -> PyResult<Bound<'_, PyDateTime>> {
    let (year, month, day) = civil(value.seconds().div_euclid(SECONDS_PER_DAY));
    let second = value.seconds().rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let utc = PyTzInfo::utc(py)?;
    PyDateTime::new(
        py,
        year as i32,
        month as u8,
        day as u8,
        hour as u8,
        minute as u8,
        second as u8,
        value.nanoseconds() / 1000,
        Some(&utc),
    )
}
