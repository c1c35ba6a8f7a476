//! What the commands that attach have in common: a session on the path, what ends it, and the screen.

mod ending;
mod options;
mod screen;
mod session;

pub(super) use ending::{Ending, Endings};
pub(super) use options::{LiveArgs, Prepared};
pub(super) use screen::Screen;
pub(super) use session::Session;
