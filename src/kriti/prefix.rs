//! Finds what a text template always starts with, whatever a request holds: the host of a transformed URL, for example.

use crate::kriti::{Expression, Template, TextPiece};

/// The beginning of a template's value that no request changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantPrefix {
    /// The text.
    pub text: String,
    /// Is it the whole value?
    pub is_whole: bool,
}

/// The constant beginning of a template, with the variables that `known` knows filled in.
///
/// # Examples
/// ```
/// use pillion::kriti::parse::parse_text;
/// use pillion::kriti::prefix::constant_prefix;
///
/// let template = parse_text("{{$base_url}}/orders/{{$body.input.id}}").unwrap();
/// let known = |name: &str| (name == "$base_url").then(|| "http://shop".to_owned());
/// assert_eq!(constant_prefix(&template, &known).text, "http://shop/orders/");
/// ```
#[must_use]
pub fn constant_prefix(template: &Template, known: &dyn Fn(&str) -> Option<String>) -> ConstantPrefix {
    let mut prefix = ConstantPrefix { text: String::new(), is_whole: true };
    prefix.push(&template.root.expression, known);
    prefix
}

impl ConstantPrefix {
    fn push(&mut self, expression: &Expression, known: &dyn Fn(&str) -> Option<String>) {
        match expression {
            Expression::Literal(serde_json::Value::String(text)) => self.text.push_str(text),
            Expression::Variable(name) => match known(name) {
                Some(value) => self.text.push_str(&value),
                None => self.is_whole = false,
            },
            Expression::Text(pieces) => {
                for piece in pieces {
                    match piece {
                        TextPiece::Literal(text) => self.text.push_str(text),
                        TextPiece::Expression(node) => self.push(&node.expression, known),
                    }
                    if !self.is_whole {
                        return;
                    }
                }
            }
            _ => self.is_whole = false,
        }
    }

    /// Up to the end of the authority, if a request cannot change that.
    ///
    /// # Examples
    /// ```
    /// use pillion::kriti::prefix::ConstantPrefix;
    ///
    /// let prefix = |text: &str, is_whole| ConstantPrefix { text: text.to_owned(), is_whole };
    /// assert_eq!(prefix("http://shop:80/orders/", false).origin(), Some("http://shop:80"));
    /// assert_eq!(prefix("http://shop-", false).origin(), None);
    /// assert_eq!(prefix("http://shop", true).origin(), Some("http://shop"));
    /// ```
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        let start = self.text.find("://")? + 3;
        match self.text.get(start..)?.find(['/', '?', '#', '\\']) {
            Some(end) => self.text.get(..start + end),
            None => self.is_whole.then_some(self.text.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kriti::parse::parse_text;

    #[test]
    fn origins_of_urls() {
        for (template, origin) in [
            ("http://a.example/x?y={{$body.input.y}}", Some("http://a.example")),
            ("{{$base_url}}", Some("http://base:81")),
            ("{{$base_url}}/{{$body.input.id}}", Some("http://base:81")),
            ("{{ $base_url }}{{$body.input.path}}", None),
            ("http://{{$session_variables['x-hasura-region']}}.example/x", None),
            ("no address", None),
            ("", None),
        ] {
            let parsed = parse_text(template).expect(template);
            let known = |name: &str| (name == "$base_url").then(|| "http://base:81".to_owned());
            assert_eq!(constant_prefix(&parsed, &known).origin(), origin, "{template}");
        }
    }
}
