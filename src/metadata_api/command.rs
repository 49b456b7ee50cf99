//! Parses the commands of the metadata API: <https://hasura.io/docs/2.0/api-reference/metadata-api/index/>.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::action::template;
use crate::action::template::TemplateError;
use crate::config::sdl::parse_type;
use crate::config::stored_lists::KEYS;
use crate::metadata_api::error::{ApiError, Members};
use crate::metadata_api::stored_command;
use crate::metadata_api::stored_command::{StoredCommand, read_collection, read_endpoint, read_entry};
use crate::metadata_api::transform_test::TransformTest;

/// A command, well-formed but not carried out.
#[derive(Debug)]
pub(crate) enum Command {
    /// `create_action`
    CreateAction(ActionArgs),
    /// `update_action`
    UpdateAction(ActionArgs),
    /// `drop_action`
    DropAction {
        /// Which.
        name: String,
        /// Are its jobs deleted?
        clears_data: bool,
    },
    /// `create_action_permission`
    CreatePermission(PermissionArgs),
    /// `drop_action_permission`
    DropPermission(PermissionArgs),
    /// `set_custom_types`, which replaces them all.
    SetCustomTypes(Map<String, Value>),
    /// `export_metadata`
    Export {
        /// 1 or 2; the second has the version around it.
        version: u64,
    },
    /// `replace_metadata`
    Replace {
        /// The new metadata.
        metadata: Map<String, Value>,
        /// Does it stand in `args.metadata`?
        is_wrapped: bool,
        /// Does the response list inconsistent objects?
        tells_consistency: bool,
        /// Are inconsistent objects accepted as well?
        allows_inconsistent: bool,
    },
    /// `reload_metadata`
    Reload,
    /// `clear_metadata`
    Clear,
    /// `get_inconsistent_metadata`
    GetInconsistent,
    /// `drop_inconsistent_metadata`
    DropInconsistent,
    /// One about stored documents.
    Stored(StoredCommand),
    /// `test_webhook_transform`
    TestTransform(Box<TransformTest>),
    /// `bulk`, `bulk_atomic`, `bulk_keep_going`
    Bulk {
        /// One after the other.
        commands: Vec<Value>,
        /// Does a failure stop it?
        keeps_going: bool,
    },
    /// Anything else.
    Upstreams,
}

/// What makes an action.
#[derive(Debug)]
pub(crate) struct ActionArgs {
    /// Its name.
    pub name: String,
    /// `handler`, `arguments` and so on.
    pub definition: Map<String, Value>,
    /// Its description.
    pub comment: Option<String>,
}

/// The permissions of roles.
#[derive(Debug)]
pub(crate) struct PermissionArgs {
    /// The action.
    pub action: String,
    /// The role.
    pub role: String,
    /// Its description.
    pub comment: Option<String>,
}

/// A request's `type`.
#[must_use]
pub(crate) fn type_of(request: &Value) -> &str {
    request["type"].as_str().unwrap_or_default()
}

/// Commands about actions.
const OURS: [&str; 13] = [
    "create_action",
    "update_action",
    "drop_action",
    "create_action_permission",
    "drop_action_permission",
    "set_custom_types",
    "export_metadata",
    "replace_metadata",
    "reload_metadata",
    "clear_metadata",
    "get_inconsistent_metadata",
    "drop_inconsistent_metadata",
    "test_webhook_transform",
];

/// The commands inside a request that is a bulk of them.
fn bulk_of(request: &Value) -> &[Value] {
    let is_bulk = matches!(type_of(request), "bulk" | "bulk_atomic" | "bulk_keep_going");
    request["args"].as_array().filter(|_| is_bulk).map(Vec::as_slice).unwrap_or_default()
}

/// Does the text of a request mention actions or stored documents? It is not parsed into a tree for that: the sender may be
/// unauthenticated. An unreadable text does not.
#[must_use]
pub(crate) fn concerns_actions(request: &str) -> bool {
    concerns(request, BULKS_MAX)
}

/// Nested bulks that are followed; a deeper one counts as a request about actions.
const BULKS_MAX: usize = 8;

fn concerns(request: &str, depth_left: usize) -> bool {
    let Ok(members) = serde_json::from_str::<Peeked<'_>>(request) else { return false };
    match (members.kind.as_deref(), members.args) {
        (Some("bulk" | "bulk_atomic" | "bulk_keep_going"), Some(args)) => {
            let mut reader = serde_json::Deserializer::from_str(args.get());
            depth_left == 0 || BulkOf(depth_left - 1).deserialize(&mut reader).unwrap_or_default()
        }
        (Some(kind), _) => OURS.contains(&kind) || stored_command::NAMES.contains(&kind),
        (None, _) => false,
    }
}

/// The two members that matter. As in a tree, the last of those with one name counts.
#[derive(Default)]
struct Peeked<'r> {
    kind: Option<String>,
    args: Option<&'r RawValue>,
}

impl<'r> Deserialize<'r> for Peeked<'r> {
    fn deserialize<D: Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'r> Visitor<'r> for Reader {
            type Value = Peeked<'r>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a command")
            }

            fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<Peeked<'r>, A::Error> {
                let mut members = Peeked::default();
                while let Some(key) = map.next_key::<Cow<'r, str>>()? {
                    let value: &'r RawValue = map.next_value()?;
                    match key.as_ref() {
                        "type" => members.kind = serde_json::from_str(value.get()).ok(),
                        "args" => members.args = Some(value),
                        _ => {}
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The commands of a bulk, one after the other, with so many bulks left.
struct BulkOf(usize);

impl<'r> DeserializeSeed<'r> for BulkOf {
    type Value = bool;

    fn deserialize<D: Deserializer<'r>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'r> Visitor<'r> for BulkOf {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of commands")
    }

    fn visit_seq<A: SeqAccess<'r>>(self, mut commands: A) -> Result<bool, A::Error> {
        let mut is_concerned = false;
        while let Some(command) = commands.next_element::<&RawValue>()? {
            is_concerned |= concerns(command.get(), self.0);
        }
        Ok(is_concerned)
    }
}

/// Is any of the commands about stored documents? The depth of JSON bounds the recursion.
#[must_use]
pub(crate) fn is_about_documents(request: &Value) -> bool {
    stored_command::NAMES.contains(&type_of(request)) || bulk_of(request).iter().any(is_about_documents)
}

/// Does the upstream's schema count for what a request does? The depth of JSON bounds the recursion.
#[must_use]
pub(crate) fn is_about_types(request: &Value) -> bool {
    const OTHERS: [&str; 2] = ["export_metadata", "test_webhook_transform"];
    match bulk_of(request) {
        [] => OURS.contains(&type_of(request)) && !OTHERS.contains(&type_of(request)),
        commands => commands.iter().any(is_about_types),
    }
}

/// Reads a command.
///
/// # Errors
/// What is not well-formed in it.
pub(crate) fn read(request: &Value) -> Result<Command, ApiError> {
    let nothing = Value::Object(Map::new());
    let args = request.get("args").filter(|args| !args.is_null()).unwrap_or(&nothing);
    let version = request["version"].as_u64();
    Ok(match type_of(request) {
        "create_action" => Command::CreateAction(read_action(args)?),
        "update_action" => Command::UpdateAction(read_action(args)?),
        "drop_action" => {
            let args = Members::of(args, "$")?;
            Command::DropAction { name: args.text("name")?.to_owned(), clears_data: args.flag("clear_data", true)? }
        }
        "create_action_permission" => Command::CreatePermission(read_permission(args)?),
        "drop_action_permission" => Command::DropPermission(read_permission(args)?),
        "set_custom_types" => Command::SetCustomTypes(read_types(args, "$")?),
        "export_metadata" => Command::Export { version: version.unwrap_or(1) },
        "replace_metadata" => read_replace(args, version)?,
        "reload_metadata" => Command::Reload,
        "clear_metadata" => Command::Clear,
        "get_inconsistent_metadata" => Command::GetInconsistent,
        "drop_inconsistent_metadata" => Command::DropInconsistent,
        "test_webhook_transform" => Command::TestTransform(Box::new(TransformTest::read(args)?)),
        kind @ ("bulk" | "bulk_atomic" | "bulk_keep_going") => {
            let Value::Array(commands) = args else {
                return Err(ApiError::parse("$", "expected Array, but encountered something else"));
            };
            Command::Bulk { commands: commands.clone(), keeps_going: kind == "bulk_keep_going" }
        }
        kind if stored_command::NAMES.contains(&kind) => Command::Stored(stored_command::read(kind, args)?),
        _ => Command::Upstreams,
    })
}

fn read_action(args: &Value) -> Result<ActionArgs, ApiError> {
    let args = Members::of(args, "$")?;
    let name = args.text("name")?.to_owned();
    let definition = args.required("definition")?;
    check_definition(definition, &args.path("definition"))?;
    let comment = args.optional_text("comment")?.map(str::to_owned);
    Ok(ActionArgs { name, definition: definition.as_object().cloned().unwrap_or_default(), comment })
}

/// What Hasura rejects before it looks at the rest of the metadata.
fn check_definition(definition: &Value, path: &str) -> Result<(), ApiError> {
    let members = Members::of(definition, path)?;
    let handler = members.text("handler")?;
    check_template(handler, &members.path("handler"))?;
    check_type(&members, "output_type")?;
    for (index, argument) in members.list("arguments")?.iter().enumerate() {
        let argument = Members::of(argument, format!("{path}.arguments[{index}]"))?;
        argument.text("name")?;
        check_type(&argument, "type")?;
    }
    for (index, header) in members.list("headers")?.iter().enumerate() {
        let header = Members::of(header, format!("{path}.headers[{index}]"))?;
        header.text("name")?;
        if header.optional_text("value_from_env")?.is_some_and(|name| name.starts_with("HASURA_GRAPHQL_")) {
            let error = "env variables start with \"HASURA_GRAPHQL_\" are not allowed for value_from_env";
            return Err(ApiError::parse(format!("{path}.headers[{index}]"), error));
        }
    }
    let one_of = |key: &str, choices: &[&str]| match members.optional_text(key)? {
        Some(text) if !choices.contains(&text) => {
            let error = format!("expected {}, but found {text}", choices.join(" or "));
            Err(ApiError::parse(members.path(key), error))
        }
        _ => Ok(()),
    };
    one_of("type", &["mutation", "query"])?;
    // Of a query Hasura does not read it, and its command line sends an empty one for each.
    match members.get("type").and_then(Value::as_str) {
        Some("query") => one_of("kind", &["synchronous", "asynchronous", ""]),
        _ => one_of("kind", &["synchronous", "asynchronous"]),
    }
}

fn check_template(text: &str, path: &str) -> Result<(), ApiError> {
    // Whether a variable is set is another question.
    match template::compile(text, &|_| Some(String::new())) {
        Err(error @ (TemplateError::Unclosed { .. } | TemplateError::Unknown { .. })) => {
            Err(ApiError::parse(path, format!("Parsing URL template failed: {error}")))
        }
        _ => Ok(()),
    }
}

fn check_type(members: &Members<'_>, key: &str) -> Result<(), ApiError> {
    let text = members.text(key)?;
    match parse_type(text) {
        Some(_) => Ok(()),
        None => Err(ApiError::parse(members.path(key), format!("not a valid GraphQL type: {text}"))),
    }
}

fn read_permission(args: &Value) -> Result<PermissionArgs, ApiError> {
    let args = Members::of(args, "$")?;
    let (action, role) = (args.text("action")?.to_owned(), args.text("role")?.to_owned());
    Ok(PermissionArgs { action, role, comment: args.optional_text("comment")?.map(str::to_owned) })
}

/// The four lists of custom types and nothing else.
fn read_types(args: &Value, path: &str) -> Result<Map<String, Value>, ApiError> {
    let members = Members::of(args, path)?;
    let mut types = Map::new();
    for (list, fields) in [("enums", "values"), ("input_objects", "fields"), ("objects", "fields"), ("scalars", "")] {
        for (index, entry) in members.list(list)?.iter().enumerate() {
            let entry = Members::of(entry, format!("{path}.{list}[{index}]"))?;
            entry.text("name")?;
            if fields.is_empty() {
                continue;
            }
            for (index, field) in entry.list(fields)?.iter().enumerate() {
                let field = Members::of(field, format!("{}[{index}]", entry.path(fields)))?;
                if fields == "values" {
                    field.text("value")?;
                } else {
                    field.text("name")?;
                    check_type(&field, "type")?;
                }
            }
        }
        types.insert(list.into(), members.list(list)?.to_vec().into());
    }
    Ok(types)
}

fn read_replace(args: &Value, version: Option<u64>) -> Result<Command, ApiError> {
    let members = Members::of(args, "$")?;
    let is_wrapped = members.get("metadata").is_some();
    let (metadata, path) = match members.get("metadata") {
        Some(metadata) => (metadata, "$.metadata"),
        None => (args, "$"),
    };
    let content = Members::of(metadata, path)?;
    for (index, action) in content.list("actions")?.iter().enumerate() {
        let path = format!("{path}.actions[{index}]");
        let action = Members::of(action, path.clone())?;
        action.text("name")?;
        check_definition(action.required("definition")?, &format!("{path}.definition"))?;
        for (index, permission) in action.list("permissions")?.iter().enumerate() {
            Members::of(permission, format!("{path}.permissions[{index}]"))?.text("role")?;
        }
    }
    let mut metadata = metadata.as_object().cloned().unwrap_or_default();
    read_stored(&content, &mut metadata)?;
    if let Some(types) = content.get("custom_types") {
        metadata.insert("custom_types".into(), read_types(types, &format!("{path}.custom_types"))?.into());
    }
    let allows_inconsistent = is_wrapped && members.flag("allow_inconsistent_metadata", false)?;
    let tells_consistency = version == Some(2) || is_wrapped;
    Ok(Command::Replace { metadata, is_wrapped, tells_consistency, allows_inconsistent })
}

/// The stored documents of metadata that replaces others, as they are exported.
fn read_stored(content: &Members<'_>, metadata: &mut Map<String, Value>) -> Result<(), ApiError> {
    let entry = |value: &Value, path: &str| Ok(read_entry(&Members::of(value, path)?, false)?.to_json());
    type Reader<'r> = &'r dyn Fn(&Value, &str) -> Result<Value, ApiError>;
    let readers: [Reader<'_>; 3] = [&read_collection, &entry, &read_endpoint];
    for (key, read) in KEYS.into_iter().zip(readers) {
        let path = content.path(key);
        let values = content.list(key)?.iter().enumerate();
        let read: Result<Vec<Value>, ApiError> =
            values.map(|(index, value)| read(value, &format!("{path}[{index}]"))).collect();
        if metadata.contains_key(key) {
            metadata.insert(key.into(), read?.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::metadata_api::command::concerns_actions;

    #[test]
    fn requests_about_actions() {
        for text in [
            r#"{"type":"create_action"}"#,
            r#"{"args":[{"type":"run_sql"},{"type":"bulk","args":[{"type":"create\u005faction"}]}],"type":"bulk"}"#,
            r#"{"type":"run_sql","type":"export_metadata"}"#,
        ] {
            assert!(concerns_actions(text), "{text}");
        }
        for text in [
            r#"{"type":"run_sql","args":{"type":"create_action"}}"#,
            r#"{"type":"export_metadata","type":"run_sql"}"#,
            r#"{"type":"bulk","args":{"type":"create_action"}}"#,
            r#"["create_action"]"#,
            r#"{"type":["create_action"]}"#,
            r#"{"type":"create_action""#,
            "",
        ] {
            assert!(!concerns_actions(text), "{text}");
        }
        // A client may nest as deep as it likes; this is not followed all the way.
        let deep = r#"{"type":"bulk","args":["#.repeat(10_000) + &"]}".repeat(10_000);
        assert!(concerns_actions(&deep));
    }
}
