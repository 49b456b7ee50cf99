//! Names in generated code: each once, none of them a keyword.

use std::collections::HashSet;

use heck::{ToLowerCamelCase as _, ToSnakeCase as _, ToUpperCamelCase as _};

/// Names of one scope.
pub(crate) struct Names {
    taken: HashSet<String>,
    reserved: &'static [&'static str],
}

impl Names {
    /// A scope in which these names cannot be given.
    pub(crate) fn new(reserved: &'static [&'static str]) -> Self {
        Self { taken: HashSet::new(), reserved }
    }

    /// The name itself if it is free; with an underscore if it is reserved; with a number if it is taken.
    pub(crate) fn take(&mut self, wanted: String) -> String {
        let base = if self.reserved.contains(&wanted.as_str()) { format!("{wanted}_") } else { wanted };
        let name = (1_usize..)
            .map(|number| if number == 1 { base.clone() } else { format!("{base}{number}") })
            .find(|name| !self.taken.contains(name))
            .unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }
}

/// `auth0_profile` is `Auth0Profile`.
pub(crate) fn upper_camel(name: &str) -> String {
    beginning_with_letter(name.to_upper_camel_case(), 'X')
}

/// `UserLogin` is `userLogin`.
pub(crate) fn lower_camel(name: &str) -> String {
    beginning_with_letter(name.to_lower_camel_case(), 'x')
}

/// `UserLogin` is `user_login`.
pub(crate) fn snake(name: &str) -> String {
    beginning_with_letter(name.to_snake_case(), 'x')
}

/// Names of GraphQL may consist of underscores and digits, of which nothing or a digit is left first.
fn beginning_with_letter(name: String, letter: char) -> String {
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name } else { format!("{letter}{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once() {
        let mut names = Names::new(&["type"]);
        let given: Vec<String> =
            ["a", "type", "a", "type", "a"].iter().map(|name| names.take((*name).into())).collect();
        assert_eq!(given, ["a", "type_", "a2", "type_2", "a3"]);
    }

    #[test]
    fn names_without_letters() {
        assert_eq!([snake("_"), snake("_1"), upper_camel("__"), lower_camel("_9a")], ["x", "x1", "X", "x9a"]);
        assert_eq!([snake("HTTPServer"), upper_camel("auth0_profile")], ["http_server", "Auth0Profile"]);
    }
}
