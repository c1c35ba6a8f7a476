//! A report that is drawn again and again on a terminal.

use std::io::{self, Write as _};

use crossterm::{
    cursor::{MoveToNextLine, MoveToPreviousLine},
    queue,
    terminal::{self, Clear, ClearType},
};
use unicode_width::UnicodeWidthChar as _;

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
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let lines = fitted(text, columns.into(), (rows.max(2) - 1).into());
        let mut picture = Vec::new();
        self.rewind(&mut picture)?;
        for line in &lines {
            // Before the text: behind a full line the cursor is on its last column still.
            queue!(picture, Clear(ClearType::UntilNewLine))?;
            writeln!(picture, "{line}")?;
        }
        self.lines = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        show(picture)
    }

    /// Takes away what was drawn.
    pub(in crate::cli) fn clear(&mut self) -> io::Result<()> {
        let mut picture = Vec::new();
        self.rewind(&mut picture)?;
        for _ in 0..self.lines {
            queue!(picture, Clear(ClearType::UntilNewLine), MoveToNextLine(1))?;
        }
        queue!(picture, Clear(ClearType::UntilNewLine))?;
        self.rewind(&mut picture)?;
        self.lines = 0;
        show(picture)
    }

    /// To the first line of what was drawn.
    fn rewind(&self, picture: &mut Vec<u8>) -> io::Result<()> {
        if self.lines > 0 {
            queue!(picture, MoveToPreviousLine(self.lines))?;
        }
        Ok(())
    }
}

/// Writes all at once, and takes away what an earlier, longer picture has left below. Not all at the beginning: that makes
/// the terminal flicker, and tmux keeps what is cleared from the first line on.
fn show(mut picture: Vec<u8>) -> io::Result<()> {
    queue!(picture, Clear(ClearType::FromCursorDown))?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&picture)?;
    stdout.flush()
}

/// What of the text fits, cut at the right and below; the last line then says how much is missing.
fn fitted(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let all = text.lines().count();
    let shown = if all > rows { rows.saturating_sub(1) } else { all };
    let mut lines: Vec<_> = text.lines().take(shown).map(|line| cut(line, columns)).collect();
    if all > shown {
        lines.push(cut(&format!("… {} more lines: the terminal is too low for them", all - shown), columns));
    }
    lines
}

/// The text up to that column; all colour codes stay.
fn cut(line: &str, columns: usize) -> String {
    let (mut used, mut in_code) = (0, false);
    line.chars()
        .filter(|&letter| {
            if in_code || letter == '\x1b' {
                // `ESC [`, numbers, and a letter that ends it.
                in_code = !letter.is_ascii_alphabetic();
                return true;
            }
            used += letter.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_no_larger_than_the_terminal() {
        assert_eq!(fitted("abc\nde\n", 2, 5), ["ab", "de"]);
        assert_eq!(fitted("a\nb\nc\n", 80, 3), ["a", "b", "c"]);
        let cut_off = fitted("a\nb\nc\nd\n", 80, 3);
        assert_eq!(cut_off, ["a", "b", "… 2 more lines: the terminal is too low for them"]);
        assert_eq!(fitted("a\nb\n", 3, 1), ["… 2"]);
    }

    #[test]
    fn colours_take_no_columns_and_wide_letters_two() {
        assert_eq!(cut("\x1b[31mabc\x1b[0m", 2), "\x1b[31mab\x1b[0m");
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(cut("日本a", 3), "日");
    }
}
