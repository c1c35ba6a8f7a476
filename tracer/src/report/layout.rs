//! Padding and wrapping by the columns a terminal needs, not by bytes or characters.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns of a text without colour codes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The text, filled with spaces to that many columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// The text up to that many columns; one that is longer ends with `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    let mut used = 0;
    let kept = text.chars().take_while(|letter| {
        used += letter.width().unwrap_or(0);
        used <= room
    });
    format!("{}…", kept.collect::<String>())
}

/// The text in lines of at most that many columns, broken at spaces where there are any.
pub(super) fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if columns(line) + 1 + columns(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The texts in aligned columns, two spaces apart, without spaces at the end.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns(cell).max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            table(&[row(["日本", "x"]), row(["abcde", "y"]), row(["", ""])]),
            ["日本   x", "abcde  y", ""]
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(["abc", "abcd"].map(|text| cut(text, 3)), ["abc", "ab…"]);
        assert_eq!(
            (cut("日本語", 5), cut("日本語", 4), cut("ab", 1), cut("a", 0)),
            ("日本…".into(), "日…".into(), "…".into(), String::new())
        );
    }

    #[test]
    fn long_words_are_not_lost() {
        assert_eq!(wrap("a bb cccccccc d", Some(4)), ["a bb", "cccccccc", "d"]);
        assert_eq!(wrap("a b", None), ["a b"]);
    }
}
