//! A report that is drawn again and again on a terminal.

use std::io::{self, Write as _};

use crossterm::{
    cursor::MoveToPreviousLine,
    queue,
    terminal::{self, Clear, ClearType},
};

/// Draws over what it drew before. Nothing of the terminal is switched, so nothing is left when we are killed.
#[derive(Debug, Default)]
pub(in crate::cli) struct Screen {
    lines: u16,
}

impl Screen {
    pub(in crate::cli) fn new() -> Self {
        Self::default()
    }

    /// Draws `text`, as much of it as fits.
    pub(in crate::cli) fn draw(&mut self, text: &str) -> io::Result<()> {
        let rows = terminal::size().map_or(24, |(_, rows)| rows).max(2) - 1;
        self.clear()?;
        let mut stdout = io::stdout().lock();
        for line in text.lines().take(usize::from(rows)) {
            writeln!(stdout, "{line}")?;
            self.lines += 1;
        }
        stdout.flush()
    }

    /// Takes away what was drawn.
    pub(in crate::cli) fn clear(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.lines > 0 {
            queue!(stdout, MoveToPreviousLine(self.lines), Clear(ClearType::FromCursorDown))?;
        }
        self.lines = 0;
        stdout.flush()
    }
}
