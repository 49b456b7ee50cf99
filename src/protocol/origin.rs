//! Allowed origins, as Hasura's `HASURA_GRAPHQL_CORS_DOMAIN` names them.

/// Which origins are allowed. Clients other than browsers have none, and are not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All of them.
    Any,
    /// These.
    Listed(Vec<Pattern>),
}

/// `https://shop.example`, `http://localhost:3000`, or `https://*.shop.example` for everything one level below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Scheme with `://`, in small letters.
    scheme: String,
    /// Is there a `*.` before the rest?
    is_wild: bool,
    /// Host and port, in small letters.
    host: String,
}

impl Origins {
    /// Reads a list; `Err` is the one that is no origin.
    ///
    /// # Errors
    /// That text.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let named = texts.iter().filter(|text| *text != "*");
        let patterns: Vec<Pattern> =
            named.map(|text| Pattern::parse(text).ok_or_else(|| text.clone())).collect::<Result<_, _>>()?;
        Ok(if patterns.len() < texts.len() { Self::Any } else { Self::Listed(patterns) })
    }

    /// Is this origin named, and not only one of all?
    #[must_use]
    pub fn names(&self, origin: &str) -> bool {
        matches!(self, Self::Listed(_)) && self.allow(origin)
    }

    /// May a page of this origin talk to us?
    ///
    /// # Examples
    /// ```
    /// use pillion::protocol::origin::Origins;
    ///
    /// let origins = Origins::parse(&["https://*.example.com".to_owned()]).unwrap();
    /// assert!(origins.allow("https://shop.example.com"));
    /// assert!(!origins.allow("https://example.org"));
    /// ```
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches(&origin.to_ascii_lowercase())),
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.strip_prefix("*.");
        let (is_wild, host) = (host.is_some(), host.unwrap_or(rest));
        let has_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_host = !host.is_empty() && !host.contains(['/', '*', '@', '?', '#', ' ']);
        (has_scheme && is_host).then(|| Self { scheme: format!("{scheme}://"), is_wild, host: host.to_owned() })
    }

    fn matches(&self, origin: &str) -> bool {
        let Some(rest) = origin.strip_prefix(&self.scheme) else { return false };
        if !self.is_wild {
            return rest == self.host;
        }
        rest.strip_suffix(&self.host)
            .and_then(|below| below.strip_suffix('.'))
            .is_some_and(|below| !below.is_empty() && !below.contains('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_origins() {
        let parse = |texts: &[&str]| Origins::parse(&texts.iter().map(|&text| text.into()).collect::<Vec<_>>());
        let origins = parse(&["https://shop.example", " https://*.Shop.example", "http://localhost:3000"]);
        let Ok(origins) = origins else { panic!("{origins:?}") };
        for allowed in ["https://shop.example", "HTTPS://a.shop.example", "http://localhost:3000"] {
            assert!(origins.allow(allowed), "{allowed}");
        }
        let rejected = [
            "http://shop.example",
            "https://a.b.shop.example",
            "https://.shop.example",
            "https://evilshop.example",
            "https://shop.example.evil",
            "https://shop.example:444",
            "http://localhost",
            "null",
            "",
        ];
        for rejected in rejected {
            assert!(!origins.allow(rejected), "{rejected}");
        }
        assert_eq!(parse(&["https://a", "*"]), Ok(Origins::Any));
        assert!(Origins::Any.allow("null"));
        for wrong in ["shop.example", "https://", "https://a/b", "https://a.*.b", "://a"] {
            assert_eq!(parse(&[wrong]), Err(wrong.to_owned()));
        }
    }
}
