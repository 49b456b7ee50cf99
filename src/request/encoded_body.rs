//! A response body that is sent again and again, with what it became when it was compressed.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::protocol::content_coding::ContentCoding;

/// A body and its encoded forms, each made for the first client that accepts it.
#[derive(Debug)]
pub(crate) struct ReusedBody {
    plain: Bytes,
    zstd: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

/// An encoded form is kept if it has at most this part of the body's bytes, so that its memory is known before it is made.
/// JSON of introspection has a twentieth.
const ENCODED_PART: usize = 4;

/// Forms that can be kept.
const FORMS: usize = 3;

impl ReusedBody {
    /// Nothing is encoded yet.
    #[must_use]
    pub(crate) fn new(plain: Bytes) -> Self {
        Self { plain, zstd: OnceLock::new(), gzip: OnceLock::new(), brotli: OnceLock::new() }
    }

    /// The body as it is.
    #[must_use]
    pub(crate) fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Is `body` this body, and not one that was put in its place?
    #[must_use]
    pub(crate) fn is(&self, body: &Bytes) -> bool {
        std::ptr::eq::<[u8]>(&*self.plain, &**body)
    }

    /// The most that it takes with all forms.
    #[must_use]
    pub(crate) fn bytes_max(&self) -> usize {
        self.plain.len() + FORMS * (self.plain.len() / ENCODED_PART)
    }

    /// Its encoded form, if it is known.
    #[must_use]
    pub(crate) fn encoded(&self, coding: ContentCoding) -> Option<&Bytes> {
        self.form(coding).get()
    }

    /// Remembers its encoded form, if that is short.
    pub(crate) fn keep(&self, coding: ContentCoding, encoded: &[u8]) {
        if encoded.len() <= self.plain.len() / ENCODED_PART {
            // Copied, because an encoder reserves more than it needs. Another request may have been first.
            self.form(coding).get_or_init(|| Bytes::copy_from_slice(encoded));
        }
    }

    fn form(&self, coding: ContentCoding) -> &OnceLock<Bytes> {
        match coding {
            ContentCoding::Zstd => &self.zstd,
            ContentCoding::Gzip => &self.gzip,
            ContentCoding::Brotli => &self.brotli,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_kept_and_long_ones_are_not() {
        let body = ReusedBody::new(Bytes::from_static(b"0123456789abcdef"));
        body.keep(ContentCoding::Gzip, b"12345");
        assert_eq!(body.encoded(ContentCoding::Gzip), None);
        body.keep(ContentCoding::Gzip, b"1234");
        body.keep(ContentCoding::Gzip, b"abcd");
        assert_eq!(body.encoded(ContentCoding::Gzip), Some(&Bytes::from_static(b"1234")));
        assert_eq!(body.encoded(ContentCoding::Zstd), None);
        assert_eq!(body.bytes_max(), 28);
    }
}
