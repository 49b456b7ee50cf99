//! Formats of settings that are more than a string, as regular expressions for the JSON Schema. They have neither
//! look-around nor back references, so that every validator can read them. That the program accepts what they match, and
//! nothing else, is a property test (`tests/tables/schemas.rs`).

/// The format of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A listen address; see [`crate::config::listen_address`].
    Listen,
    /// The name of a host, without a port.
    HostName,
    /// The name of a header.
    HeaderName,
    /// What a name in GraphQL can start with.
    NamePrefix,
    /// A URL of http or https with neither user nor query.
    HttpUrl,
    /// A URL of http or https.
    HookUrl,
    /// Any URL with a host.
    Url,
    /// An absolute path.
    Path,
    /// An origin, with `*.` before its host for those one below, or `*`.
    Origin,
    /// An address or a network in CIDR notation.
    Network,
    /// A host with or without a port, and `*.` for all below it.
    AllowedHost,
    /// A rate limit: text, or an object.
    RateLimit,
    /// The job store's URL.
    JobStore,
    /// The address of Redis; see [`crate::model::redis_address`].
    Redis,
    /// Failures after which a job is retried.
    RetryOn,
    /// Visible characters of ASCII.
    Token,
    /// A number from 0 to 1.
    Ratio,
    /// `name=value`, with commas between.
    Pairs,
    /// Keys of Standard Webhooks, with spaces between.
    SigningSecrets,
    /// The name of a session variable.
    SessionVariable,
    /// A header of a handler's response that the client may get.
    ResponseHeader,
    /// A parameter of a URL that may be forwarded.
    ForwardedParam,
    /// The name of a cookie.
    CookieName,
    /// The name of a claim, or a JSON path.
    ClaimPath,
}

/// Headers of our own response, and of its connection, that no handler may write. Cookies are forwarded by default.
pub const OWN_HEADERS: [&str; 14] = [
    "content-type",
    "content-length",
    "content-encoding",
    "x-request-id",
    "set-cookie",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What GraphQL itself has in a URL.
pub const GRAPHQL_PARAMS: [&str; 4] = ["query", "variables", "operationName", "extensions"];

/// 0 to 65535.
macro_rules! port {
    () => {
        "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})"
    };
}

macro_rules! v4 {
    () => {
        "((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    };
}

macro_rules! v6 {
    () => {
        "([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,5})?::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,5})?"
    };
}

macro_rules! host {
    () => {
        concat!("([A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*|\\[(", v6!(), ")\\])")
    };
}

/// A host with or without a port.
macro_rules! node {
    () => {
        concat!(host!(), "(:0*[1-9][0-9]{0,4})?")
    };
}

/// Several, with commas between.
macro_rules! nodes {
    () => {
        concat!(node!(), "(,", node!(), ")*")
    };
}

macro_rules! unit {
    () => {
        "(ms|msec|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
    };
}

macro_rules! part {
    () => {
        concat!("[0-9]+(\\.[0-9]+)? *", unit!())
    };
}

/// One part of a duration, of at most a day, or several.
macro_rules! duration {
    () => {
        concat!(
            "([1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)( *(s|secs?|seconds?))?",
            "|([1-9][0-9]{0,6}|[1-7][0-9]{7}|8[0-5][0-9]{6}|86[0-3][0-9]{5}|86400000) *(ms|msec)",
            "|([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440) *(m|mins?|minutes?)",
            "|([1-9]|1[0-9]|2[0-4]) *(h|hrs?|hours?)|1 *(d|days?)",
            "|([0-9]+\\.[0-9]*[1-9][0-9]*|[0-9]*[1-9][0-9]*\\.[0-9]+) *",
            unit!(),
            "|(",
            part!(),
            " *)+[0-9]*[1-9][0-9]*(\\.[0-9]+)? *",
            unit!(),
            "|[0-9]*[1-9][0-9]*(\\.[0-9]+)? *",
            unit!(),
            "( *",
            part!(),
            ")+"
        )
    };
}

/// A span of time that is longer than zero.
pub const DURATION: &str = concat!("^(", duration!(), ")$");

/// A span of time.
pub const DURATION_OR_ZERO: &str = concat!("^(", duration!(), "|0+( *", unit!(), "( *0+ *", unit!(), ")*)?)$");

/// A number of bytes.
pub const BYTES: &str =
    "^([0-9]*[1-9][0-9]*( *([kKmMgGtT][iI]?[bB]?|[bB]))?|([0-9]*[1-9][0-9]*\\.[0-9]*) *([kKmMgGtT][iI]?[bB]?|[bB]))$";

/// `true` or `false` in any of Hasura's spellings.
pub const BOOL: &str = "^([Tt]([Rr][Uu][Ee])?|[Yy]([Ee][Ss])?|[Ff]([Aa][Ll][Ss][Ee])?|[Nn][Oo]?)$";

/// A whole number of at least one, written as a string.
pub const COUNT: &str = "^0*[1-9][0-9]{0,17}$";

/// A whole number, written as a string.
pub const NUMBER: &str = "^[0-9]{1,18}$";

/// Not blank.
pub const SECRET: &str = "\\S";

impl Format {
    /// The regular expression that its texts match.
    #[must_use]
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Listen => {
                concat!(
                    "^(",
                    port!(),
                    "|(([Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt])?|",
                    v4!(),
                    "|\\[(",
                    v6!(),
                    ")\\]):",
                    port!(),
                    ")$"
                )
            }
            Self::HostName => "^[A-Za-z0-9._-]+$",
            Self::HeaderName | Self::ResponseHeader | Self::CookieName => "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            Self::NamePrefix => "^([A-Za-z][A-Za-z0-9_]*|_([A-Za-z0-9][A-Za-z0-9_]*)?)?$",
            Self::HttpUrl => concat!("^[Hh][Tt][Tt][Pp][Ss]?://", host!(), "(:", port!(), ")?(/[!$-;=@-Z_a-z~]*)?$"),
            Self::HookUrl => "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#\\s]+[^\\s]*$",
            Self::Url => "^[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\s]+[^\\s]*$",
            Self::Path => "^/[!$-;=@-Z_a-z~]*$",
            Self::Origin => "^(\\*|[A-Za-z0-9]+://(\\*\\.)?[^/*@?#\\s]+)$",
            Self::Network => {
                concat!("^(", v4!(), "(/([0-9]|[12][0-9]|3[0-2]))?|(", v6!(), ")(/([0-9]{1,2}|1[01][0-9]|12[0-8]))?)$")
            }
            Self::AllowedHost => concat!("^(\\*\\.)?", host!(), "(:", port!(), ")?$"),
            Self::RateLimit => {
                concat!(
                    "^\\s*0*[1-9][0-9]{0,8}\\s+per\\s+(",
                    duration!(),
                    ")(\\s+by\\s+(address|[Xx]-[Hh][Aa][Ss][Uu][Rr][Aa]-\\S+))?\\s*$"
                )
            }
            Self::JobStore => "^(sqlite://.+|postgres(ql)?://.*)$",
            Self::Redis => concat!(
                "^((rediss?|valkeys?)://([^/?#\\s]*@)?",
                node!(),
                "(/[0-9]{0,5}/*)?(\\?\\S*)?|(rediss?|valkeys?)\\+cluster://([^/?#]*@)?",
                nodes!(),
                "(/0?/*)?|(rediss?|valkeys?)\\+sentinel://([^/?#]*@)?",
                nodes!(),
                "/[^/?#@]+(/[0-9]{1,5})?/*|((rediss?|valkeys?)\\+)?unix://[^?#\\s]*/\\S+)$"
            ),
            Self::RetryOn => "^\\s*(connection|timeout|5xx|429)\\s*(,\\s*(connection|timeout|5xx|429)\\s*)*$",
            Self::Token => "^[!-~]+$",
            Self::Ratio => "^(0+(\\.[0-9]*)?|0*\\.[0-9]+|0*1(\\.0*)?)$",
            Self::Pairs => "^\\s*[^=,\\s][^=,]*=[^,]*(,\\s*[^=,\\s][^=,]*=[^,]*)*$",
            Self::SigningSecrets => "^\\s*whsec_[A-Za-z0-9+/]{32,}={0,2}(\\s+whsec_[A-Za-z0-9+/]{32,}={0,2})*\\s*$",
            Self::SessionVariable => "^[Xx]-[Hh][Aa][Ss][Uu][Rr][Aa]-",
            Self::ForwardedParam => ".",
            // Whether a path that begins with $ is one, only its parser knows.
            Self::ClaimPath => "\\S",
        }
    }

    /// Texts that match the pattern and are rejected nevertheless.
    #[must_use]
    pub fn except(self) -> &'static [&'static str] {
        match self {
            Self::ResponseHeader => &OWN_HEADERS,
            Self::ForwardedParam => &GRAPHQL_PARAMS,
            _ => &[],
        }
    }

    /// What to write, for a message.
    #[must_use]
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Listen => "an address such as 127.0.0.1:8000, localhost:8000 or :8000",
            Self::Ratio => "a number from 0.0 to 1.0",
            Self::RateLimit => "5 per 60s, 5 per 60s by address or 5 per 60s by x-hasura-user-id",
            _ => "a string",
        }
    }

    /// Is this number of YAML one of its texts? A port, a ratio, a status.
    #[must_use]
    pub fn takes_numbers(self) -> bool {
        matches!(self, Self::Listen | Self::Ratio | Self::RetryOn)
    }
}
