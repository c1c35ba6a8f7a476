//! Quantiles of times.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

/// As shares of all times.
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// Longer times count as this one.
const LONGEST: Duration = Duration::from_secs(10);
/// Decimal digits that are kept of a time.
const DIGITS: u8 = 3;

/// Many times, of which each is known to a thousandth of itself.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Result<Self> {
        let longest_ns = u64::try_from(LONGEST.as_nanos())?;
        Ok(Self(Histogram::new_with_bounds(1, longest_ns, DIGITS).context("make a histogram")?))
    }

    pub(crate) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Each of [`QUANTILES`], in nanoseconds; 0 of nothing.
    #[allow(clippy::cast_precision_loss, reason = "seconds at most")]
    pub(crate) fn quantiles_ns(&self) -> [f64; QUANTILES.len()] {
        QUANTILES.map(|quantile| self.0.value_at_quantile(quantile) as f64)
    }
}
