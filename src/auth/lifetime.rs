//! The lifetime of a fetched resource, from its `Cache-Control` and `Expires` headers.

use std::time::{Duration, SystemTime};

/// From `Cache-Control`, else from `Expires`. `None` if neither says so; zero if it must not be kept.
#[must_use]
pub(crate) fn lifetime(cache_control: Option<&str>, expires: Option<&str>) -> Option<Duration> {
    let Some(control) = cache_control else {
        let date = httpdate::parse_http_date(expires?).ok()?;
        return Some(date.duration_since(SystemTime::now()).unwrap_or_default());
    };
    let mut directives = control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    directives.find_map(|directive| match directive.as_str() {
        "no-cache" | "no-store" => Some(Duration::ZERO),
        other => other.strip_prefix("max-age=")?.trim_matches('"').parse().ok().map(Duration::from_secs),
    })
}
