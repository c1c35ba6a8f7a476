//! What text is drawn on: its width, and whether it takes colours.

use std::fmt::Display;

/// What a piece of text means; the colour follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// A name people look for.
    Strong,
    /// Scaffolding: lines, labels.
    Faint,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// A hook.
    Hook,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Hook => "36",
        }
    }
}

/// A terminal, a pipe or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Columns, where there is a limit.
    pub width: Option<usize>,
    /// Whether to colour.
    pub colour: bool,
}

impl Canvas {
    /// No limit, no colour.
    pub const PLAIN: Self = Self { width: None, colour: false };

    /// The text in its ink.
    #[must_use]
    pub fn paint(self, ink: Ink, text: impl Display) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_string() }
    }
}
