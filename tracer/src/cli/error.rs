//! Errors on their way to the shell: one line, and an exit code.

use std::process::ExitCode;

use crate::{model::FilterError, path::PathError, predict::PredictError, trace::TraceError};

/// The exit codes of the interface contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All well.
    Ok = 0,
    /// It could not be done.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// An assertion or threshold failed.
    Failed = 3,
    /// Too much was untracked or missed by the tracer.
    Inconclusive = 4,
    /// No matching traffic was seen.
    NoTraffic = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends early. Its text is one line that says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The trace cannot begin.
    #[error("{0}")]
    Trace(#[from] TraceError),
    /// The filter makes no sense.
    #[error("{0}")]
    Filter(#[from] FilterError),
    /// stdout cannot be written; a closed pipe is no error to tell about.
    #[error("cannot write the result: {0}")]
    Output(#[from] std::io::Error),
    /// Anything else, with its exit code.
    #[error("{message}")]
    Other {
        /// One line.
        message: String,
        /// The exit code.
        exit: Exit,
    },
}

impl CliError {
    /// An error of any kind with exit code 1; its text should say what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self::with_exit(Exit::Error, message)
    }

    /// An error with an exit code of its own.
    pub fn with_exit(exit: Exit, message: impl Into<String>) -> Self {
        Self::Other { message: message.into(), exit }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Trace(
                TraceError::Path(PathError::Empty)
                | TraceError::Predict(PredictError::NoDestination)
                | TraceError::OnePortOnly { .. },
            )
            | Self::Filter(_) => Exit::Usage,
            Self::Other { exit, .. } => *exit,
            Self::Trace(_) | Self::Output(_) => Exit::Error,
        }
    }

    /// Whether there is anybody to tell.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PacketFilter;

    #[test]
    fn a_wrong_filter_is_a_usage_error_of_one_line() {
        let error = CliError::from(PacketFilter::from_words(&["arp", "and", "port", "53"]).unwrap_err());
        assert_eq!(error.exit(), Exit::Usage);
        assert_eq!(error.to_string(), "filter: no packet could match `arp and port 53`: ARP has no ports");
    }
}
