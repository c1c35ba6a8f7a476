//! Renders what was found and collected, one file per format. Everything here is text in memory; the command line
//! writes it out.

mod clean;
mod layout;
mod list_json;
mod list_text;
mod packet;
mod packets_summary;
mod paint;
mod path_dot;
mod path_json;
mod path_mermaid;
mod path_text;
mod prediction_text;
mod schema;
mod top;
mod trace_json;
#[cfg(test)]
pub(crate) mod trace_samples;
mod trace_text;
mod troubles;
mod tunnel;
mod units;

pub use clean::{clean_json, clean_text};
pub use list_json::list_json;
pub use list_text::list_text;
pub use packet::{packet_json, packet_text};
pub use packets_summary::packets_summary;
pub use paint::{Canvas, Ink};
pub use path_dot::path_dot;
pub use path_json::path_json;
pub use path_mermaid::path_mermaid;
pub use path_text::path_text;
pub use prediction_text::prediction_text;
pub use schema::{OutputSchema, schemas};
pub use top::{Top, TopSort, top_json, top_text};
pub use trace_json::{drops_json, trace_json};
pub use trace_text::{drops_text, findings_text, trace_text};
