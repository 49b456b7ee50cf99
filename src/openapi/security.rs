//! Security schemes as headers of actions, whose values come from environment variables.

use indexmap::IndexMap;

use crate::config::yaml::Node;
use crate::openapi::document::Document;
use crate::openapi::names::variable_name;
use crate::openapi::problem::Problem;

/// A header that an operation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// The header.
    pub(crate) header: String,
    /// The environment variable with the whole value of the header.
    pub(crate) variable: String,
    /// What that value is.
    pub(crate) purpose: String,
}

/// The schemes of a document.
pub(crate) struct Security<'d> {
    schemes: IndexMap<&'d str, Result<Credential, Problem>>,
    /// The requirements of operations that have none of their own.
    requirements: Option<&'d Node>,
}

impl<'d> Security<'d> {
    /// `variables` is what the names of environment variables begin with.
    pub(crate) fn new(document: &Document<'d>, variables: &str) -> Self {
        let root = document.root();
        let schemes = root.member("components").and_then(|components| components.member("securitySchemes"));
        let schemes = schemes.map(Node::entries).unwrap_or_default().iter().map(|(name, _, scheme)| {
            let variable = format!("{variables}_{}", variable_name(name));
            (name.as_str(), document.follow(scheme).and_then(|scheme| credential(scheme, name, variable)))
        });
        Self { schemes: schemes.collect(), requirements: root.member("security") }
    }

    /// The headers of the first alternative that headers can meet.
    pub(crate) fn of_operation(&self, operation: &Node) -> Result<Vec<Credential>, Problem> {
        let requirements = operation.member("security").or(self.requirements);
        let alternatives = requirements.map(Node::items).unwrap_or_default();
        let mut first = None;
        for alternative in alternatives {
            match self.all_of(alternative) {
                Ok(credentials) => return Ok(credentials),
                Err(problem) => {
                    first.get_or_insert(problem);
                }
            }
        }
        first.map_or_else(|| Ok(Vec::new()), Err)
    }

    fn all_of(&self, alternative: &Node) -> Result<Vec<Credential>, Problem> {
        let mut credentials: Vec<Credential> = Vec::new();
        for (name, ..) in alternative.entries() {
            let credential = match self.schemes.get(name.as_str()) {
                Some(Ok(credential)) => credential,
                Some(Err(problem)) => return Err(problem.clone()),
                None => {
                    let reason = format!("the security scheme \"{name}\" is not described");
                    return Err(Problem::at(alternative, reason, "add it to components.securitySchemes"));
                }
            };
            if !credentials.iter().any(|known| known.header.eq_ignore_ascii_case(&credential.header)) {
                credentials.push(credential.clone());
            }
        }
        Ok(credentials)
    }
}

fn credential(scheme: &Node, name: &str, variable: String) -> Result<Credential, Problem> {
    let text = |key: &str| scheme.member(key).and_then(Node::as_text);
    let unusable = |what: String| {
        let help = "give the API its credential in another way, for instance by a proxy in front of it";
        Err(Problem::at(scheme, format!("the security scheme \"{name}\" is {what}, and not a header"), help))
    };
    let authorization = |purpose: &str| {
        Ok(Credential { header: "Authorization".to_owned(), variable: variable.clone(), purpose: purpose.to_owned() })
    };
    match (text("type").unwrap_or_default(), text("in"), text("name"), text("scheme")) {
        ("apiKey", Some("header"), Some(header), _) if http::HeaderName::try_from(header).is_ok() => {
            let purpose = format!("the header {header}");
            Ok(Credential { header: header.to_owned(), variable, purpose })
        }
        ("apiKey", Some("cookie"), Some(cookie), _) => {
            Ok(Credential { header: "Cookie".to_owned(), variable, purpose: format!("\"{cookie}=…\"") })
        }
        ("apiKey", location, ..) => unusable(format!("a key in the {}", location.unwrap_or("?"))),
        ("http", _, _, Some(scheme)) if scheme.eq_ignore_ascii_case("basic") => {
            authorization("\"Basic …\" with user:password in base64")
        }
        ("http", _, _, Some(scheme)) if scheme.eq_ignore_ascii_case("bearer") => {
            authorization("\"Bearer …\" with a token")
        }
        ("http", _, _, Some(other)) => unusable(format!("HTTP authentication of the kind {other}")),
        ("oauth2" | "openIdConnect", ..) => authorization("\"Bearer …\" with an access token"),
        (other, ..) => unusable(format!("of the type {other}")),
    }
}
