//! The engine: one trace, from the names of VMs to their report. It wires the stages together, and knows neither a terminal nor a command
//! line: every frontend sees [`Tracer`], [`Event`] and [`Report`](crate::model::Report) only.

mod beside;
mod ending;
mod error;
mod host;
mod note;
mod options;
mod predict;
mod prepare;
mod session;
mod survey;
mod targets;
mod traced;
mod tracer;

pub use ending::Ending;
pub use error::TraceError;
pub use note::{Note, NoteTo};
pub use options::{RecordOptions, TraceOptions};
pub use predict::predict_packet;
pub use survey::{find_path, survey};
pub use targets::Targets;
pub use tracer::{Event, Tracer};
