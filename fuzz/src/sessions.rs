//! Who is asking: what a client says of itself must not be read in another way than it stands there.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use pillion::internals::introduced;
use pillion::model::json::parse_strict;
use pillion::model::limits::Limits;
use pillion::protocol::http::{Body, read_body};
use pillion::protocol::query_string::read_query_string;
use pillion::session::claims::{self, JwtRules};
use pillion::session::header_checks;
use serde_json::{Map, Value};

/// The payload of `connection_init`. Each credential in it is used as written, or the payload is rejected; what came
/// with the opening request is not lost; and what comes out would be let in over HTTP as well.
pub fn connection_init(bytes: &[u8]) {
    let Ok(payload) = std::str::from_utf8(bytes) else { return };
    let protected = [HeaderName::from_static("x-token")];
    let opening = HeaderMap::from_iter([
        (http::header::AUTHORIZATION, HeaderValue::from_static("opening")),
        (http::header::COOKIE, HeaderValue::from_static("opening")),
        (http::header::CONNECTION, HeaderValue::from_static("Upgrade")),
    ]);
    let limits = Limits::default();
    let Ok((all, own)) = introduced(&opening, Some(payload), &limits, &protected) else { return };
    assert!(header_checks::check(&all, &limits, &protected).is_ok(), "over HTTP it would be rejected: {all:?}");
    assert!(header_checks::look_alikes(&own, &protected).is_empty(), "{own:?}");
    let text = |headers: &HeaderMap, name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
    for name in ["authorization", "cookie"] {
        let wanted = text(&own, name).unwrap_or_else(|| b"opening".to_vec());
        assert_eq!(text(&all, name), Some(wanted), "{name}");
    }
    // No duplicate keys are let in, so that the last one is the only one.
    let Ok(given) = serde_json::from_str::<Value>(payload) else { panic!("what is no JSON is let in") };
    if given.is_null() {
        return;
    }
    let named = match given.get("headers") {
        Some(Value::Null) => Map::new(),
        Some(Value::Object(headers)) => headers.clone(),
        Some(_) => panic!("'headers' is no object and is let in"),
        None => given.as_object().cloned().unwrap_or_else(|| panic!("the payload is no object and is let in")),
    };
    let mut credentials: BTreeMap<String, &Value> = BTreeMap::new();
    for (name, value) in &named {
        let name = name.to_ascii_lowercase();
        // One with an underscore could be taken for another, and goes.
        let is_credential = !name.contains('_') && header_checks::is_credential(&name) || name == "x-token";
        if is_credential && HeaderName::try_from(&name).is_ok() && !value.is_null() {
            assert!(credentials.insert(name, value).is_none(), "a credential is given twice and let in: {payload}");
        }
    }
    for (name, value) in &credentials {
        let value = value.as_str().map(|text| text.trim_matches([' ', '\t']).as_bytes().to_vec());
        assert!(value.is_some(), "{name} is no string and let in");
        let got = text(&own, name).map(|got| got.trim_ascii().to_vec());
        assert_eq!(got, value, "{name} is another one");
    }
    for name in own.keys().filter(|name| header_checks::is_credential(name.as_str())) {
        assert!(credentials.contains_key(name.as_str()), "{name} comes from nowhere");
    }
}

/// The query string of a GET. Its parameters are those that the URL Standard's parser finds, each given once at most; and the
/// request that they make is the same as that of a POST with them.
pub fn query_string(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = read_query_string(query) else { return };
    let parsed: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let read = [
        ("query", &read.query),
        ("operationName", &read.operation_name),
        ("variables", &read.variables),
        ("extensions", &read.extensions),
    ]
    .map(|(name, value)| {
        let given: Vec<&String> = parsed.iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect();
        assert_eq!(given, value.iter().collect::<Vec<_>>(), "{name}");
        value.clone()
    });
    let [Some(query), name, None | Some(_), _] = read else { return };
    let parameters = read_query_string(std::str::from_utf8(bytes).unwrap_or_default());
    let limits = Limits::default();
    let Ok(parameters) = parameters else { return };
    let Ok(Some(request)) = pillion::protocol::query_string::request_of(&parameters, &limits) else { return };
    assert_eq!((request.query.as_ref(), request.operation_name.as_deref()), (query.as_str(), name.as_deref()));
    if request.excess.is_some() {
        return;
    }
    let json = parameters.to_json();
    let Ok(Body::One(element)) = read_body(json.as_bytes(), &limits) else { panic!("no body: {json}") };
    let Ok(Some(posted)) = element.request else { panic!("no request: {json}") };
    assert_eq!((posted.query, posted.operation_name), (request.query, request.operation_name), "{json}");
    let members = |object: &pillion::model::json::RawObject<'_>| {
        object.0.iter().map(|(name, raw)| (name.to_string(), raw.get().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(members(&posted.variables), members(&request.variables), "{json}");
}

/// Ways of saying where in a token the session is.
fn rules() -> &'static [JwtRules] {
    static RULES: OnceLock<Vec<JwtRules>> = OnceLock::new();
    RULES.get_or_init(|| {
        let key = r#""type":"HS256","key":"0123456789abcdef0123456789abcdef""#;
        let of = |more: &str| JwtRules::parse(&format!("{{{key}{more}}}")).unwrap_or_else(|error| panic!("{error}"));
        vec![
            of(""),
            of(r#","claims_namespace_path":"$.hasura.claims""#),
            of(r#","claims_format":"stringified_json""#),
            of(
                r#","claims_map":{"x-hasura-allowed-roles":{"path":"$.roles"},"x-hasura-default-role":{"path":"$.role","default":"user"},"x-hasura-user-id":{"path":"$.sub"}}"#,
            ),
            of(r#","audience":["a","b"],"issuer":"i","allowed_skew":5"#),
        ]
    })
}

/// A verified token's claims: in the first line the role that is asked for (none, if it is empty), then the claims. No
/// session has a role or a variable that the token does not grant; a time that cannot be read is rejected.
pub fn claims(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (requested, json) = text.split_once('\n').unwrap_or(("", text));
    let Ok(Value::Object(claims)) = parse_strict(json.as_bytes()) else { return };
    let requested = Some(requested).filter(|role| !role.is_empty());
    for (index, rules) in rules().iter().enumerate() {
        check_times(rules, &claims);
        let Ok(session) = claims::session(rules, &claims, requested) else { continue };
        let granted = granted(index, &claims);
        let role = session.role();
        assert!(granted.roles.iter().any(|granted| granted == role), "the role {role:?} is not granted by {json}");
        assert_eq!(requested.unwrap_or(&granted.default), role, "another role than the one that was asked for: {json}");
        for (name, value) in session.variables().filter(|(name, _)| *name != "x-hasura-role") {
            let wanted = granted.variables.get(name);
            assert_eq!(wanted.map(String::as_str), Some(value), "{name} is not in {json}");
        }
    }
}

struct Granted {
    roles: Vec<String>,
    default: String,
    variables: BTreeMap<String, String>,
}

/// What claims grant by these rules, read in the plainest way.
fn granted(rules: usize, claims: &Map<String, Value>) -> Granted {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let namespace = "https://hasura.io/jwt/claims";
    let entries: Map<String, Value> = match rules {
        0 | 4 => claims.get(namespace).and_then(Value::as_object).cloned().unwrap_or_default(),
        1 => claims.get("hasura").and_then(|hasura| hasura.get("claims")?.as_object()).cloned().unwrap_or_default(),
        2 => {
            let text = claims.get(namespace).and_then(Value::as_str).unwrap_or_default();
            serde_json::from_str(text).unwrap_or_default()
        }
        _ => {
            let user = Value::from("user");
            let of = |name: &str, value: Option<&Value>| Some((name.to_owned(), value?.clone()));
            [
                of("x-hasura-allowed-roles", claims.get("roles")),
                of("x-hasura-default-role", claims.get("role").or(Some(&user))),
                of("x-hasura-user-id", claims.get("sub")),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
    };
    let by_name: BTreeMap<String, Value> =
        entries.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let roles = by_name.get("x-hasura-allowed-roles").and_then(Value::as_array).cloned().unwrap_or_default();
    Granted {
        roles: roles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        default: by_name.get("x-hasura-default-role").map(text).unwrap_or_default(),
        variables: by_name.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
    }
}

/// In 2033.
const NOW: i64 = 2_000_000_000;

fn check_times(rules: &JwtRules, given: &Map<String, Value>) {
    if claims::check_registered(rules, given, NOW).is_err() {
        return;
    }
    let skew = i32::try_from(rules.allowed_skew).map_or(f64::MAX, f64::from);
    let seconds = |name: &str| {
        let value = given.get(name)?;
        Some(value.as_f64().unwrap_or_else(|| panic!("{name} is {value} and let in")))
    };
    // Fractions are cut off.
    let now = 2_000_000_000.0;
    assert!(seconds("exp").is_none_or(|expiry| now < expiry + skew), "it has expired: {given:?}");
    assert!(seconds("nbf").is_none_or(|start| now > start - skew - 1.0), "it is not valid yet: {given:?}");
    if let Some(wanted) = &rules.issuer {
        assert_eq!(given.get("iss").and_then(Value::as_str), Some(wanted.as_str()));
    }
    if let Some(wanted) = &rules.audience {
        let offered = match given.get("aud") {
            Some(Value::Array(many)) => many.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        assert!(offered.iter().any(|one| wanted.iter().any(|wanted| one == wanted)), "another audience: {given:?}");
    }
}
