//! The lines between the bytes of a chunked body, parsed strictly: RFC 9112, section 7.1. Lenient parsers skip what
//! they do not understand, and two of them then see different ends of a body. A line is given without its CRLF.

/// Bytes of a chunk's line, its extensions included.
pub const SIZE_LINE_BYTES_MAX: usize = 1024;

/// Bytes of all trailers together.
pub const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// Larger sizes of chunks and lengths of bodies are negative numbers to some readers.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// So many digits fit a `u64`.
const SIZE_DIGITS_MAX: usize = 16;

/// The size that a chunk's line announces: `1*HEXDIG [ chunk-ext ]`.
///
/// # Examples
/// ```
/// use pillion::protocol::http1::chunked::read_size;
///
/// assert_eq!(read_size(b"1a"), Some(26));
/// assert_eq!(read_size(b"0x1a"), None);
/// ```
#[must_use]
pub fn read_size(line: &[u8]) -> Option<u64> {
    let (digits, extensions) = split_while(line, |byte| byte.is_ascii_hexdigit());
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX || !are_extensions(extensions) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|size| *size <= SIZE_MAX)
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(named) = after_sign(text, b';') else { return false };
        let (name, rest) = split_while(named, is_token);
        if name.is_empty() {
            return false;
        }
        text = match after_sign(rest, b'=') {
            None => rest,
            Some(value) => match after_value(value) {
                Some(rest) => rest,
                None => return false,
            },
        };
    }
    true
}

/// What follows a sign that may stand among blanks.
fn after_sign(text: &[u8], sign: u8) -> Option<&[u8]> {
    let (_, text) = split_while(text, is_blank);
    let (first, rest) = text.split_first()?;
    (*first == sign).then(|| split_while(rest, is_blank).1)
}

/// What follows a token or a quoted string.
fn after_value(text: &[u8]) -> Option<&[u8]> {
    let Some(mut quoted) = text.strip_prefix(b"\"") else {
        let (token, rest) = split_while(text, is_token);
        return (!token.is_empty()).then_some(rest);
    };
    loop {
        match quoted {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] if is_text(*byte) => quoted = rest,
            [byte, rest @ ..] if is_text(*byte) && *byte != b'\\' => quoted = rest,
            _ => return None,
        }
    }
}

/// Is this a header, as one may stand after the last chunk?
#[must_use]
pub fn is_trailer(line: &[u8]) -> bool {
    let (name, rest) = split_while(line, is_token);
    !name.is_empty() && rest.strip_prefix(b":").is_some_and(|value| value.iter().copied().all(is_text))
}

fn split_while(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len()))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// No control character but a tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_to_the_letter() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"000", Some(0)),
            (b"2c", Some(44)),
            (b"aBcDeF", Some(0xab_cdef)),
            (b"7fffffffffffffff", Some(SIZE_MAX)),
            (b"8000000000000000", None),
            (b"2;a", Some(2)),
            (b"2;a=b", Some(2)),
            (b"2;a=b;c;d=\"e;\\\"\xc3\xa9\t\"", Some(2)),
            (b"2 ; a = b", Some(2)),
            (b"2\t;a", Some(2)),
            (b"", None),
            (b" ", None),
            (b";a", None),
            (b" 2", None),
            (b"2 ", None),
            (b"2\t", None),
            (b"+2", None),
            (b"-2", None),
            (b"0x2", None),
            (b"2g", None),
            (b"2_0", None),
            (b"2 2", None),
            (b"2,2", None),
            (b"2;", None),
            (b"2;;a", None),
            (b"2;a=", None),
            (b"2;=b", None),
            (b"2;a b", None),
            (b"2;a=\"b", None),
            (b"2;a=\"b\\", None),
            (b"2;a=\"b\"c", None),
            (b"2;\nxx", None),
            (b"2;a\r", None),
            (b"2\r", None),
            (b"2\0", None),
            (b"2;a=\"\x01\"", None),
            (b"00000000000000002", None),
            (b"10000000000000000", None),
        ];
        for (line, wanted) in cases {
            assert_eq!(read_size(line), *wanted, "{:?}", line.escape_ascii().to_string());
        }
    }

    #[test]
    fn trailers_are_headers() {
        let cases: &[(&[u8], bool)] = &[
            (b"A: b", true),
            (b"a:", true),
            (b"a:\xe9\tb", true),
            (b"", false),
            (b": b", false),
            (b"a", false),
            (b"a : b", false),
            (b" a: b", false),
            (b"a: b\nc: d", false),
            (b"a: b\r", false),
            (b"a: \0", false),
        ];
        for (line, wanted) in cases {
            assert_eq!(is_trailer(line), *wanted, "{:?}", line.escape_ascii().to_string());
        }
    }
}
