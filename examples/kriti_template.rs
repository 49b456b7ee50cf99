//! Renders a Kriti template, as the transforms of an action do.
//!
//! `cargo run --example kriti_template`

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "an example that goes wrong may end")]

use std::borrow::Cow;

use pillion::kriti::eval::{Environment, evaluate};
use pillion::kriti::parse::parse;
use serde_json::json;

/// What the result may take.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

fn main() {
    let body = json!({ "input": { "name": "Ada", "items": [1, 2, 3] } });
    let environment = Environment {
        variables: [("$body", Cow::Borrowed(&body))].into_iter().collect(),
        session_variable: &|name| (name == "x-hasura-user-id").then(|| "7".to_owned()),
    };
    for source in [
        r#"{ "greeting": "Hello {{$body.input.name}}", "first": {{$body.input.items[0]}} }"#,
        r#"[{{ range _, item := $body.input.items }} {{ item }} {{ end }}]"#,
        r#"{{ $body.input.missing }}"#,
    ] {
        let value = parse(source).and_then(|template| evaluate(&template, &environment, OUTPUT_BYTES_MAX));
        match value {
            Ok(value) => println!("{source}\n  => {value}"),
            Err(error) => println!("{source}\n  => error: {error}"),
        }
    }
}
