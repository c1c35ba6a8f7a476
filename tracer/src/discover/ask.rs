//! Asking one source: bounded in time, and whatever comes of it noted.

use std::{
    fmt::Display,
    future::Future,
    time::{Duration, Instant},
};

use crate::model::{SourceName, SourceStatus};

/// How long a source may take before the others go on without it.
pub const SOURCE_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Awaits a source's answer, at most [`SOURCE_TIME_LIMIT`]; gives the answer or the default, and what came of it.
pub(super) async fn ask<T: Default, E: Display>(
    name: SourceName,
    asked: String,
    answer: impl Future<Output = Result<T, E>>,
) -> (T, SourceStatus) {
    let start = Instant::now();
    let (value, missing) = match tokio::time::timeout(SOURCE_TIME_LIMIT, answer).await {
        Ok(Ok(value)) => (value, None),
        Ok(Err(error)) => (T::default(), Some(error.to_string())),
        Err(_) => (T::default(), Some(format!("no answer within {} s", SOURCE_TIME_LIMIT.as_secs()))),
    };
    (value, SourceStatus { name, asked, missing, notes: Vec::new(), took: start.elapsed() })
}
