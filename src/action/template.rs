//! `{{VAR}}` templates in handler addresses and header values, compiled once, when the configuration is loaded.

use crate::model::action::ValuePiece;
use crate::model::secret::Secret;

/// Why a template cannot be used. Offsets are bytes of the template.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("\"{{{{\" has no \"}}}}\"")]
    Unclosed {
        /// Where it opens.
        offset: usize,
    },
    /// Between the braces stands nothing that we know.
    #[error("\"{expression}\" is neither a variable's name, nor REQUEST_ID, nor SESSION_VARIABLES['...']")]
    Unknown {
        /// What stands there.
        expression: String,
        /// Where it opens.
        offset: usize,
    },
    /// The environment has no such variable.
    #[error("the environment variable {name} is not set")]
    Missing {
        /// Its name.
        name: String,
        /// Where it opens.
        offset: usize,
    },
}

impl TemplateError {
    /// Where in the template the trouble starts.
    #[must_use]
    pub fn offset(&self) -> usize {
        match self {
            Self::Unclosed { offset } | Self::Unknown { offset, .. } | Self::Missing { offset, .. } => *offset,
        }
    }
}

/// Cuts a template into pieces, with the environment's variables filled in.
///
/// # Errors
/// [`TemplateError`], for the first thing that is wrong.
///
/// # Examples
/// ```
/// use pillion::action::template::compile;
///
/// let environment = |name: &str| (name == "HOST").then(|| "handlers".to_owned());
/// assert!(compile("http://{{HOST}}/quote", &environment).is_ok());
/// assert!(compile("http://{{HOST/quote", &environment).is_err());
/// ```
pub fn compile(template: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Vec<ValuePiece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after_open)) = rest.split_once("{{") {
        let offset = template.len() - after_open.len() - 2;
        let (expression, after) = after_open.split_once("}}").ok_or(TemplateError::Unclosed { offset })?;
        push_text(&mut pieces, text.to_owned());
        match piece_of(expression.trim(), offset, environment)? {
            ValuePiece::Text(value) => push_text(&mut pieces, value.expose().to_owned()),
            piece => pieces.push(piece),
        }
        rest = after;
    }
    push_text(&mut pieces, rest.to_owned());
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<ValuePiece>, text: String) {
    if !text.is_empty() {
        pieces.push(ValuePiece::Text(Secret::new(text)));
    }
}

fn piece_of(
    expression: &str,
    offset: usize,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ValuePiece, TemplateError> {
    if expression == "REQUEST_ID" {
        return Ok(ValuePiece::RequestId);
    }
    if let Some(name) = session_variable(expression) {
        return Ok(ValuePiece::SessionVariable(name.to_ascii_lowercase()));
    }
    let is_name = expression.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !expression.is_empty();
    if !is_name {
        return Err(TemplateError::Unknown { expression: expression.to_owned(), offset });
    }
    let value = environment(expression);
    let value = value.ok_or_else(|| TemplateError::Missing { name: expression.to_owned(), offset })?;
    Ok(ValuePiece::Text(Secret::new(value)))
}

/// `SESSION_VARIABLES['name']`, with either quote.
fn session_variable(expression: &str) -> Option<&str> {
    let index = expression.strip_prefix("SESSION_VARIABLES[")?.strip_suffix(']')?;
    let quoted = |quote: char| index.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(template: &str) -> Result<String, TemplateError> {
        let environment = |name: &str| (name == "API").then(|| "http://api".to_owned());
        let pieces = compile(template, &environment)?;
        Ok(pieces
            .iter()
            .map(|piece| match piece {
                ValuePiece::Text(text) => text.expose().to_owned(),
                ValuePiece::RequestId => "<id>".to_owned(),
                ValuePiece::SessionVariable(name) => format!("<{name}>"),
            })
            .collect())
    }

    #[test]
    fn templates() {
        assert_eq!(compiled("{{API}}/pay").as_deref(), Ok("http://api/pay"));
        assert_eq!(compiled("a {{ API }} b {{REQUEST_ID}}").as_deref(), Ok("a http://api b <id>"));
        let bearer = compiled("Bearer {{SESSION_VARIABLES['X-Hasura-Auth-Token']}}");
        assert_eq!(bearer.as_deref(), Ok("Bearer <x-hasura-auth-token>"));
        assert_eq!(compiled("no braces } { }}").as_deref(), Ok("no braces } { }}"));
        assert_eq!(compiled("a{{API"), Err(TemplateError::Unclosed { offset: 1 }));
        assert_eq!(compiled("{{NO}}"), Err(TemplateError::Missing { name: "NO".into(), offset: 0 }));
        assert!(matches!(compiled("x{{a.b}}"), Err(TemplateError::Unknown { offset: 1, .. })));
        assert!(matches!(compiled("{{}}"), Err(TemplateError::Unknown { offset: 0, .. })));
    }
}
