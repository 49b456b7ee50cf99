//! Names that GraphQL can have for names of an OpenAPI document: <https://spec.graphql.org/September2025/#Name>. A name that
//! is one already stays as it is.

use std::collections::HashSet;

/// Characters of a name; longer ones are cut.
const LENGTH_MAX: usize = 120;

/// The name of a field, an argument or an action.
pub(crate) fn field_name(text: &str) -> String {
    if is_name(text) {
        return text.to_owned();
    }
    let words = words(text);
    let rest = words.iter().skip(1).map(|word| capitalized(word));
    let name: String = words.first().map(|first| (*first).to_owned()).into_iter().chain(rest).collect();
    valid(&name, "field")
}

/// The same for a header: `X-Request-Id` is `xRequestId`.
pub(crate) fn header_argument(text: &str) -> String {
    let name = field_name(text);
    if is_name(text) { name } else { with_first(&name, |first| first.to_ascii_lowercase()) }
}

/// The name of a type.
pub(crate) fn type_name(text: &str) -> String {
    let name: String = words(text).into_iter().map(capitalized).collect();
    valid(&name, "Type")
}

/// The name of a value of an enum.
pub(crate) fn enum_value(text: &str) -> String {
    if is_name(text) && !["true", "false", "null"].contains(&text) {
        return text.to_owned();
    }
    // Orders of sorting are such values: `-price`, `+price`.
    let sign = match text.chars().next() {
        Some('-') => "minus_",
        Some('+') => "plus_",
        _ => "",
    };
    let name = format!("{sign}{}", words(text).join("_"));
    let name = if ["true", "false", "null"].contains(&name.as_str()) { format!("_{name}") } else { name };
    valid(&name, "EMPTY")
}

/// The name of an environment variable.
pub(crate) fn variable_name(text: &str) -> String {
    let mut name = String::new();
    for word in words(text) {
        if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        let mut was_lower = false;
        for character in word.chars() {
            if character.is_ascii_uppercase() && was_lower {
                name.push('_');
            }
            was_lower = character.is_ascii_lowercase();
            name.push(character.to_ascii_uppercase());
        }
    }
    valid(&name, "API")
}

/// The text with its first letter in upper case.
pub(crate) fn capitalized(text: &str) -> String {
    with_first(text, |first| first.to_ascii_uppercase())
}

fn with_first(text: &str, change: impl Fn(char) -> char) -> String {
    let mut characters = text.chars();
    characters.next().map(change).into_iter().chain(characters).collect()
}

/// Names that begin with two underscores belong to introspection.
fn is_name(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let starts = |character: char| character.is_ascii_alphabetic() || character == '_';
    text.len() <= LENGTH_MAX && text.chars().all(is_part) && text.starts_with(starts) && !text.starts_with("__")
}

fn words(text: &str) -> Vec<&str> {
    let is_separator = |character: char| !(character.is_ascii_alphanumeric() || character == '_');
    text.split(is_separator).filter(|word| !word.is_empty()).collect()
}

fn valid(name: &str, otherwise: &str) -> String {
    let name: String = name.chars().take(LENGTH_MAX).collect();
    let inner = name.trim_start_matches('_');
    match inner.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_digit() || name.starts_with('_') => format!("_{inner}"),
        Some(_) => name,
    }
}

/// Names that are taken, so that two things do not get the same one.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashSet<String>);

impl Taken {
    /// The name, or the name with the first number that makes it unique.
    pub(crate) fn take(&mut self, name: &str) -> String {
        if self.0.insert(name.to_owned()) {
            return name.to_owned();
        }
        let numbered = (2_u32..).map(|number| format!("{name}{number}")).find(|numbered| !self.0.contains(numbered));
        let numbered = numbered.unwrap_or_else(|| name.to_owned());
        self.0.insert(numbered.clone());
        numbered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_graphql() {
        for (text, wanted) in [
            ("petId", "petId"),
            ("pet_id", "pet_id"),
            ("first-name", "firstName"),
            ("filter[status]", "filterStatus"),
            ("3d", "_3d"),
            ("__type", "_type"),
            ("größe", "grE"),
            ("+", "field"),
        ] {
            assert_eq!(field_name(text), wanted, "{text}");
        }
        assert_eq!(header_argument("X-Request-Id"), "xRequestId");
        for (text, wanted) in [("pet-item", "PetItem"), ("com.example.Page«Pet»", "ComExamplePagePet"), ("", "Type")]
        {
            assert_eq!(type_name(text), wanted, "{text}");
        }
        for (text, wanted) in [
            ("in-progress", "in_progress"),
            ("true", "_true"),
            ("-price", "minus_price"),
            ("", "EMPTY"),
            ("OPEN", "OPEN"),
        ] {
            assert_eq!(enum_value(text), wanted, "{text}");
        }
        for (text, wanted) in
            [("Pet store", "PET_STORE"), ("apiKey", "API_KEY"), ("X-Api-Key", "X_API_KEY"), ("§", "API")]
        {
            assert_eq!(variable_name(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_name_is_given_once() {
        let mut taken = Taken::default();
        assert_eq!([taken.take("Pet"), taken.take("Pet"), taken.take("Pet")], ["Pet", "Pet2", "Pet3"]);
    }
}
