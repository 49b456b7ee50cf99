//! Secrets: values that are never shown.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A text that no log, error, metric or `Debug` may show. It has no `Display` and no serialisation, and its memory
/// is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` into keeping.
    ///
    /// # Examples
    /// ```
    /// use pillion::model::secret::Secret;
    ///
    /// let secret = Secret::new("s3cr3t".to_owned());
    /// assert_eq!(secret.expose(), "s3cr3t");
    /// assert!(!format!("{secret:?}").contains("s3cr3t"));
    /// ```
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Call this only where the value leaves for its addressee.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares without telling, by the time it takes, where the two differ.
    #[must_use]
    pub fn equals(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use crate::model::secret::Secret;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2".into()))), "Some(***)");
    }

    #[test]
    fn equality_is_by_content() {
        let secret = Secret::new("hunter2".into());
        assert!(secret.equals(b"hunter2"));
        assert!(!secret.equals(b"hunter3"));
        assert!(!secret.equals(b"hunter22"));
    }
}
