//! Where the body of an HTTP/1.1 message ends: RFC 9112, section 6.3. What two readers could understand differently is
//! rejected.

use http::header;
use http::header::HeaderMap;

use crate::protocol::http1::chunked::SIZE_MAX;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// It is not said: a request has none, that of a response ends with the connection.
    Undeclared,
}

/// Why it is not clear where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// There is more than one way to read it.
    Ambiguous,
    /// It would end after more bytes than all readers can count.
    TooLong,
}

/// By the values of `Transfer-Encoding` and of `Content-Length`. The same length more than once is one.
///
/// # Errors
/// [`Unclear`].
///
/// # Examples
/// ```
/// use pillion::protocol::http1::framing::{Framing, Unclear, framing};
///
/// let of = |codings: &[&str], lengths: &[&str]| {
///     framing(codings.iter().map(|text| text.as_bytes()), lengths.iter().map(|text| text.as_bytes()))
/// };
/// assert_eq!(of(&[], &["3"]), Ok(Framing::Length(3)));
/// assert_eq!(of(&["Chunked"], &[]), Ok(Framing::Chunked));
/// assert_eq!(of(&["chunked"], &["3"]), Err(Unclear::Ambiguous));
/// assert_eq!(of(&[], &["+3"]), Err(Unclear::Ambiguous));
/// ```
pub fn framing<'v>(
    mut codings: impl Iterator<Item = &'v [u8]>,
    mut lengths: impl Iterator<Item = &'v [u8]>,
) -> Result<Framing, Unclear> {
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::Undeclared),
        (Some(coding), None) if codings.next().is_none() && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (None, Some(length)) if lengths.all(|other| other == length) => match read_length(length) {
            Some(length) => Ok(Framing::Length(length)),
            None if is_number(length) => Err(Unclear::TooLong),
            None => Err(Unclear::Ambiguous),
        },
        _ => Err(Unclear::Ambiguous),
    }
}

/// The same by the headers of a message.
///
/// # Errors
/// [`Unclear`].
pub fn framing_of(headers: &HeaderMap) -> Result<Framing, Unclear> {
    let values = |name| headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
    framing(values(header::TRANSFER_ENCODING), values(header::CONTENT_LENGTH))
}

/// The declared length of a body, if it has one.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<usize> {
    read_length(headers.get(header::CONTENT_LENGTH)?.as_bytes())
}

/// The value of `Content-Length`: digits alone, and no more than all readers can count.
#[must_use]
pub fn read_length(value: &[u8]) -> Option<usize> {
    let length: u64 = std::str::from_utf8(value).ok().filter(|_| is_number(value))?.parse().ok()?;
    usize::try_from(length).ok().filter(|_| length <= SIZE_MAX)
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits_that_all_readers_can_count() {
        let cases: &[(&str, Option<usize>)] = &[
            ("0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(9_223_372_036_854_775_807)),
            ("9223372036854775808", None),
            ("99999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1 ", None),
            ("1, 1", None),
            ("0x1", None),
            ("1_0", None),
            ("\u{661}", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(read_length(text.as_bytes()), *wanted, "{text:?}");
        }
    }

    #[test]
    fn only_what_has_one_reading_is_framed() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().expect("a value"));
            }
            framing_of(&headers)
        };
        let (length, coding) = ("content-length", "transfer-encoding");
        assert_eq!(of(&[]), Ok(Framing::Undeclared));
        assert_eq!(of(&[(length, "2"), (length, "2")]), Ok(Framing::Length(2)));
        assert_eq!(of(&[(length, "9223372036854775808")]), Err(Unclear::TooLong));
        assert_eq!(of(&[(coding, "chunked")]), Ok(Framing::Chunked));
        for lines in [
            &[(length, "2"), (length, "3")][..],
            &[(length, "2, 2")],
            &[(length, "")],
            &[(coding, "chunked"), (length, "2")],
            &[(coding, "chunked"), (coding, "chunked")],
            &[(coding, "gzip, chunked")],
            &[(coding, "identity")],
        ] {
            assert_eq!(of(lines), Err(Unclear::Ambiguous), "{lines:?}");
        }
    }
}
