//! How fresh a response is that consists of cached handler responses: `Cache-Control` and `Age`
//! ([RFC 9111](https://www.rfc-editor.org/rfc/rfc9111#section-5.1)).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};

use crate::request::response::ClientHeaders;

/// The cached responses that a response has been made of so far.
#[derive(Debug, Default)]
pub(crate) struct Freshness(Mutex<Noted>);

#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    count: usize,
    /// How long all of them are fresh.
    left: Option<Duration>,
    /// The age of the oldest.
    age: Duration,
}

/// Headers that say who is asking, beside those whose names begin with `x-hasura-`.
const OF_CALLERS: [&str; 4] = ["authorization", "cookie", "x-hasura-admin-secret", "x-hasura-role"];

impl Freshness {
    /// A cached response is part of it.
    pub(crate) fn note(&self, left: Duration, age: Duration) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.count += 1;
        noted.left = Some(noted.left.map_or(left, |known| known.min(left)));
        noted.age = noted.age.max(age);
    }

    /// The headers of a response that consists of `calls` cached responses and of nothing else. Only its caller may keep it, as
    /// long as it is the same caller by these `headers`.
    #[must_use]
    pub(crate) fn headers(&self, calls: usize, headers: &HeaderMap) -> ClientHeaders {
        let Noted { count, left, age } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = left.filter(|_| count == calls) else { return ClientHeaders::new() };
        let (age, lifetime) = (age.as_secs(), (age + left).as_secs());
        let mut names = OF_CALLERS.to_vec();
        let others = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-hasura-"));
        names.extend(others.filter(|name| !OF_CALLERS.contains(name)));
        let value = |text: String| HeaderValue::from_str(&text).ok();
        let all = [
            (CACHE_CONTROL, value(format!("private, max-age={lifetime}"))),
            (AGE, Some(HeaderValue::from(age))),
            (VARY, value(names.join(", "))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_expire_and_the_oldest_count() {
        let (freshness, seconds) = (Freshness::default(), Duration::from_secs);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-hasura-org"), HeaderValue::from_static("a"))]);
        assert!(freshness.headers(0, &headers).is_empty());
        freshness.note(seconds(50), seconds(10));
        freshness.note(seconds(30), seconds(5));
        assert!(freshness.headers(3, &headers).is_empty());
        let text = |name: HeaderName| {
            let all = freshness.headers(2, &headers);
            all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_str().expect("text").to_owned())
        };
        assert_eq!(text(CACHE_CONTROL).as_deref(), Some("private, max-age=40"));
        assert_eq!(text(AGE).as_deref(), Some("10"));
        let vary = "authorization, cookie, x-hasura-admin-secret, x-hasura-role, x-hasura-org";
        assert_eq!(text(VARY).as_deref(), Some(vary));
    }
}
