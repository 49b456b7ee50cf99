//! Addresses that are called.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use pillion::action::transform::{Lookup, TransformedRequest, request};
use pillion::kriti::parse::parse_text;
use pillion::model::address::{AllowedHosts, is_private, literal, names_link_local};
use pillion::model::transform::RequestTransform;
use serde_json::{Value, json};
use url::Url;

const BASE: &str = "http://api.example:8080/v1";

/// A client's input in an address that a template makes of it. Whatever it is, the call goes to the handler's origin and not up
/// in its path, for every URL parser.
pub fn transformed_address(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    for template in [
        "{{$body}}",
        "{{$base_url}}{{$body}}",
        "{{$base_url}}/{{$body}}/x",
        "http://api.example:8080{{$body}}",
        "{{$base_url}}/{{escapeUri($body)}}?q={{$body}}",
    ] {
        let Ok(url) = transformed(template, Value::from(input)) else { continue };
        assert_stays(&url, template, input);
    }
}

fn transformed(template: &str, input: Value) -> Result<Url, String> {
    let handler: Url = BASE.parse().map_err(|error: url::ParseError| error.to_string())?;
    let template = parse_text(template).map_err(|error| error.to_string())?;
    let transform = RequestTransform { url: Some(template), ..RequestTransform::default() };
    let lookup = Lookup::of(BASE, &handler, input, json!({}), 64 * 1024);
    let untransformed = TransformedRequest {
        method: Method::POST,
        url: handler.clone(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    let outgoing = request(&transform, &lookup, untransformed).map_err(|error| error.to_string())?;
    Ok(outgoing.url)
}

fn assert_stays(url: &Url, template: &str, input: &str) {
    let text = url.as_str();
    let rest = text.strip_prefix("http://api.example:8080/");
    let rest = rest.unwrap_or_else(|| panic!("{template} of {input:?} leaves the handler: {text}"));
    let uri: http::Uri = format!("http://api.example:8080/{}", rest.split('#').next().unwrap_or_default())
        .parse()
        .unwrap_or_else(|error| panic!("another parser cannot read {text}: {error}"));
    assert_eq!(uri.authority().map(http::uri::Authority::as_str), Some("api.example:8080"), "{text}");
    let mut path = rest.split(['?', '#']).next().unwrap_or_default().to_owned();
    // Some servers decode twice.
    for _ in 0..3 {
        let is_up = path.split(['/', '\\']).any(|part| matches!(part, "." | ".."));
        assert!(!is_up, "{template} of {input:?} goes up: {text}");
        path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
}

/// The address of a handler, or a host that may be called. A link-local address, a cloud's metadata service or a private
/// address counts as one however it is written, and no host is allowed that is not named.
pub fn handler_address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let allowed = ["api.example.org", "*.svc.local", "[::1]:80"].map(str::to_owned);
    let allowed = AllowedHosts::parse(&allowed).unwrap_or_else(|host| panic!("{host}"));
    for text in [text.to_owned(), format!("http://{text}/")] {
        let Ok(url) = text.parse::<Url>() else { continue };
        let host = url.host_str().unwrap_or_default().to_owned();
        let is_allowed = host == "api.example.org"
            || host.ends_with(".svc.local")
            || host == "[::1]" && url.port_or_known_default() == Some(80);
        // Hosts of unsupported schemes keep their capital letters.
        let is_called = ["http", "https"].contains(&url.scheme());
        assert!(!is_called || allowed.allow(&url) == is_allowed, "{text}");
        let number = match literal(&url) {
            None => {
                assert!(!names_link_local(&url), "{text}");
                // What another reader takes for an address is none that we have overlooked.
                let other = host.trim_matches(['[', ']']).parse::<IpAddr>();
                assert!(!is_called || other.is_err(), "{text} is an address");
                continue;
            }
            Some(IpAddr::V4(address)) => (0xffff_u128 << 32) | u128::from(address.to_bits()),
            Some(IpAddr::V6(address)) => address.to_bits(),
        };
        // Version 4, as it is, mapped, or behind NAT64.
        let is_v4 = number >> 32 == 0xffff || number >> 32 == 0x0064_ff9b << 64;
        let v4 = number & 0xffff_ffff;
        let is_link_local = is_v4 && v4 >> 16 == 0xa9fe || !is_v4 && number >> 118 == 0xfe80 >> 6;
        assert!(!is_link_local || names_link_local(&url), "{text} is link-local");
        let is_near = is_v4 && (v4 >> 24 == 127 || v4 >> 24 == 10 || v4 >> 16 == 0xc0a8 || v4 >> 20 == 0xac1)
            || number == 1
            || !is_v4 && number >> 121 == 0xfc >> 1;
        assert!(!is_near || literal(&url).is_some_and(is_private), "{text} is private");
    }
}
