//! Frames as bytes, and a socket that sends them as they are.

mod build;
mod protocols;
mod send;

pub use build::Ends;
pub use protocols::{Traffic, alike, ordinary, periodic, without_identity};
pub use send::send;

use anyhow::{Context as _, Result};

/// Frames as words of a guest's control line.
#[must_use]
pub fn to_words(frames: &[Vec<u8>]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    let hex = |frame: &Vec<u8>| {
        frame.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>()
    };
    frames.iter().map(hex).collect::<Vec<_>>().join(" ")
}

/// A MAC address as bytes.
///
/// # Errors
/// When it is none.
pub fn mac(text: &str) -> Result<[u8; 6]> {
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<Vec<_>, _>>()?;
    bytes.try_into().ok().with_context(|| format!("{text} is no MAC address"))
}

/// One of [`to_words`].
///
/// # Errors
/// When it is not made of pairs of hexadecimal digits.
pub fn from_word(word: &str) -> Result<Vec<u8>> {
    let pair = |place: usize| {
        let digits = word.get(place..place + 2).context("half a byte")?;
        u8::from_str_radix(digits, 16).with_context(|| format!("{digits} is not a byte"))
    };
    (0..word.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_give_the_frames_again() {
        let frames = vec![vec![0, 0xff, 0x1a], vec![7]];
        let words = to_words(&frames);
        assert_eq!(words, "00ff1a 07");
        let again: Result<Vec<_>> = words.split(' ').map(from_word).collect();
        assert_eq!(again.ok(), Some(frames));
        assert!(from_word("0").is_err() && from_word("xy").is_err());
    }
}
