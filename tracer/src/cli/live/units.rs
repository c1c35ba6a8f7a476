//! Times, rates and shares as they are given on the command line.

use std::time::Duration;

use hoptrace_common::address::is_group;

use crate::model::{LONGEST_TIMEOUT, MacAddr, PARTS_PER_MILLION, ParseMacError};

/// Seconds, or a number with its unit; more than 0.
pub(in crate::cli) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(time) }
}

/// Ten milliseconds at least, [`LONGEST_TIMEOUT`] at most.
pub(in crate::cli) fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    let allowed = Duration::from_millis(10)..=LONGEST_TIMEOUT;
    if allowed.contains(&time) { Ok(time) } else { Err("must be between 10ms and 4s".to_owned()) }
}

/// How often something is told: often enough to be live, seldom enough to be read.
pub(in crate::cli) fn parse_interval(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    let allowed = Duration::from_millis(100)..=Duration::from_hours(1);
    if allowed.contains(&time) { Ok(time) } else { Err("must be between 100ms and 1h".to_owned()) }
}

/// A time that others are compared with, in nanoseconds; 0 is one.
pub(in crate::cli) fn parse_threshold_ns(text: &str) -> Result<u64, String> {
    u64::try_from(parse_duration(text)?.as_nanos()).map_err(|_| "too long".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic());
    let (scale, unit) = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => (1.0, "s"),
        "ms" => (1e-3, "ms"),
        "us" | "µs" => (1e-6, "us"),
        "ns" => (1e-9, "ns"),
        "m" => (60.0, "m"),
        "h" => (3600.0, "h"),
        other => return Err(format!("no unit of time: {other} (ns, us, ms, s, m or h)")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("no number before the unit {unit}"))?;
    Duration::try_from_secs_f64(number * scale)
        .map_err(|_| "must be 0 or more, and less than an age".to_owned())
}

/// A MAC address that a port can have: not a group's, not 0.
pub(in crate::cli) fn parse_mac(text: &str) -> Result<MacAddr, String> {
    let mac: MacAddr = text.parse().map_err(|error: ParseMacError| error.to_string())?;
    if mac.as_number() == 0 || is_group(mac.as_number()) {
        return Err("must be the address of one interface, not of a group".to_owned());
    }
    Ok(mac)
}

/// `1:100`: one packet of so many.
pub(in crate::cli) fn parse_sample(text: &str) -> Result<u32, String> {
    text.strip_prefix("1:")
        .and_then(|number| number.parse().ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| "must be 1:N, as 1:100 for one packet of a hundred".to_owned())
}

/// `0.1%`, in parts per million.
pub(in crate::cli) fn parse_share_ppm(text: &str) -> Result<u32, String> {
    parse_ppm(text, 0.001, 50.0)
}

/// `1%` of one CPU's time, in parts per million.
pub(in crate::cli) fn parse_cost_ppm(text: &str) -> Result<u32, String> {
    parse_ppm(text, 0.01, 100.0)
}

fn parse_ppm(text: &str, least_pct: f64, most_pct: f64) -> Result<u32, String> {
    let pct: f64 =
        text.trim_end_matches('%').parse().map_err(|_| "must be a share in percent, as 0.1%".to_owned())?;
    if !(least_pct..=most_pct).contains(&pct) {
        return Err(format!("must be between {least_pct}% and {most_pct}%"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no more than a million")]
    Ok((pct / 100.0 * f64::from(PARTS_PER_MILLION)).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_one_interface() {
        assert_eq!(
            parse_mac("00:00:5e:00:01:33").map(|mac| mac.to_string()),
            Ok("00:00:5e:00:01:33".to_owned())
        );
        for wrong in
            ["", "00:00:5e:00:01", "01:00:5e:00:00:12", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "tap0"]
        {
            assert!(parse_mac(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_time("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "s", "0", "-1", "1d", "nan", "1e400", "5 s"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert!(parse_timeout("5s").is_err() && parse_timeout("1ms").is_err() && parse_timeout("4s").is_ok());
        assert!(parse_interval("0.1").is_ok() && parse_interval("1h").is_ok());
        assert!(parse_interval("99ms").is_err() && parse_interval("1e9h").is_err());
    }

    #[test]
    fn thresholds_are_exact_to_the_nanosecond() {
        for (text, ns) in [
            ("0", 0),
            ("1ns", 1),
            ("200us", 200_000),
            ("200µs", 200_000),
            ("1.5ms", 1_500_000),
            ("1h", 3_600_000_000_000),
        ] {
            assert_eq!(parse_threshold_ns(text), Ok(ns), "{text}");
        }
        assert!(parse_threshold_ns("-1us").is_err() && parse_threshold_ns("1e300h").is_err());
    }

    #[test]
    fn samples_and_shares() {
        assert_eq!((parse_sample("1:100"), parse_sample("1:1")), (Ok(100), Ok(1)));
        for bad in ["", "100", "1:0", "2:100", "1:-1", "1:x"] {
            assert!(parse_sample(bad).is_err(), "{bad}");
        }
        assert_eq!((parse_share_ppm("0.1%"), parse_share_ppm("5")), (Ok(1_000), Ok(50_000)));
        for bad in ["", "%", "0%", "51%", "nan"] {
            assert!(parse_share_ppm(bad).is_err(), "{bad}");
        }
    }
}
