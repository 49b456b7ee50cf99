//! Media types: what a client sends (`Content-Type`) and what it takes (`Accept`).

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// The media types of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// `application/json`: every well-formed request gets status 200.
    Json,
    /// `application/graphql-response+json`: the status shows whether the request was valid.
    GraphqlResponse,
}

/// What `Accept` lists, in small letters, with the weight of each.
fn accepted(headers: &HeaderMap) -> impl Iterator<Item = (String, f32)> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        (media_type, quality)
    })
}

impl ResponseType {
    fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/graphql-response+json" => Some(Self::GraphqlResponse),
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type that the client's `Accept` prefers; `application/json` by default.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        for (media_type, quality) in accepted(headers) {
            if let (Some(response_type), true) = (Self::of_media_type(&media_type), quality > best.0) {
                best = (quality, response_type);
            }
        }
        best.1
    }

    /// The `Content-Type` of a response of this type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// Does the client want a page rather than JSON, as a browser does that opens a link? A type that it names counts more than
/// one that a star stands for.
#[must_use]
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json, mut any) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (media_type, quality) in accepted(headers) {
        let best = match media_type.as_str() {
            "text/html" | "application/xhtml+xml" => &mut html,
            "application/json" | "application/graphql-response+json" | "text/event-stream" => &mut json,
            "*/*" | "application/*" => &mut any,
            _ => continue,
        };
        *best = best.max(quality);
    }
    html > json && html >= any
}

/// Is the response to be a stream of events? A subscription's is if the client takes one at all; that to a query or a
/// mutation if the client takes nothing else.
#[must_use]
pub fn wants_events(headers: &HeaderMap, is_subscription: bool) -> bool {
    let (mut events, mut json) = (false, false);
    for (media_type, _) in accepted(headers).filter(|(_, quality)| *quality > 0.0) {
        events |= media_type == "text/event-stream";
        json |= ResponseType::of_media_type(&media_type).is_some();
    }
    events && (is_subscription || !json)
}

/// Is a response one whose body is a stream of events?
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let media_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case("text/event-stream")
}

/// The media type that a POST declares for its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json` in UTF-8.
    Json,
    /// A form whose bytes may be percent-encoded.
    Form,
    /// Several bodies in one, as for uploads: the text among them can be searched as it is, files are bytes.
    Multipart,
    /// Anything else in UTF-8, or nothing at all: bytes can be searched as they are.
    Other,
    /// Another character set: bytes cannot be searched.
    OtherCharset,
}

impl ContentType {
    /// Reads the header.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Self::Other };
        // Two of them, or one that cannot be read, can mean anything.
        let (Ok(text), None) = (value.to_str(), values.next()) else { return Self::OtherCharset };
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        if charset.is_some_and(|charset| !matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii")) {
            return Self::OtherCharset;
        }
        match media_type.as_str() {
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            multipart if multipart.starts_with("multipart/") => Self::Multipart,
            _ => Self::Other,
        }
    }
}
