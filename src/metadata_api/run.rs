//! Runs a request to the metadata API, from its commands to its response: first our commands edit a copy of the
//! document, then the upstream runs its part, and only then is anything stored. Pure but for `Replies`.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::config::document::Document;
use crate::config::json_nodes::list;
use crate::config::stored_lists::{KEYS, StoredLists};
use crate::metadata_api::command::{Command, read};
use crate::metadata_api::edit;
use crate::metadata_api::error::{ApiError, success};
use crate::metadata_api::merged_export::merged_export;
use crate::metadata_api::own_documents::OwnDocuments;
use crate::metadata_api::stored_command::StoredCommand;
use crate::metadata_api::stored_edit::{Holdings, check_lists, upstreams_part};
use crate::model::action::Tolerated;
use crate::model::source::{Diagnostic, SourceFile};

/// Validates this document, and finds the objects that cannot be used because of it. An error without a subject makes
/// all of it unusable.
pub(crate) type Check<'c> = &'c (dyn Fn(&Document) -> Vec<Diagnostic> + Sync);

/// A request as it is worked through.
pub(crate) struct Run<'r> {
    check: Check<'r>,
    /// Known inconsistent objects, which are left out.
    known: Vec<SourceFile>,
    /// Is anything else that is inconsistent left out as well, when it comes from files?
    serves: bool,
    /// Has the upstream a metadata API of its own?
    is_hasura: bool,
    own_documents: OwnDocuments,
    /// The stored documents that the upstream has and will have, if commands are about them.
    upstream_lists: Option<StoredLists>,
    /// The metadata as it will be.
    pub document: Document,
    /// The upstream's commands, in order.
    pub upstreams: Vec<UpstreamCommand>,
    /// Is the metadata reloaded, although nothing in it has changed?
    pub reloads: bool,
    /// The actions whose jobs are to be deleted.
    pub cleared: Vec<String>,
}

/// A command of a request that is the upstream's.
#[derive(Debug)]
pub(crate) struct UpstreamCommand {
    /// The command.
    pub request: Value,
    /// Where it stands in the client's request.
    pub prefix: String,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) enum CommandStep {
    /// Its response.
    Done(Value),
    /// Its error, in a bulk that goes on.
    Failed(ApiError),
    /// This of the upstream's replies.
    Upstream(usize),
    /// A response about consistency: ours, merged with this one of the upstream's replies.
    Consistency {
        /// Which reply.
        upstream: Option<usize>,
        /// Our inconsistent objects.
        own: Vec<Value>,
        /// Our response, if the upstream has none.
        response: Value,
    },
    /// An export, with this of the upstream's replies around it.
    Export {
        /// Which reply.
        upstream: Option<usize>,
        /// Is the metadata wrapped, with its version beside it?
        is_wrapped: bool,
        /// The metadata at that moment.
        document: Box<Document>,
    },
    /// Those of a bulk.
    All(Vec<CommandStep>),
}

impl<'r> Run<'r> {
    /// Nothing done yet.
    #[must_use]
    pub(crate) fn new(document: Document, is_hasura: bool, own_documents: OwnDocuments, check: Check<'r>) -> Self {
        Self {
            check,
            known: Vec::new(),
            serves: false,
            is_hasura,
            own_documents,
            upstream_lists: None,
            document,
            upstreams: Vec::new(),
            reloads: false,
            cleared: Vec::new(),
        }
    }

    /// The same where the upstream has these stored documents.
    #[must_use]
    pub(crate) fn beside(self, upstream_lists: Option<StoredLists>) -> Self {
        Self { upstream_lists, ..self }
    }

    /// The same where some of it is inconsistent already, and may stay so: `accepted`.
    #[must_use]
    pub(crate) fn accepting(mut self, accepted: &Tolerated) -> Self {
        self.serves = *accepted == Tolerated::Everything;
        let found = (self.check)(&self.document)
            .into_iter()
            .filter_map(|diagnostic| diagnostic.subject.map(|subject| *subject));
        self.known = found.filter(|subject| accepted.includes(subject)).collect();
        self
    }

    /// Runs a request; `prefix` is its path.
    ///
    /// # Errors
    /// What is wrong with it. The document is then of no use.
    pub(crate) fn step(&mut self, request: &Value, prefix: &str) -> Result<CommandStep, ApiError> {
        self.step_inside(request, prefix).map_err(|error| if prefix == "$" { error } else { error.within(prefix) })
    }

    fn step_inside(&mut self, request: &Value, prefix: &str) -> Result<CommandStep, ApiError> {
        match read(request)? {
            Command::CreateAction(args) => {
                let subject = edit::EditTarget::Action(args.name.clone());
                self.edit(&subject, |document| edit::create_action(document, args))
            }
            Command::UpdateAction(args) => {
                let subject = edit::EditTarget::Action(args.name.clone());
                self.edit(&subject, |document| edit::update_action(document, args))
            }
            Command::DropAction { name, clears_data } => {
                self.cleared.extend(clears_data.then(|| name.clone()));
                self.edit(&edit::EditTarget::Everything, |document| edit::drop_action(document, &name))
            }
            Command::CreatePermission(args) => {
                self.edit(&edit::EditTarget::Everything, |document| edit::create_permission(document, args))
            }
            Command::DropPermission(args) => {
                self.edit(&edit::EditTarget::Everything, |document| edit::drop_permission(document, &args))
            }
            Command::SetCustomTypes(types) => self.edit(&edit::EditTarget::Types, |document| {
                document.custom_types = types;
                Ok(())
            }),
            Command::Export { version } => {
                let upstream = self.is_hasura.then(|| self.fetch_upstream(request.clone(), prefix));
                Ok(CommandStep::Export {
                    upstream,
                    is_wrapped: version == 2,
                    document: Box::new(self.document.clone()),
                })
            }
            Command::Replace { metadata, is_wrapped, tells_consistency, allows_inconsistent } => {
                let found = self.take_whole(&metadata, allows_inconsistent)?;
                self.replace(request, prefix, metadata, is_wrapped, tells_consistency.then_some(found))
            }
            Command::Clear => {
                self.document = Document::default();
                self.upstream_lists = self.upstream_lists.take().map(|_| StoredLists::default());
                Ok(self.upstream_or(request, prefix, success()))
            }
            Command::Reload => Ok(self.reload(request, prefix)),
            Command::GetInconsistent => {
                let own = edit::objects(&self.document, &(self.check)(&self.document));
                Ok(self.consistency(request, prefix, own, json!({})))
            }
            Command::DropInconsistent => {
                self.drop_inconsistent()?;
                Ok(self.upstream_or(request, prefix, success()))
            }
            Command::Stored(command) => self.stored(command, prefix),
            Command::TestTransform(test) => test.run().map(CommandStep::Done),
            Command::Bulk { commands, keeps_going } => self.bulk(&commands, prefix, keeps_going),
            Command::Upstreams if self.is_hasura => {
                Ok(CommandStep::Upstream(self.fetch_upstream(request.clone(), prefix)))
            }
            Command::Upstreams => {
                let error = format!(
                    "the upstream has no metadata API that knows \"{}\"",
                    crate::metadata_api::command::type_of(request)
                );
                Err(ApiError::new("not-supported", error))
            }
        }
    }

    fn stored(&mut self, command: StoredCommand, prefix: &str) -> Result<CommandStep, ApiError> {
        let mut own = self.document.stored.clone();
        let is_own = |text: &str| self.own_documents.includes(&self.document, text);
        let upstream = self.upstream_lists.as_mut();
        let mut holdings = Holdings { own: &mut own, upstream, is_own: &is_own, commands: Vec::new() };
        let response = holdings.run(command)?;
        let commands = holdings.commands;
        self.document.stored = own;
        for command in commands {
            self.fetch_upstream(command, prefix);
        }
        Ok(CommandStep::Done(response))
    }

    fn edit(
        &mut self,
        subject: &edit::EditTarget,
        change: impl FnOnce(&mut Document) -> Result<(), ApiError>,
    ) -> Result<CommandStep, ApiError> {
        change(&mut self.document)?;
        let is_known = |diagnostic: &Diagnostic| {
            diagnostic.subject.as_deref().is_some_and(|found| self.known.contains(found)) && !subject.has(diagnostic)
        };
        let found: Vec<_> =
            (self.check)(&self.document).into_iter().filter(|diagnostic| !is_known(diagnostic)).collect();
        if found.is_empty() {
            Ok(CommandStep::Done(success()))
        } else {
            Err(edit::inconsistent(&self.document, subject, &found))
        }
    }

    /// Replaces the metadata, and returns the inconsistent objects in it.
    fn take_whole(&mut self, metadata: &Map<String, Value>, allows_inconsistent: bool) -> Result<Vec<Value>, ApiError> {
        self.document = Document::of_export(metadata);
        let broken = check_lists(&self.document.stored, self.own_documents.limits());
        if let Some(first) = broken.first() {
            let reasons: Vec<Value> = broken.iter().map(|one| one.message.as_str().into()).collect();
            let error =
                ApiError::new("unexpected", format!("cannot continue due to inconsistent metadata: {}", first.message));
            return Err(ApiError { internal: Some(Box::new(reasons.into())), ..error });
        }
        let found = (self.check)(&self.document);
        let is_allowed = allows_inconsistent && found.iter().all(|diagnostic| diagnostic.subject.is_some());
        if !found.is_empty() && !is_allowed {
            return Err(edit::inconsistent(&self.document, &edit::EditTarget::Everything, &found));
        }
        let objects = edit::objects(&self.document, &found);
        self.known = found.into_iter().filter_map(|diagnostic| diagnostic.subject.map(|subject| *subject)).collect();
        Ok(objects)
    }

    /// `found` are our inconsistent objects, if the response is to name them.
    fn replace(
        &mut self,
        request: &Value,
        prefix: &str,
        mut rest: Map<String, Value>,
        is_wrapped: bool,
        found: Option<Vec<Value>>,
    ) -> Result<CommandStep, ApiError> {
        rest.retain(|key, _| key != "actions" && key != "custom_types");
        if self.is_hasura {
            let is_own = |text: &str| self.own_documents.includes(&self.document, text);
            let theirs = upstreams_part(&self.document.stored, &is_own);
            for (key, entries) in theirs.entries() {
                if let Some(value) = rest.get_mut(key) {
                    *value = entries.clone().into();
                }
            }
            self.upstream_lists = self.upstream_lists.take().map(|_| theirs);
            let mut request = request.clone();
            let place = if is_wrapped { request.pointer_mut("/args/metadata") } else { request.get_mut("args") };
            if let Some(place) = place {
                *place = rest.into();
            }
            return Ok(match found {
                Some(own) => self.consistency(&request, prefix, own, json!({})),
                None => CommandStep::Upstream(self.fetch_upstream(request, prefix)),
            });
        }
        let is_kept = |key: &str| key == "inherited_roles" || KEYS.contains(&key);
        if let Some((key, _)) = rest.iter().find(|(key, value)| !is_kept(key) && is_something(value)) {
            let error = format!("the upstream has no metadata API that could keep \"{key}\"");
            return Err(ApiError::new("not-supported", error));
        }
        Ok(match found {
            Some(own) => self.consistency(request, prefix, own, json!({})),
            None => CommandStep::Done(success()),
        })
    }

    /// Hand-written metadata may be inconsistent; then the current one stays, unless it is to be served without the
    /// inconsistent objects.
    fn reload(&mut self, request: &Value, prefix: &str) -> CommandStep {
        let found = (self.check)(&self.document);
        let is_usable = |diagnostic: &Diagnostic| {
            diagnostic.subject.as_deref().is_some_and(|subject| self.serves || self.known.contains(subject))
        };
        let own = edit::objects(&self.document, &found);
        if !found.iter().all(is_usable) {
            return CommandStep::Consistency { upstream: None, own, response: success() };
        }
        self.reloads = true;
        if own.is_empty() {
            return self.upstream_or(request, prefix, json!({ "message": "success", "is_consistent": true }));
        }
        self.consistency(request, prefix, own, success())
    }

    /// Hasura drops all custom types if one of them is wrong; here the others stay.
    fn drop_inconsistent(&mut self) -> Result<(), ApiError> {
        let found = (self.check)(&self.document);
        if found.iter().any(|diagnostic| diagnostic.subject.is_none()) {
            return Err(edit::inconsistent(&self.document, &edit::EditTarget::Everything, &found));
        }
        let subjects: Vec<&SourceFile> = found.iter().filter_map(|diagnostic| diagnostic.subject.as_deref()).collect();
        self.document = self.document.without(&subjects);
        self.known.clear();
        Ok(())
    }

    fn consistency(&mut self, request: &Value, prefix: &str, own: Vec<Value>, response: Value) -> CommandStep {
        let upstream = self.is_hasura.then(|| self.fetch_upstream(request.clone(), prefix));
        CommandStep::Consistency { upstream, own, response }
    }

    fn bulk(&mut self, commands: &[Value], prefix: &str, keeps_going: bool) -> Result<CommandStep, ApiError> {
        let mut steps = Vec::with_capacity(commands.len());
        for (index, command) in commands.iter().enumerate() {
            let before =
                keeps_going.then(|| (self.document.clone(), self.upstream_lists.clone(), self.upstreams.len()));
            match (self.step(command, &format!("{prefix}.args[{index}]")), before) {
                (Ok(step), _) => steps.push(step),
                (Err(error), Some((document, upstream_lists, upstreams))) => {
                    self.document = document;
                    self.upstream_lists = upstream_lists;
                    self.upstreams.truncate(upstreams);
                    steps.push(CommandStep::Failed(error));
                }
                (Err(error), None) => return Err(error),
            }
        }
        Ok(CommandStep::All(steps))
    }

    fn upstream_or(&mut self, request: &Value, prefix: &str, response: Value) -> CommandStep {
        if self.is_hasura {
            CommandStep::Upstream(self.fetch_upstream(request.clone(), prefix))
        } else {
            CommandStep::Done(response)
        }
    }

    fn fetch_upstream(&mut self, request: Value, prefix: &str) -> usize {
        self.upstreams.push(UpstreamCommand { request, prefix: prefix.to_owned() });
        self.upstreams.len() - 1
    }

    /// What the upstream is sent: its only command, or all of them as one bulk that it does as a whole or not at all.
    #[must_use]
    pub(crate) fn upstream_request(&self) -> Option<Value> {
        match self.upstreams.as_slice() {
            [] => None,
            [only] => Some(only.request.clone()),
            several => {
                Some(json!({ "type": "bulk", "args": several.iter().map(|one| &one.request).collect::<Vec<_>>() }))
            }
        }
    }

    /// The upstream's error with the client's path in it.
    #[must_use]
    pub(crate) fn upstream_error(&self, error: &Value) -> Value {
        let mut error = error.clone();
        let path = error.get("path").and_then(Value::as_str).unwrap_or("$").to_owned();
        let path = match self.upstreams.as_slice() {
            [only] => path.strip_prefix('$').map(|rest| format!("{}{rest}", only.prefix)),
            several => path.strip_prefix("$.args[").and_then(|rest| {
                let (index, rest) = rest.split_once(']')?;
                let prefix = &several.get(index.parse::<usize>().ok()?)?.prefix;
                Some(format!("{prefix}{rest}"))
            }),
        };
        if let (Some(path), Value::Object(members)) = (path, &mut error) {
            members.insert("path".into(), path.into());
        }
        error
    }
}

impl CommandStep {
    /// The response, with the upstream's replies in it as they came. `version` is that of our own metadata.
    #[must_use]
    pub(crate) fn response(&self, replies: &[&RawValue], version: u32) -> String {
        match self {
            Self::Done(response) => response.to_string(),
            Self::Failed(error) => error.to_json().to_string(),
            Self::Upstream(index) => replies.get(*index).map_or("null", |reply| reply.get()).to_owned(),
            Self::Consistency { upstream, own, response } => {
                let reply = upstream.and_then(|index| replies.get(index)).copied();
                consistency(reply, own, response)
            }
            Self::Export { upstream, is_wrapped, document } => {
                let reply = upstream.and_then(|index| replies.get(index)).copied();
                merged_export(document, reply, *is_wrapped, version)
            }
            Self::All(steps) => {
                let responses: Vec<String> = steps.iter().map(|step| step.response(replies, version)).collect();
                format!("[{}]", responses.join(","))
            }
        }
    }
}

/// The upstream's reply about its own metadata as it came, unless some of ours is inconsistent, too.
fn consistency(upstreams: Option<&RawValue>, own: &[Value], response: &Value) -> String {
    if let (Some(upstreams), []) = (upstreams, own) {
        return upstreams.get().to_owned();
    }
    let read = upstreams.and_then(|upstreams| serde_json::from_str::<Value>(upstreams.get()).ok());
    let mut response = read.filter(Value::is_object).unwrap_or_else(|| response.clone());
    let theirs = response.get("inconsistent_objects").map(list).unwrap_or_default();
    let all: Vec<Value> = theirs.iter().chain(own).cloned().collect();
    if let Value::Object(members) = &mut response {
        members.insert("is_consistent".into(), all.is_empty().into());
        members.insert("inconsistent_objects".into(), all.into());
    }
    response.to_string()
}

/// Is there anything in it, however deep? The command line sends whole files that say nothing.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(|member| !is_nothing(member)),
        _ => false,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_nothing),
        _ => false,
    }
}
