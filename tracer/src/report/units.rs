//! Numbers for people: three digits and a unit.

use std::time::Duration;

/// `842 ns`, `12.3 µs`, `1.24 ms`, `60.0 s`.
pub(super) fn nanoseconds(ns: u64) -> String {
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let ns = ns as f64;
    [(1e3, "µs"), (1e6, "ms")]
        .into_iter()
        .find_map(|(scale, unit)| Some(format!("{} {unit}", three_digits(ns / scale)?)))
        .unwrap_or_else(|| {
            let s = ns / 1e9;
            three_digits(s).map_or_else(|| format!("{s:.0} s"), |digits| format!("{digits} s"))
        })
}

/// A count in at most five columns: exact below 10,000, else with a decimal multiple.
pub(super) fn short_count(count: u64) -> String {
    if count < 10_000 {
        return count.to_string();
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let count = count as f64;
    ["k", "M", "G", "T", "P", "E"]
        .into_iter()
        .zip(1..)
        .find_map(|(unit, power)| Some(format!("{}{unit}", three_digits(count / 1e3_f64.powi(power))?)))
        .unwrap_or_else(|| format!("{count:.2e}"))
}

/// Bytes in binary multiples.
pub(super) fn bytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let kib = bytes as f64 / 1024.0;
    if kib < 1024.0 { format!("{kib:.0} KiB") } else { format!("{:.1} MiB", kib / 1024.0) }
}

/// `5.0 s`, and from two minutes on `2 min 05 s`.
pub(super) fn duration(duration: Duration) -> String {
    let s = duration.as_secs();
    if s < 120 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", s / 60, s % 60)
    }
}

/// Three digits of a number below 1000, as it reads after rounding; `None` for larger ones.
fn three_digits(number: f64) -> Option<String> {
    match number {
        ..9.995 => Some(format!("{number:.2}")),
        9.995..99.95 => Some(format!("{number:.1}")),
        99.95..999.5 => Some(format!("{number:.0}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_read_with_three_digits() {
        for (ns, text) in [
            (0, "0 ns"),
            (842, "842 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (9_996, "10.0 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_240_000, "1.24 ms"),
            (999_999_999, "1.00 s"),
            (60_000_000_000, "60.0 s"),
            (5_000_000_000_000, "5000 s"),
            (u64::MAX, "18446744074 s"),
        ] {
            assert_eq!(nanoseconds(ns), text);
        }
    }

    #[test]
    fn other_units() {
        assert_eq!([0, 9_999, 10_000, 999_600].map(short_count), ["0", "9999", "10.0k", "1.00M"]);
        assert_eq!(short_count(u64::MAX), "18.4E");
        assert_eq!([0, 2_048, 12_900_000].map(bytes), ["0 KiB", "2 KiB", "12.3 MiB"]);
        assert_eq!(
            [5_040, 119_940, 125_000].map(|ms| duration(Duration::from_millis(ms))),
            ["5.0 s", "119.9 s", "2 min 05 s"]
        );
    }
}
