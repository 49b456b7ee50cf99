//! Parses the commands of the metadata API about stored documents: query collections, the allow list, REST endpoints.

use serde_json::{Map, Value, json};

use crate::graphql::document::parse;
use crate::metadata_api::error::{ApiError, Members};
use crate::model::limits::Limits;

/// A command about stored documents, well-formed but not carried out.
#[derive(Debug)]
pub(crate) enum StoredCommand {
    /// `create_query_collection`
    CreateCollection {
        /// Its name.
        name: String,
        /// The whole entry.
        entry: Value,
    },
    /// `rename_query_collection`
    RenameCollection {
        /// Which.
        name: String,
        /// Its new name.
        new_name: String,
    },
    /// `drop_query_collection`
    DropCollection {
        /// Which.
        name: String,
        /// Is it removed from the allow list as well?
        cascade: bool,
    },
    /// `add_query_to_collection`
    AddQuery {
        /// The collection.
        collection: String,
        /// The query's name.
        name: String,
        /// Its text.
        text: String,
    },
    /// `drop_query_from_collection`
    DropQuery {
        /// The collection.
        collection: String,
        /// The query's name.
        name: String,
    },
    /// `add_collection_to_allowlist`
    Allow(AllowListEntry),
    /// `drop_collection_from_allowlist`
    Forbid {
        /// Which.
        collection: String,
    },
    /// `update_scope_of_collection_in_allowlist`
    UpdateScope(AllowListEntry),
    /// `create_rest_endpoint`
    CreateEndpoint {
        /// Its name.
        name: String,
        /// The whole entry.
        entry: Value,
    },
    /// `drop_rest_endpoint`
    DropEndpoint {
        /// Which.
        name: String,
    },
}

/// A collection that may be sent.
#[derive(Debug)]
pub(crate) struct AllowListEntry {
    /// Which.
    pub collection: String,
    /// By whom, as Hasura exports it.
    pub scope: Value,
}

impl AllowListEntry {
    /// As it stands in the list.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        json!({ "collection": self.collection, "scope": self.scope })
    }
}

/// The names of these commands.
pub(crate) const NAMES: [&str; 10] = [
    "create_query_collection",
    "rename_query_collection",
    "drop_query_collection",
    "add_query_to_collection",
    "drop_query_from_collection",
    "add_collection_to_allowlist",
    "drop_collection_from_allowlist",
    "update_scope_of_collection_in_allowlist",
    "create_rest_endpoint",
    "drop_rest_endpoint",
];

/// Reads a command, one of [`NAMES`].
///
/// # Errors
/// What is not well-formed in it.
pub(crate) fn read(kind: &str, args: &Value) -> Result<StoredCommand, ApiError> {
    let members = Members::of(args, "$")?;
    let text = |key: &str| members.text(key).map(str::to_owned);
    Ok(match kind {
        "create_query_collection" => {
            let name = text("name")?;
            StoredCommand::CreateCollection { name, entry: read_collection(args, "$")? }
        }
        "rename_query_collection" => {
            StoredCommand::RenameCollection { name: text("name")?, new_name: text("new_name")? }
        }
        "drop_query_collection" => {
            StoredCommand::DropCollection { name: text("collection")?, cascade: members.flag("cascade", false)? }
        }
        "add_query_to_collection" => {
            let (collection, name, text) = (text("collection_name")?, text("query_name")?, text("query")?);
            check_document(&text, &members.path("query"))?;
            StoredCommand::AddQuery { collection, name, text }
        }
        "drop_query_from_collection" => {
            StoredCommand::DropQuery { collection: text("collection_name")?, name: text("query_name")? }
        }
        "add_collection_to_allowlist" => StoredCommand::Allow(read_entry(&members, false)?),
        "drop_collection_from_allowlist" => StoredCommand::Forbid { collection: text("collection")? },
        "update_scope_of_collection_in_allowlist" => StoredCommand::UpdateScope(read_entry(&members, true)?),
        "create_rest_endpoint" => {
            let name = text("name")?;
            StoredCommand::CreateEndpoint { name, entry: read_endpoint(args, "$")? }
        }
        _ => StoredCommand::DropEndpoint { name: text("name")? },
    })
}

/// A collection, as it is exported.
///
/// # Errors
/// What is not well-formed in it.
pub(crate) fn read_collection(value: &Value, path: &str) -> Result<Value, ApiError> {
    let members = Members::of(value, path)?;
    members.text("name")?;
    members.optional_text("comment")?;
    let definition = Members::of(members.required("definition")?, members.path("definition"))?;
    definition.required("queries")?;
    for (index, query) in definition.list("queries")?.iter().enumerate() {
        let query = Members::of(query, format!("{}[{index}]", definition.path("queries")))?;
        query.text("name")?;
        check_document(query.text("query")?, &query.path("query"))?;
    }
    Ok(with_members(value, &["name", "definition", "comment"]))
}

/// An endpoint, as it is exported.
///
/// # Errors
/// What is not well-formed in it.
pub(crate) fn read_endpoint(value: &Value, path: &str) -> Result<Value, ApiError> {
    let members = Members::of(value, path)?;
    members.text("name")?;
    members.text("url")?;
    members.optional_text("comment")?;
    members.required("methods")?;
    members.list("methods")?;
    let definition = Members::of(members.required("definition")?, members.path("definition"))?;
    let query = Members::of(definition.required("query")?, definition.path("query"))?;
    query.text("collection_name")?;
    query.text("query_name")?;
    Ok(with_members(value, &["name", "url", "methods", "definition", "comment"]))
}

/// An entry of the allow list, as it is exported. Without a scope it is for everyone, unless that must be said.
///
/// # Errors
/// What is not well-formed in it.
pub(crate) fn read_entry(members: &Members<'_>, needs_scope: bool) -> Result<AllowListEntry, ApiError> {
    let collection = members.text("collection")?.to_owned();
    if needs_scope {
        members.required("scope")?;
    }
    let Some(scope) = members.get("scope") else {
        return Ok(AllowListEntry { collection, scope: json!({ "global": true }) });
    };
    let path = members.path("scope");
    let scope = Members::of(scope, path.clone())?;
    scope.required("global")?;
    if scope.flag("global", true)? {
        return match scope.get("roles") {
            Some(_) => Err(ApiError::parse(path, "roles are not allowed when global is true")),
            None => Ok(AllowListEntry { collection, scope: json!({ "global": true }) }),
        };
    }
    scope.required("roles")?;
    let roles = scope.list("roles")?;
    let mut names: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || roles.iter().any(|role| !role.is_string()) {
        return Err(ApiError::parse(scope.path("roles"), "expected a non-empty list of roles"));
    }
    if names.len() < roles.len() {
        return Err(ApiError::parse(path, "duplicate roles are not allowed"));
    }
    Ok(AllowListEntry { collection, scope: json!({ "global": false, "roles": roles }) })
}

fn check_document(text: &str, path: &str) -> Result<(), ApiError> {
    match parse(text, &Limits::default()) {
        Ok(_) => Ok(()),
        Err(error) => Err(ApiError::parse(path, format!("not a valid graphql document: {error}"))),
    }
}

fn with_members(value: &Value, keys: &[&str]) -> Value {
    let members = value.as_object().into_iter().flatten();
    let kept = members.filter(|(key, value)| keys.contains(&key.as_str()) && !value.is_null());
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}
