//! Applies commands about stored documents: to our lists, and to those of an upstream that has a metadata API. Hasura's rules and
//! messages count for what both have together. No input or output.

use serde_json::{Value, json};

use crate::config::rest_endpoints;
use crate::config::stored_documents;
use crate::config::stored_lists::{StoredLists, queries_of, reference, set_queries};
use crate::metadata_api::error::{ApiError, success};
use crate::metadata_api::stored_command::{AllowListEntry, StoredCommand};
use crate::model::limits::Limits;
use crate::model::source::{Diagnostic, Severity};
use crate::rest::endpoint::{RestEndpoint, read_template};

/// Who holds what, and what the upstream is to be told.
pub(crate) struct Holdings<'h> {
    /// Our lists.
    pub own: &'h mut StoredLists,
    /// The upstream's, if it has a metadata API.
    pub upstream: Option<&'h mut StoredLists>,
    /// Can this document be executed here only?
    pub is_own: &'h dyn Fn(&str) -> bool,
    /// Commands for the upstream, in order.
    pub commands: Vec<Value>,
}

impl Holdings<'_> {
    /// Runs a command, and returns its response.
    ///
    /// # Errors
    /// Why it cannot be. Nothing has changed then.
    pub(crate) fn run(&mut self, command: StoredCommand) -> Result<Value, ApiError> {
        let all = self.all();
        match command {
            StoredCommand::CreateCollection { name, entry } => self.create_collection(&all, &name, entry),
            StoredCommand::RenameCollection { name, new_name } => self.rename_collection(&all, &name, &new_name),
            StoredCommand::DropCollection { name, cascade } => self.drop_collection(&all, &name, cascade),
            StoredCommand::AddQuery { collection, name, text } => self.add_query(&all, &collection, &name, &text),
            StoredCommand::DropQuery { collection, name } => self.drop_query(&all, &collection, &name),
            StoredCommand::Allow(entry) => self.allow(&all, &entry),
            StoredCommand::Forbid { collection } => self.forbid(&all, &collection),
            StoredCommand::UpdateScope(entry) => self.update_scope(&all, &entry),
            StoredCommand::CreateEndpoint { name, entry } => self.create_endpoint(&all, &name, entry),
            StoredCommand::DropEndpoint { name } => self.drop_endpoint(&all, &name),
        }
    }

    /// What both have.
    fn all(&self) -> StoredLists {
        match &self.upstream {
            Some(upstream) => self.own.united_with(upstream),
            None => self.own.clone(),
        }
    }

    /// Changes the upstream's lists by a command that does the same there.
    fn tell(&mut self, kind: &str, args: Value, change: impl FnOnce(&mut StoredLists)) {
        if let Some(upstream) = &mut self.upstream {
            change(upstream);
            let command = [("type".to_owned(), kind.into()), ("args".to_owned(), args)];
            self.commands.push(Value::Object(command.into_iter().collect()));
        }
    }

    fn upstream_has(&self, has: impl Fn(&StoredLists) -> bool) -> bool {
        self.upstream.as_deref().is_some_and(has)
    }

    fn create_collection(&mut self, all: &StoredLists, name: &str, entry: Value) -> Result<Value, ApiError> {
        if all.has_collection(name) {
            return Err(collection_exists(name).at("$.args.name"));
        }
        check_query_names(&entry).map_err(|error| error.at("$.args.definition.queries"))?;
        let theirs = without_own(&entry, self.is_own);
        self.own.query_collections.push(entry);
        self.tell("create_query_collection", theirs.clone(), |upstream| upstream.query_collections.push(theirs));
        Ok(success())
    }

    /// Hasura leaves the old name in the allow list, where it names nothing any more: here the entry follows.
    fn rename_collection(&mut self, all: &StoredLists, name: &str, new_name: &str) -> Result<Value, ApiError> {
        check_collection(all, name)?;
        if all.has_collection(new_name) {
            return Err(collection_exists(new_name).at("$.args.new_name"));
        }
        check_unused(all, |collection, _| collection == name, &no_collection(name))?;
        rename(self.own, name, new_name);
        if self.upstream_has(|upstream| upstream.has_collection(name)) {
            let entry = self.upstream.as_ref().and_then(|upstream| allow_entry(upstream, name).cloned());
            if entry.is_some() {
                self.tell("drop_collection_from_allowlist", json!({ "collection": name }), |_| {});
            }
            let args = json!({ "name": name, "new_name": new_name });
            self.tell("rename_query_collection", args, |upstream| rename(upstream, name, new_name));
            if let Some(mut entry) = entry {
                set(&mut entry, "collection", new_name);
                self.tell("add_collection_to_allowlist", entry, |_| {});
            }
        }
        Ok(success())
    }

    fn drop_collection(&mut self, all: &StoredLists, name: &str, cascade: bool) -> Result<Value, ApiError> {
        const PATH: &str = "$.args.collection";
        check_collection(all, name).map_err(|error| error.at(PATH))?;
        if all.allows(name) && !cascade {
            let error = format!(
                "query collection with name \"{name}\" is present in the allowlist; cannot proceed to drop. please use cascade \
                 to confirm you wish to drop it from the allowlist as well"
            );
            return Err(ApiError::new("dependency-error", error).at(PATH));
        }
        check_unused(all, |collection, _| collection == name, &no_collection(name))?;
        remove_collection(self.own, name);
        if self.upstream_has(|upstream| upstream.has_collection(name)) {
            let args = json!({ "collection": name, "cascade": cascade });
            self.tell("drop_query_collection", args, |upstream| remove_collection(upstream, name));
        }
        Ok(success())
    }

    fn add_query(&mut self, all: &StoredLists, collection: &str, name: &str, text: &str) -> Result<Value, ApiError> {
        check_collection(all, collection)?;
        if all.query(collection, name).is_some() {
            let error = format!("query with name \"{name}\" already exists in collection \"{collection}\"");
            return Err(ApiError::new("already-exists", error));
        }
        let query = json!({ "name": name, "query": text });
        let is_own = (self.is_own)(text);
        if is_own && !self.own.has_collection(collection) {
            self.begin_collection(collection);
        }
        self.own.change_queries(collection, |queries| queries.push(query.clone()));
        if !is_own && self.upstream_has(|upstream| upstream.has_collection(collection)) {
            let args = json!({ "collection_name": collection, "query_name": name, "query": text });
            self.tell("add_query_to_collection", args, |upstream| {
                upstream.change_queries(collection, |queries| queries.push(query));
            });
        }
        Ok(success())
    }

    /// A document that is executed here only goes to a collection that only the upstream has: it becomes ours as well, with the
    /// same callers.
    fn begin_collection(&mut self, name: &str) {
        self.own.query_collections.push(json!({ "name": name, "definition": { "queries": [] } }));
        self.own.allow_list.extend(self.upstream.as_ref().and_then(|upstream| allow_entry(upstream, name).cloned()));
    }

    fn drop_query(&mut self, all: &StoredLists, collection: &str, name: &str) -> Result<Value, ApiError> {
        check_collection(all, collection)?;
        if all.query(collection, name).is_none() {
            let error = format!("query with name \"{name}\" not found in collection \"{collection}\"");
            return Err(ApiError::new("not-found", error));
        }
        check_unused(all, |of, query| of == collection && query == name, &no_query(collection, name))?;
        let remove = |lists: &mut StoredLists| {
            lists.change_queries(collection, |queries| queries.retain(|query| query["name"] != *name));
        };
        remove(self.own);
        if self.upstream_has(|upstream| upstream.query(collection, name).is_some()) {
            let args = json!({ "collection_name": collection, "query_name": name });
            self.tell("drop_query_from_collection", args, remove);
        }
        Ok(success())
    }

    /// That an entry is there already is no error in Hasura.
    fn allow(&mut self, all: &StoredLists, entry: &AllowListEntry) -> Result<Value, ApiError> {
        let name = &entry.collection;
        check_collection(all, name).map_err(|error| error.at("$.args.collection"))?;
        if all.allows(name) {
            let message = format!(
                "collection \"{name}\" already exists in the allowlist, scope ignored; to change scope, use \
                 update_scope_of_collection_in_allowlist"
            );
            return Ok(json!({ "message": message }));
        }
        if self.own.has_collection(name) {
            self.own.allow_list.push(entry.to_json());
        }
        if self.upstream_has(|upstream| upstream.has_collection(name)) {
            let entry = entry.to_json();
            self.tell("add_collection_to_allowlist", entry.clone(), |upstream| upstream.allow_list.push(entry));
        }
        Ok(success())
    }

    fn forbid(&mut self, all: &StoredLists, name: &str) -> Result<Value, ApiError> {
        check_collection(all, name).map_err(|error| error.at("$.args.collection"))?;
        check_allowed(all, name)?;
        let remove = |lists: &mut StoredLists| lists.allow_list.retain(|entry| entry["collection"] != *name);
        remove(self.own);
        if self.upstream_has(|upstream| upstream.allows(name)) {
            self.tell("drop_collection_from_allowlist", json!({ "collection": name }), remove);
        }
        Ok(success())
    }

    fn update_scope(&mut self, all: &StoredLists, entry: &AllowListEntry) -> Result<Value, ApiError> {
        let name = &entry.collection;
        check_collection(all, name).map_err(|error| error.at("$.args.collection"))?;
        check_allowed(all, name)?;
        let update = |lists: &mut StoredLists| {
            for known in lists.allow_list.iter_mut().filter(|known| known["collection"] == **name) {
                *known = entry.to_json();
            }
        };
        update(self.own);
        if self.upstream_has(|upstream| upstream.allows(name)) {
            self.tell("update_scope_of_collection_in_allowlist", entry.to_json(), update);
        }
        Ok(success())
    }

    fn create_endpoint(&mut self, all: &StoredLists, name: &str, entry: Value) -> Result<Value, ApiError> {
        if all.has_endpoint(name) {
            return Err(ApiError::new("already-exists", format!("Endpoint with name: {name} already exists")));
        }
        if let Some(reason) = check_endpoint(all, &entry) {
            let object = inconsistent_endpoint(&entry, &reason);
            let error = object.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
            let internal = Some(Box::new(json!([object])));
            return Err(ApiError { internal, ..ApiError::new("invalid-configuration", error) });
        }
        let (collection, query) = reference(&entry);
        let is_held = |lists: &StoredLists| lists.query(collection, query).is_some();
        let (is_ours, is_theirs) = (is_held(self.own), self.upstream_has(is_held));
        if is_ours {
            self.own.rest_endpoints.push(entry.clone());
        }
        if is_theirs {
            self.tell("create_rest_endpoint", entry.clone(), |upstream| upstream.rest_endpoints.push(entry));
        }
        Ok(success())
    }

    fn drop_endpoint(&mut self, all: &StoredLists, name: &str) -> Result<Value, ApiError> {
        if !all.has_endpoint(name) {
            return Err(ApiError::new("not-exists", format!("endpoint with name: {name} does not exist")));
        }
        let remove = |lists: &mut StoredLists| lists.rest_endpoints.retain(|endpoint| endpoint["name"] != *name);
        remove(self.own);
        if self.upstream_has(|upstream| upstream.has_endpoint(name)) {
            self.tell("drop_rest_endpoint", json!({ "name": name }), remove);
        }
        Ok(success())
    }
}

/// What an upstream gets of lists: all but the documents that are executed here only, and the endpoints that execute those.
#[must_use]
pub(crate) fn upstreams_part(lists: &StoredLists, is_own: &dyn Fn(&str) -> bool) -> StoredLists {
    let is_theirs = |endpoint: &&Value| {
        let (collection, query) = reference(endpoint);
        !lists.query(collection, query).is_some_and(is_own)
    };
    StoredLists {
        query_collections: lists.query_collections.iter().map(|entry| without_own(entry, is_own)).collect(),
        allow_list: lists.allow_list.clone(),
        rest_endpoints: lists.rest_endpoints.iter().filter(is_theirs).cloned().collect(),
    }
}

/// Why whole lists cannot be used.
#[must_use]
pub(crate) fn check_lists(lists: &StoredLists, limits: &Limits) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let _ = stored_documents::resolve(lists.to_files(), limits, &mut diagnostics);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    diagnostics
}

fn without_own(collection: &Value, is_own: &dyn Fn(&str) -> bool) -> Value {
    let mut theirs = collection.clone();
    let is_theirs = |query: &&Value| !query["query"].as_str().is_some_and(is_own);
    set_queries(&mut theirs, queries_of(collection).iter().filter(is_theirs).cloned().collect());
    theirs
}

fn rename(lists: &mut StoredLists, name: &str, new_name: &str) {
    for collection in lists.query_collections.iter_mut().filter(|known| known["name"] == *name) {
        set(collection, "name", new_name);
    }
    for entry in lists.allow_list.iter_mut().filter(|entry| entry["collection"] == *name) {
        set(entry, "collection", new_name);
    }
}

fn set(value: &mut Value, key: &str, text: &str) {
    if let Some(members) = value.as_object_mut() {
        members.insert(key.into(), text.into());
    }
}

fn remove_collection(lists: &mut StoredLists, name: &str) {
    lists.query_collections.retain(|collection| collection["name"] != *name);
    lists.allow_list.retain(|entry| entry["collection"] != *name);
}

fn allow_entry<'l>(lists: &'l StoredLists, collection: &str) -> Option<&'l Value> {
    lists.allow_list.iter().find(|entry| entry["collection"] == *collection)
}

fn collection_exists(name: &str) -> ApiError {
    ApiError::new("already-exists", format!("query collection with name \"{name}\" already exists"))
}

fn check_collection(all: &StoredLists, name: &str) -> Result<(), ApiError> {
    if all.has_collection(name) {
        return Ok(());
    }
    Err(ApiError::new("not-exists", format!("query collection with name \"{name}\" does not exist")))
}

fn check_allowed(all: &StoredLists, name: &str) -> Result<(), ApiError> {
    if all.allows(name) {
        return Ok(());
    }
    Err(ApiError::new("not-found", format!("collection \"{name}\" doesn't exist in the allowlist")))
}

fn check_query_names(collection: &Value) -> Result<(), ApiError> {
    let mut names: Vec<&str> = queries_of(collection).iter().filter_map(|query| query["name"].as_str()).collect();
    names.sort_unstable();
    let is_repeated = |pair: &&[&str]| matches!(pair, [one, other] if one == other);
    let repeated = names.windows(2).filter(is_repeated).filter_map(|pair| pair.first());
    let mut repeated: Vec<String> = repeated.map(|name| format!("\"{name}\"")).collect();
    repeated.dedup();
    if repeated.is_empty() {
        return Ok(());
    }
    Err(ApiError::new("not-supported", format!("found duplicate query names {}", repeated.join(", "))))
}

fn no_collection(name: &str) -> String {
    format!("collection with name {name} does not exist")
}

fn no_query(collection: &str, name: &str) -> String {
    format!("query with name {name} does not exist in collection {collection}")
}

/// The endpoints that need what is to be removed make the error.
fn check_unused(all: &StoredLists, is_removed: impl Fn(&str, &str) -> bool, reason: &str) -> Result<(), ApiError> {
    let needing = all.rest_endpoints.iter().filter(|endpoint| {
        let (collection, query) = reference(endpoint);
        is_removed(collection, query)
    });
    let objects: Vec<Value> = needing.map(|endpoint| inconsistent_endpoint(endpoint, reason)).collect();
    if objects.is_empty() {
        return Ok(());
    }
    let error = ApiError::new("unexpected", "cannot continue due to new inconsistent metadata");
    Err(ApiError { internal: Some(Box::new(objects.into())), ..error })
}

/// An endpoint as the response reports it as inconsistent.
fn inconsistent_endpoint(endpoint: &Value, reason: &str) -> Value {
    let name = endpoint["name"].as_str().unwrap_or_default();
    json!({
        "definition": endpoint,
        "reason": format!("Inconsistent object: in endpoint {name}: {reason}"),
        "name": format!("rest_endpoint {name}"),
        "type": "rest_endpoint",
    })
}

/// Why a new endpoint cannot be one.
fn check_endpoint(all: &StoredLists, entry: &Value) -> Option<String> {
    let (collection, query) = reference(entry);
    if !all.has_collection(collection) {
        return Some(no_collection(collection));
    }
    let Some(text) = all.query(collection, query) else { return Some(no_query(collection, query)) };
    let alone = StoredLists {
        query_collections: vec![json!({
            "name": collection,
            "definition": { "queries": [{ "name": query, "query": text }] },
        })],
        rest_endpoints: vec![entry.clone()],
        ..StoredLists::default()
    };
    let mut diagnostics = Vec::new();
    let resolved = stored_documents::resolve(alone.to_files(), &Limits::default(), &mut diagnostics);
    let errors: Vec<&str> = diagnostics.iter().map(|one| one.message.as_str()).collect();
    match resolved.rest_endpoints.first() {
        Some(endpoint) if errors.is_empty() => ambiguous_with(all, endpoint),
        _ => Some(errors.join("; ")),
    }
}

fn ambiguous_with(all: &StoredLists, endpoint: &RestEndpoint) -> Option<String> {
    all.rest_endpoints.iter().find_map(|other| {
        let template = other["url"].as_str()?;
        let other = RestEndpoint {
            segments: read_template(template).ok()?,
            methods: rest_endpoints::methods_of(&other["methods"]),
            ..endpoint.clone()
        };
        other.is_ambiguous_with(endpoint).then(|| format!("Ambiguous URL paths: {template}, {}", endpoint.template))
    })
}
