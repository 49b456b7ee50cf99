//! The headers by which a handler knows that Pillion calls it.

use crate::model::action::{Action, WrittenValue};

const ADMIN_SECRET: &str = "x-hasura-admin-secret";

/// Configured headers whose value is that of one environment variable: name and variable. The admin secret is one if the
/// action gets it.
pub(crate) fn secrets_of(action: &Action) -> Vec<(String, String)> {
    let mut secrets: Vec<(String, String)> = Vec::new();
    for header in &action.headers.configured {
        let name = header.name.as_str();
        let variable = match &header.written {
            WrittenValue::FromEnvironment(variable) => Some(variable.clone()),
            WrittenValue::Template(text) => variable_of(text).map(str::to_owned),
            WrittenValue::Plain => (name == ADMIN_SECRET).then(|| "HASURA_GRAPHQL_ADMIN_SECRET".to_owned()),
        };
        if let Some(variable) = variable.filter(|_| !secrets.iter().any(|(known, _)| known == name)) {
            secrets.push((name.to_owned(), variable));
        }
    }
    secrets
}

/// `{{NAME}}` is a variable; `{{REQUEST_ID}}` and `{{SESSION_VARIABLES['…']}}` are none.
fn variable_of(template: &str) -> Option<&str> {
    let name = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let is_variable = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    (is_variable && name != "REQUEST_ID").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_templates() {
        assert_eq!(variable_of("{{API_KEY}}"), Some("API_KEY"));
        for other in ["Bearer {{API_KEY}}", "{{REQUEST_ID}}", "{{SESSION_VARIABLES['x-hasura-a']}}", "{{A}}{{B}}"] {
            assert_eq!(variable_of(other), None, "{other}");
        }
    }
}
