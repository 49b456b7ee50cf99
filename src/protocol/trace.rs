//! Trace context propagation: taken from the client where it is well-formed, passed on in both the W3C's and B3's
//! headers.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Which trace a request belongs to, and the span that our calls are children of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 hexadecimal digits, not all zero.
    pub trace_id: String,
    /// 16 hexadecimal digits, not all zero: our own span.
    pub span_id: String,
    /// The client's span, if it named one.
    pub parent_span_id: Option<String>,
    /// Is the trace recorded?
    pub sampled: bool,
    /// The vendors' part, untouched.
    pub state: Option<HeaderValue>,
}

/// Bytes of `tracestate` that are passed on; the W3C requires at least 512.
const STATE_BYTES_MAX: usize = 512;

impl TraceContext {
    /// Reads the client's context, or starts a trace. `random` is fresh for every request.
    ///
    /// # Examples
    /// ```
    /// use http::HeaderMap;
    /// use pillion::protocol::trace::TraceContext;
    ///
    /// let mut headers = HeaderMap::new();
    /// let value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// headers.insert("traceparent", value.parse().unwrap());
    /// let trace = TraceContext::read(&headers, 1);
    /// assert_eq!((trace.trace_id.as_str(), trace.sampled), ("0af7651916cd43dd8448eb211c80319c", true));
    /// ```
    #[must_use]
    pub fn read(headers: &HeaderMap, random: u128) -> Self {
        let span_id = format!("{:016x}", u64::try_from(random >> 64).unwrap_or(1).max(1));
        if let Some(context) = Self::from_traceparent(headers, &span_id) {
            return context;
        }
        if let Some(context) = Self::from_b3(headers, &span_id) {
            return context;
        }
        let trace_id = format!("{:032x}", random.max(1));
        Self { trace_id, span_id, parent_span_id: None, sampled: false, state: None }
    }

    /// <https://www.w3.org/TR/trace-context/#traceparent-header>
    fn from_traceparent(headers: &HeaderMap, span_id: &str) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        let mut fields = value.split('-');
        let (version, trace_id, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let version_fits = version == "00" && fields.next().is_none() || version != "00" && version != "ff";
        let fits = version_fits
            && is_hex(version, 2)
            && is_hex(flags, 2)
            && is_id(trace_id, 32)
            && is_id(parent, 16)
            && value.bytes().all(|byte| !byte.is_ascii_uppercase());
        let state = headers.get("tracestate").filter(|state| state.len() <= STATE_BYTES_MAX).cloned();
        fits.then(|| Self {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            parent_span_id: Some(parent.to_owned()),
            sampled: u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1),
            state,
        })
    }

    /// <https://github.com/openzipkin/b3-propagation#multiple-headers>
    fn from_b3(headers: &HeaderMap, span_id: &str) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_ascii_lowercase);
        let trace_id = text("x-b3-traceid")?;
        let parent = text("x-b3-spanid").filter(|parent| is_id(parent, 16));
        if !is_id(&trace_id, 32) && !is_id(&trace_id, 16) {
            return None;
        }
        Some(Self {
            trace_id: format!("{trace_id:0>32}"),
            span_id: span_id.to_owned(),
            parent_span_id: parent,
            sampled: matches!(text("x-b3-sampled").as_deref(), Some("1" | "true" | "d")),
            state: None,
        })
    }

    /// That of something which is part of this. `random` is different for each.
    #[must_use]
    pub fn child(&self, random: u64) -> Self {
        let span_id = format!("{:016x}", random.max(1));
        Self { span_id, parent_span_id: Some(self.span_id.clone()), ..self.clone() }
    }

    /// Puts the context into the headers of a call.
    pub fn write(&self, headers: &mut HeaderMap) {
        let sampled = if self.sampled { "1" } else { "0" };
        let mut insert = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
                headers.insert(name, value);
            }
        };
        insert(TRACEPARENT, ["00-", &self.trace_id, "-", &self.span_id, "-0", sampled].concat());
        insert(B3_TRACE_ID, self.trace_id.clone());
        insert(B3_SPAN_ID, self.span_id.clone());
        if let Some(parent) = &self.parent_span_id {
            insert(B3_PARENT_SPAN_ID, parent.clone());
        }
        headers.insert(B3_SAMPLED, HeaderValue::from_static(sampled));
        match &self.state {
            Some(state) => headers.insert(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        };
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const B3_TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|byte| byte != b'0')
}

/// Bytes of a client's request id that we take over.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The client's request id, if it is one that can stand in a log line.
///
/// # Examples
/// ```
/// use http::HeaderMap;
/// use pillion::protocol::trace::request_id;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-request-id", "abc-1".parse().unwrap());
/// assert_eq!(request_id(&headers), Some("abc-1"));
/// headers.insert("x-request-id", "a b".parse().unwrap());
/// assert_eq!(request_id(&headers), None);
/// ```
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (!id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(is_plain)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const RANDOM: u128 = 0x1111_2222_3333_4444_5555_6666_7777_8888;

    fn read(headers: &[(&'static str, &str)]) -> TraceContext {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        TraceContext::read(&map, RANDOM)
    }

    #[test]
    fn a_clients_trace_goes_on() {
        let context = read(&[("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01")), ("tracestate", "a=1")]);
        assert_eq!((context.trace_id.as_str(), context.sampled), (TRACE, true));
        let mut headers = HeaderMap::new();
        context.write(&mut headers);
        assert_eq!(headers["traceparent"], format!("00-{TRACE}-1111222233334444-01"));
        assert_eq!(headers["x-b3-parentspanid"], "b7ad6b7169203331");
        assert_eq!(headers["tracestate"], "a=1");
        assert_eq!(read(&[("x-b3-traceid", "8448eb211c80319c")]).trace_id, "00000000000000008448eb211c80319c");
    }

    #[test]
    fn a_malformed_context_starts_a_new_trace() {
        let zero = "0".repeat(32);
        for value in [
            "",
            "00",
            &format!("00-{zero}-b7ad6b7169203331-01"),
            &format!("ff-{TRACE}-b7ad6b7169203331-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{TRACE}-b7ad6b7169203331-01-x"),
            &format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
        ] {
            assert_eq!(read(&[("traceparent", value)]).trace_id, format!("{RANDOM:032x}"), "{value}");
        }
        let long = "a".repeat(10_000);
        let context = read(&[("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-00")), ("tracestate", &long)]);
        assert_eq!(context.state, None);
    }

    #[test]
    fn request_ids_are_short_and_plain() {
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", value.parse().expect("a header value"));
            request_id(&headers).map(str::to_owned)
        };
        assert_eq!(id("a.B_c-9").as_deref(), Some("a.B_c-9"));
        assert_eq!(id("a b"), None);
        assert_eq!(id("\"quoted\""), None);
        assert_eq!(id(&"a".repeat(129)), None);
    }
}
