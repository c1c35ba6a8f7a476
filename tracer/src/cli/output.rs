//! The way out: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use crate::report::Canvas;

/// Writes a result to stdout.
///
/// # Errors
/// When stdout cannot be written; a closed pipe (`| head`) too, which [`CliError`](super::CliError) treats as success.
pub fn result(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a note for people to stderr. A failure of that cannot be told.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What stdout is: a terminal has a width, and colours unless `NO_COLOR` is set (<https://no-color.org>).
#[must_use]
pub fn canvas() -> Canvas {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return Canvas::PLAIN;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok();
    let width = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Canvas { width, colour: !no_colour && !is_dumb() }
}

/// Whether stdout is a terminal whose cursor can be moved.
#[must_use]
pub fn can_be_drawn_over() -> bool {
    io::stdout().is_terminal() && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
