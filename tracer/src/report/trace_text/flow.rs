//! Pieces of text set one after the other, broken between pieces where that is possible.

use super::super::{
    Canvas, Ink,
    layout::{columns, wrap},
};

/// A piece of a line that stays together, and its ink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    ink: Option<Ink>,
    text: String,
}

impl Piece {
    pub(super) fn new(ink: Ink, text: impl Into<String>) -> Self {
        Self { ink: Some(ink), text: text.into() }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { ink: None, text: text.into() }
    }

    /// The piece, in several where it is too long for a line.
    fn parts(&self, width: usize) -> Vec<Self> {
        if columns(&self.text) <= width {
            return vec![self.clone()];
        }
        wrap(&self.text, Some(width)).into_iter().map(|text| Self { ink: self.ink, text }).collect()
    }

    fn painted(&self, canvas: Canvas) -> String {
        self.ink.map_or_else(|| self.text.clone(), |ink| canvas.paint(ink, &self.text))
    }
}

/// The pieces in lines of at most `width` columns, `separator` between them; every line but the first is indented.
/// Only a word that is too long by itself makes a longer line.
pub(super) fn flow(
    pieces: &[Piece],
    separator: &str,
    indent: usize,
    width: usize,
    canvas: Canvas,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for piece in pieces.iter().flat_map(|piece| piece.parts(width.saturating_sub(indent))) {
        let needed = columns(&piece.text);
        match lines.last_mut() {
            Some(line) if used + columns(separator) + needed <= width => {
                line.push_str(separator);
                line.push_str(&piece.painted(canvas));
                used += columns(separator) + needed;
            }
            Some(_) => {
                lines.push(format!("{}{}", " ".repeat(indent), piece.painted(canvas)));
                used = indent + needed;
            }
            None => {
                lines.push(piece.painted(canvas));
                used = needed;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_pieces_and_colours_take_no_room() {
        let pieces = [Piece::new(Ink::Bad, "aa bb"), Piece::plain("→→"), Piece::plain("dddd")];
        assert_eq!(flow(&pieces, " · ", 2, 10, Canvas::PLAIN), ["aa bb · →→", "  dddd"]);
        let coloured = flow(&pieces, " · ", 2, 10, Canvas { width: None, colour: true });
        assert_eq!(coloured, ["\x1b[31maa bb\x1b[0m · →→", "  dddd"]);
        let long = [Piece::plain("a"), Piece::plain("bbb ccc ddd eee")];
        assert_eq!(flow(&long, "  ", 2, 10, Canvas::PLAIN), ["a  bbb ccc", "  ddd eee"]);
        assert!(flow(&[], " ", 2, 10, Canvas::PLAIN).is_empty());
    }
}
