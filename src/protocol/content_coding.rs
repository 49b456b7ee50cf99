//! Which content coding a client wants its response in:
//! [RFC 9110, section 12.5.3](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How a response is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

/// In the order of preference among those that a client likes equally: by speed.
const ALL: [ContentCoding; 3] = [ContentCoding::Zstd, ContentCoding::Gzip, ContentCoding::Brotli];

/// Elements of the header that are looked at.
const ELEMENTS_MAX: usize = 32;

impl ContentCoding {
    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// The coding with the highest weight. `None` if the client has not requested any, or prefers none.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let elements = values.flat_map(|value| value.split(',')).take(ELEMENTS_MAX).map(read_element);
        let elements: Vec<(&str, u16)> = elements.collect();
        let named = |name: &str| {
            let named = elements.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name));
            named.map(|(_, weight)| *weight)
        };
        let mut best = (named("identity").map_or(0, |weight| weight.saturating_sub(1)), None);
        for coding in ALL {
            // RFC 9110, section 8.4.1.3.
            let alias = if coding == Self::Gzip { named("x-gzip") } else { None };
            let weight = named(coding.name()).or(alias).or_else(|| named("*")).unwrap_or_default();
            if weight > best.0 {
                best = (weight, Some(coding));
            }
        }
        best.1
    }
}

/// A coding and its weight in thousandths. What cannot be read has none.
fn read_element(element: &str) -> (&str, u16) {
    let mut parts = element.split(';').map(str::trim);
    let coding = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then_some(value.trim())
    });
    (coding, weight.map_or(1000, read_weight))
}

/// At most three digits after the point.
fn read_weight(text: &str) -> u16 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, format!("{rest:0<3}").parse::<u16>()) {
        ("0", Ok(thousandths)) if digits => thousandths,
        ("1", Ok(0)) if digits => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&[], None),
            (&[""], None),
            (&["gzip"], Some("gzip")),
            (&["gzip, deflate, br, zstd"], Some("zstd")),
            (&["gzip, deflate, br"], Some("gzip")),
            (&["br"], Some("br")),
            (&["GZIP ;Q=0.5, br;q=0.8"], Some("br")),
            (&["br;q=0.8", "gzip;q=1.000"], Some("gzip")),
            (&["x-gzip"], Some("gzip")),
            (&["deflate, compress"], None),
            (&["gzip;q=0"], None),
            (&["gzip;q=0, *"], Some("zstd")),
            (&["*;q=0"], None),
            (&["identity, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip"], Some("gzip")),
            (&["identity, gzip"], Some("gzip")),
            (&["gzip;q=0.0001"], None),
            (&["gzip;q=2"], None),
            (&["gzip;q=nonsense"], None),
        ];
        for (values, wanted) in cases {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(ACCEPT_ENCODING, value.parse().expect("a value"));
            }
            assert_eq!(ContentCoding::negotiate(&headers).map(ContentCoding::name), *wanted, "{values:?}");
        }
    }
}
