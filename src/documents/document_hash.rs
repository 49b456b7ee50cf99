//! The SHA-256 hash of a document's text, by which automatic persisted queries (APQ) name it.

use std::fmt;

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, in small letters as all clients send them. Anything else is no hash of a document.
    ///
    /// # Examples
    /// ```
    /// use pillion::documents::document_hash::DocumentHash;
    ///
    /// let hash = DocumentHash::of(b"{ a }");
    /// assert_eq!(DocumentHash::parse(&hash.to_string()), Some(hash));
    /// assert_eq!(DocumentHash::parse("mark"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().try_fold(0, |value, digit| Some(value << 4 | nibble(*digit)?))?;
        }
        Some(Self(hash))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for DocumentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixty_four_small_hexadecimal_digits_are_a_hash() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(DocumentHash::of(b"").to_string(), empty);
        assert_eq!(DocumentHash::parse(empty), Some(DocumentHash::of(b"")));
        for wrong in ["", "e3b0", &empty.to_uppercase(), &format!("{empty}0"), &"é".repeat(32), &"g".repeat(64)] {
            assert_eq!(DocumentHash::parse(wrong), None, "{wrong}");
        }
    }
}
