//! Which of a client's headers may be forwarded to handlers.

use http::header;
use http::header::HeaderName;

/// Client headers that are not forwarded by default: Hasura's `commonClientHeadersIgnored`.
pub const IGNORED_BY_DEFAULT: [&str; 14] = [
    "content-length",
    "content-md5",
    "user-agent",
    "host",
    "origin",
    "referer",
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-datetime",
    "cache-control",
    "connection",
    "dnt",
    "content-type",
];

/// The same as Hasura spells them in its exports.
pub const IGNORED_AS_EXPORTED: [&str; 14] = [
    "Content-Length",
    "Content-MD5",
    "User-Agent",
    "Host",
    "Origin",
    "Referer",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Datetime",
    "Cache-Control",
    "Connection",
    "DNT",
    "Content-Type",
];

/// Client headers that are never forwarded, whatever is configured: they describe the body, which is ours, or what the
/// client expects of us. Hop-by-hop headers are not forwarded either.
pub static NEVER_FORWARDED: [HeaderName; 7] = [
    header::HOST,
    header::USER_AGENT,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

/// Our own user agent. Platforms reject requests without one.
pub const USER_AGENT: &str = concat!("pillion/", env!("CARGO_PKG_VERSION"));
