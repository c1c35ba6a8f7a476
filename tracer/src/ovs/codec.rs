//! Framing: JSON objects one after the other on a byte stream, without any separator.

use bytes::{Buf, BytesMut};
use serde_json::Value;
use tokio_util::codec::{Decoder, Encoder};

use super::OvsError;

/// A larger message is refused. A host with a thousand ports needs about 2 MB.
pub const MAX_MESSAGE_BYTES: usize = 32 << 20;

/// Finds where a message ends by counting brackets outside strings, each byte once however the stream is cut, and
/// gives it to `serde_json` whole.
#[derive(Debug)]
pub struct JsonCodec {
    limit_bytes: usize,
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Default for JsonCodec {
    fn default() -> Self {
        Self::with_limit(MAX_MESSAGE_BYTES)
    }
}

impl JsonCodec {
    /// A codec that refuses messages of more than `limit_bytes`.
    #[must_use]
    pub fn with_limit(limit_bytes: usize) -> Self {
        Self { limit_bytes, scanned: 0, depth: 0, in_string: false, escaped: false }
    }

    /// Takes the next byte of a message; true when it is the last.
    fn ends_with(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0
    }
}

impl Decoder for JsonCodec {
    type Item = Value;
    type Error = OvsError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, OvsError> {
        if self.scanned == 0 {
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            buffer.advance(blank);
            if let Some(first) = buffer.first().filter(|first| **first != b'{') {
                return Err(OvsError::Json(format!(
                    "a message begins with byte 0x{first:02x}, not with `{{`"
                )));
            }
        }
        let start = self.scanned;
        let end = buffer.iter().skip(start).position(|byte| self.ends_with(*byte)).map(|at| start + at + 1);
        self.scanned = end.unwrap_or(buffer.len());
        if self.scanned > self.limit_bytes {
            return Err(OvsError::TooLarge { limit_bytes: self.limit_bytes });
        }
        let Some(end) = end else { return Ok(None) };
        *self = Self::with_limit(self.limit_bytes);
        let message = buffer.split_to(end);
        serde_json::from_slice(&message).map(Some).map_err(|error| OvsError::Json(error.to_string()))
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, OvsError> {
        match self.decode(buffer)? {
            None if !buffer.is_empty() => Err(OvsError::Json("the stream ends within a message".to_owned())),
            message => Ok(message),
        }
    }
}

impl Encoder<Value> for JsonCodec {
    type Error = OvsError;

    fn encode(&mut self, message: Value, buffer: &mut BytesMut) -> Result<(), OvsError> {
        buffer.extend_from_slice(message.to_string().as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const TRICKY: &str = r#"{"a":"}]\"{[\\","b":[{"c":["set",[]]},"\\\""],"é":"日"}"#;

    fn messages(codec: &mut JsonCodec, chunks: &[&[u8]]) -> Result<Vec<Value>, OvsError> {
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(message) = codec.decode(&mut buffer)? {
                found.push(message);
            }
        }
        assert!(codec.decode_eof(&mut buffer)?.is_none());
        Ok(found)
    }

    #[test]
    fn a_message_may_be_cut_anywhere() {
        let whole: Value = serde_json::from_str(TRICKY).unwrap();
        for cut in 0..TRICKY.len() {
            let (head, tail) = TRICKY.as_bytes().split_at(cut);
            assert_eq!(
                messages(&mut JsonCodec::default(), &[head, tail]).unwrap(),
                std::slice::from_ref(&whole),
                "at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = TRICKY.as_bytes().chunks(1).collect();
        assert_eq!(messages(&mut JsonCodec::default(), &bytes).unwrap(), [whole]);
    }

    #[test]
    fn several_messages_may_come_at_once() {
        let stream = format!("{TRICKY}{{}} \n{{\"id\":1}}{TRICKY}");
        let found = messages(&mut JsonCodec::default(), &[stream.as_bytes()]).unwrap();
        assert_eq!(found.len(), 4);
        assert_eq!(found.get(2), Some(&json!({"id": 1})));
    }

    #[test]
    fn garbage_is_an_error_at_once() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for bad in [
            "HTTP/1.1 400 Bad Request",
            "[]",
            "\"a\"",
            "}",
            "\u{0}",
            "{]",
            "{\"a\":}",
            "{\"a\"}",
            "{\"a\":1",
            &deep,
        ] {
            let result = messages(&mut JsonCodec::default(), &[bad.as_bytes()]);
            assert!(matches!(result, Err(OvsError::Json(_))), "{bad:.40}: {result:?}");
        }
        assert!(messages(&mut JsonCodec::default(), &[b"{\"a\":\"\xff\"}"]).is_err());
    }

    #[test]
    fn an_endless_message_is_refused_before_it_fills_memory() {
        let mut codec = JsonCodec::with_limit(64);
        let long = format!("{{\"a\":\"{}", "x".repeat(100));
        assert!(matches!(
            messages(&mut codec, &[long.as_bytes()]),
            Err(OvsError::TooLarge { limit_bytes: 64 })
        ));
    }
}
