//! "Did you mean …?": existing names that are near to one that does not exist, found and worded as graphql-js does.

/// Suggestions in one message, as in graphql-js.
const SUGGESTIONS_MAX: usize = 5;

/// Longer names are not compared: the comparison takes time that grows with the product of the lengths.
const NAME_LENGTH_MAX: usize = 64;

/// Names that are compared with one that does not exist; a schema may have many thousand types.
const OPTIONS_MAX: usize = 10_000;

/// ` Did you mean "a", "b", or "c"?` with the names among `options` that are near to `input`, or nothing.
///
/// # Examples
/// ```
/// use pillion::graphql::suggestions::did_you_mean;
///
/// assert_eq!(did_you_mean("nmae", ["name", "age"].into_iter()), " Did you mean \"name\"?");
/// ```
#[must_use]
pub fn did_you_mean<'o>(input: &str, options: impl Iterator<Item = &'o str>) -> String {
    question("", &near(input, options))
}

/// The same for values of an enum.
#[must_use]
pub fn did_you_mean_enum_value<'o>(input: &str, options: impl Iterator<Item = &'o str>) -> String {
    question("the enum value ", &near(input, options))
}

/// ` Did you mean to use an inline fragment on "A" or "B"?`, or nothing.
#[must_use]
pub fn did_you_mean_fragment_on(type_names: &[&str]) -> String {
    question("to use an inline fragment on ", type_names)
}

fn question(what: &str, names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().take(SUGGESTIONS_MAX).map(|name| format!("\"{name}\"")).collect();
    let listed = match quoted.as_slice() {
        [] => return String::new(),
        [only] => only.clone(),
        [first, second] => format!("{first} or {second}"),
        [most @ .., last] => format!("{}, or {last}", most.join(", ")),
    };
    format!(" Did you mean {what}{listed}?")
}

/// The names within graphql-js's threshold, the nearest first.
fn near<'o>(input: &str, options: impl Iterator<Item = &'o str>) -> Vec<&'o str> {
    if input.len() > NAME_LENGTH_MAX {
        return Vec::new();
    }
    let threshold = input.len() * 2 / 5 + 1;
    let mut found: Vec<(usize, &str)> = options
        .take(OPTIONS_MAX)
        .filter_map(|option| distance(input, option, threshold).map(|distance| (distance, option)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, option)| option).collect()
}

/// How many letters have to be inserted, removed, exchanged or swapped with their neighbour; a difference in case only
/// counts as one. `None` beyond `threshold`.
fn distance(input: &str, option: &str, threshold: usize) -> Option<usize> {
    if input == option {
        return Some(0);
    }
    if input.eq_ignore_ascii_case(option) {
        return Some(1);
    }
    if input.len().abs_diff(option.len()) > threshold {
        return None;
    }
    let lower = |text: &str| text.bytes().map(|byte| byte.to_ascii_lowercase()).collect::<Vec<u8>>();
    let (a, b) = (lower(option), lower(input));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let exchanged = cell(&above, column) + usize::from(letter != other);
            let mut least = exchanged.min(cell(&above, column + 1) + 1).min(cell(&current, column) + 1);
            let is_swapped =
                row > 0 && column > 0 && a.get(row - 1) == Some(other) && b.get(column - 1) == Some(letter);
            if is_swapped {
                least = least.min(cell(&before, column - 1) + 1);
            }
            current.push(least);
        }
        if current.iter().all(|cell| *cell > threshold) {
            return None;
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().filter(|distance| *distance <= threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_graphql_js_suggests() {
        for (input, options, wanted) in [
            ("greenis", vec!["greeting", "green"], " Did you mean \"green\" or \"greeting\"?"),
            ("verylongstring", vec!["a"], ""),
            ("", vec!["a"], " Did you mean \"a\"?"),
            ("abc", vec!["a", "ab", "abc"], " Did you mean \"abc\", \"ab\", or \"a\"?"),
            ("ABC", vec!["abc"], " Did you mean \"abc\"?"),
            ("nmae", vec!["id", "name"], " Did you mean \"name\"?"),
            ("productsById", vec!["productById", "reviews"], " Did you mean \"productById\"?"),
        ] {
            assert_eq!(did_you_mean(input, options.into_iter()), wanted, "{input}");
        }
        assert_eq!(
            did_you_mean_enum_value("FAS", ["FAST", "SLOW"].into_iter()),
            " Did you mean the enum value \"FAST\"?"
        );
        assert_eq!(
            did_you_mean_fragment_on(&["A", "B", "C", "D", "E", "F"]),
            " Did you mean to use an inline fragment on \"A\", \"B\", \"C\", \"D\", or \"E\"?"
        );
        assert_eq!(did_you_mean(&"x".repeat(1_000), ["x"].into_iter()), "");
    }
}
