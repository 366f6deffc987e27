//! Python's `datetime` from and to the msgpack timestamp.

use pyo3::prelude::*;
use pyo3::types::{PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTimeAccess, PyTzInfo, PyTzInfoAccess};

use crate::wire::msgpack::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// The Gregorian calendar repeats after 400 years of so many days.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01, where the eras begin, to 1970-01-01.
const EPOCH: i64 = 719_468;

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

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day ends them.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH
}

/// The year, month and day that lie so many days after 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{civil, days_since_epoch};

    #[test]
    fn every_day_of_the_calendar_comes_back() {
        let (first, last) = (days_since_epoch(1, 1, 1), days_since_epoch(9999, 12, 31));
        assert_eq!((first, last), (-719_162, 2_932_896));
        let mut before = (0, 12, 31);
        for days in first..=last {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_epoch(year, month, day), days);
            assert!((year, month, day) > before && (1..=12).contains(&month) && (1..=31).contains(&day));
            before = (year, month, day);
        }
    }
}
