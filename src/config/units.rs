//! Durations (`1m30s`, `1.5s`, `1d`) and sizes (`10MB`, `10MiB`, `10Mi`) as people write them in settings.

use std::time::Duration;

use bytesize::ByteSize;

/// `64KiB`, `10MiB`, `10Mi`, `10MB`, `100`; not zero. Ki, Mi and Gi are powers of 1024, k, M and G of 1000.
///
/// # Examples
/// ```
/// use pillion::config::units::parse_bytes;
///
/// assert_eq!(parse_bytes("8MiB"), Some(8 * 1024 * 1024));
/// assert_eq!(parse_bytes("8MB"), Some(8_000_000));
/// assert_eq!(parse_bytes("8 apples"), None);
/// ```
#[must_use]
pub fn parse_bytes(text: &str) -> Option<usize> {
    let size: ByteSize = text.trim().parse().ok()?;
    // The library takes the largest number for one that does not fit.
    usize::try_from(size.as_u64()).ok().filter(|bytes| (1..usize::MAX).contains(bytes))
}

/// The longest span of time that a setting takes: a day.
pub const DURATION_MAX: Duration = Duration::from_secs(86_400);

/// `500ms`, `30s`, `1m30s`, `1.5h`, `1d`, `30` (seconds); not zero, at most a day.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use pillion::config::units::parse_duration;
///
/// assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
/// assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
/// assert_eq!(parse_duration("soon"), None);
/// ```
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse_span(text).filter(|span| *span > Duration::ZERO && *span <= DURATION_MAX)
}

/// The same of any length.
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        // All units are ASCII but for one spelling of microseconds.
        Err(_) if text.is_ascii() => humantime::parse_duration(text).ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("64KiB", Some(65_536)),
            ("100", Some(100)),
            ("100B", Some(100)),
            ("10MB", Some(10_000_000)),
            ("10Mi", Some(10_485_760)),
            ("1.5 GiB", Some(1_610_612_736)),
            ("0", None),
            ("0MiB", None),
            ("-1", None),
            ("1.5", None),
            ("10XB", None),
            ("", None),
            ("99999999999999999999GiB", None),
        ] {
            assert_eq!(parse_bytes(text), wanted, "{text}");
        }
    }

    #[test]
    fn spans() {
        for (text, wanted) in [
            ("500ms", Some(500)),
            ("30", Some(30_000)),
            ("2m", Some(120_000)),
            ("1m30s", Some(90_000)),
            ("1h 5m", Some(3_900_000)),
            ("1.5s", Some(1_500)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("48h", Some(172_800_000)),
            ("-1s", None),
            ("2 apples", None),
            ("s", None),
            ("", None),
            ("99999999999999999999s", None),
            ("9999999999999999h", None),
        ] {
            assert_eq!(parse_span(text), wanted.map(Duration::from_millis), "{text}");
        }
        assert_eq!((parse_duration("0s"), parse_duration("2d")), (None, None));
    }
}
