//! What is expected of a figure.

use serde::Serialize;

use super::output::{CommonOptions, rounded};

/// A figure beside its limit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bar {
    name: &'static str,
    figure: f64,
    limit: f64,
    holds: bool,
}

impl Bar {
    /// `figure` must not be above `limit`.
    pub(crate) fn at_most(name: &'static str, figure: f64, limit: f64) -> Self {
        Self { name, figure: rounded(figure, 3), limit, holds: figure <= limit }
    }

    /// `figure` must not be below `limit`.
    pub(crate) fn at_least(name: &'static str, figure: f64, limit: f64) -> Self {
        Self { name, figure: rounded(figure, 3), limit, holds: figure >= limit }
    }
}

pub(crate) fn show(output: &CommonOptions, bars: &[Bar]) {
    for Bar { name, figure, limit, holds } in bars {
        let verdict = if *holds { "holds" } else { "DOES NOT HOLD" };
        output.show(&format!("bar: {name}: {figure:.3}, limit {limit}: {verdict}"));
    }
}
