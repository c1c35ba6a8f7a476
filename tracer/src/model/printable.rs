//! Text from outside (names in OVSDB, in domain XML, on the command line) made safe for a terminal.

use std::fmt::{self, Write as _};

/// Longer names are cut: none that matters here is longer than a UUID or a display name of Nova (255 characters).
const MAX_CHARS: usize = 255;

/// Displays text from outside with every character escaped that could move the cursor, colour the terminal, hide
/// text or reorder it; an empty text as `""`.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        for (count, character) in self.0.chars().enumerate() {
            if count == MAX_CHARS {
                return f.write_char('…');
            }
            if is_unsafe(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators, zero-width and bidirectional formatting, tags, private use.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_cannot_be_attacked_through_a_name() {
        assert_eq!(Printable("vm\x1b[2Jé日\n").to_string(), "vm\\u{1b}[2Jé日\\n");
        assert_eq!(Printable("\u{202e}gpj.exe\u{9b}31m").to_string(), "\\u{202e}gpj.exe\\u{9b}31m");
        assert_eq!(Printable("").to_string(), "\"\"");
        assert_eq!(Printable(&"x".repeat(100_000)).to_string().chars().count(), MAX_CHARS + 1);
    }
}
