//! What the commands that attach have in common: a session on the path, what ends it, and the screen.

mod beside;
mod ending;
mod host;
mod options;
mod prepare;
mod printer;
mod screen;
mod session;
mod units;

pub(super) use ending::{Ending, Endings};
pub(super) use host::{FirstLook, HostWatch};
pub(super) use options::{LiveArgs, Prepared};
pub(super) use printer::{Format, Printer};
pub(super) use screen::Screen;
pub(super) use session::{Emission, Session};
pub(super) use units::{parse_sample, parse_share_ppm, parse_threshold_ns};
