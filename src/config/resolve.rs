//! Resolves SDL and metadata into actions: types first, then actions, their permissions and templates. Every error is
//! collected.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use indexmap::IndexMap;
use url::Url;

use crate::action::header_precedence::Precedence;
use crate::action::template;
use crate::action::template::TemplateError;
use crate::config::action_settings::ActionSettings;
use crate::config::metadata::{ActionEntry, HeaderSource, Metadata};
use crate::config::prefix::Prefixes;
use crate::config::resolve_before;
use crate::config::resolve_before::BeforeScope;
use crate::config::resolve_extension_fields::Named;
use crate::config::resolve_presets;
use crate::config::resolve_presets::PresetScope;
use crate::config::resolver::{ResolveOptions, Resolver, TypeUse, did_you_mean_type};
use crate::config::sdl::{Signature, Signatures, parse_type};
use crate::config::traffic_settings::rules_of;
use crate::config::upstream_types::LookUp;
use crate::config::{prefix, upstream_types};
use crate::graphql::root_types::RootTypes;
use crate::graphql::schema;
use crate::graphql::suggestions::did_you_mean;
use crate::model::action::{
    ADMIN_ROLE, Action, ActionSchema, ConfiguredHeader, Handler, HeaderRules, OperationKind, SourceMap, Tolerated,
    ValuePiece, WrittenValue,
};
use crate::model::address::{is_private, literal, names_link_local};
use crate::model::response::Dialect;
use crate::model::secret::Secret;
use crate::model::source::{Diagnostic, Severity, SourceFile, SourceLocation, assign};
use crate::model::transform::{BodyTransform, QueryTransform, RequestTransform};
use crate::model::types::{TypeDefinition, TypeKind, Types};
use crate::session::SESSION_PREFIX;

/// The default timeout of a handler in seconds.
const TIMEOUT_SECONDS: u64 = 30;

/// Resolves the actions. If `diagnostics` gains an error, the result must not be used.
pub fn resolve(
    metadata: Metadata,
    signatures: Signatures,
    surroundings: &ResolveOptions<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> ActionSchema {
    let schema = resolve_each(metadata, signatures, surroundings, &HashSet::new(), diagnostics);
    reject_invalid(&schema, surroundings.prefixes, diagnostics);
    schema
}

/// The same without the checks of the whole.
fn resolve_each(
    metadata: Metadata,
    signatures: Signatures,
    surroundings: &ResolveOptions<'_>,
    left_out: &HashSet<&SourceFile>,
    diagnostics: &mut Vec<Diagnostic>,
) -> ActionSchema {
    let interfaces = signatures.interfaces.keys().cloned().collect();
    let mut signatures = signatures;
    let mut resolver = Resolver {
        surroundings,
        diagnostics,
        interfaces,
        undecided: IndexMap::new(),
        type_places: std::mem::take(&mut signatures.type_places),
        subscriptions: std::mem::take(&mut signatures.subscriptions),
    };
    resolver.exported_types(&metadata, &mut signatures);
    resolver.interfaces(&signatures);
    let mut types = resolver.types(&metadata, &signatures);
    let mut actions = IndexMap::new();
    let mut locations = SourceMap::default();
    locations.types.extend(signatures.types.iter().map(|(name, (_, place))| (name.clone(), place.clone())));
    for mut entry in metadata.actions {
        add_inherited_roles(&mut entry.permissions, &metadata.inherited_roles);
        let name = entry.name.clone();
        let place = entry.place.clone();
        if actions.contains_key(&name) {
            let message = format!("action '{name}' is defined twice");
            let diagnostic = Diagnostic::error(Some(place), message, "remove one of the two");
            resolver.diagnostics.push(diagnostic.about(SourceFile::Action(name)));
            continue;
        }
        let signature = signatures.actions.shift_remove(&name);
        let place = signature.as_ref().map_or(place, |signature| signature.place.clone());
        locations.actions.insert(name.clone(), place);
        let start = resolver.diagnostics.len();
        let action = resolver.action(entry, signature, &mut types);
        resolver.assign(start, &SourceFile::Action(name.clone()));
        if let Some(action) = action {
            actions.insert(name, Arc::new(action));
        }
    }
    for (name, signature) in &signatures.actions {
        let message = format!("action '{name}' has a signature, but no definition");
        let help = format!("add to actions.yaml: - name: {name} with a definition and its handler");
        let diagnostic = Diagnostic::error(Some(signature.place.clone()), message, help);
        resolver.diagnostics.push(diagnostic.about(SourceFile::Action(name.clone())));
    }
    let names = || actions.keys().map(String::as_str);
    for (name, settings) in surroundings.actions.iter().filter(|(name, _)| !locations.actions.contains_key(*name)) {
        let suggestion = did_you_mean(name, names());
        let stop = if suggestion.is_empty() { "" } else { "." };
        let message = format!("pillion.yaml has settings for action '{name}', which does not exist{stop}{suggestion}");
        let help = "check its name, or remove the settings";
        let diagnostic = match surroundings.knows_all_actions {
            true => Diagnostic::error(settings.place.clone(), message, help),
            false => Diagnostic::warning(settings.place.clone(), message, help),
        };
        resolver.diagnostics.push(diagnostic.about(SourceFile::Action(name.clone())));
    }
    let named = Named { actions: &actions, defined: &locations.actions, left_out, types: &types };
    let (extension_fields, of_fields) = resolver.extension_fields(&named);
    locations.extension_fields = of_fields;
    let undecided = resolver.undecided;
    for name in undecided.keys() {
        // Any value is valid until the upstream's schema is known.
        let definition = TypeDefinition { is_upstreams: true, ..TypeDefinition::new(TypeKind::Scalar, None) };
        types.0.insert(name.clone(), definition);
    }
    let schema = ActionSchema { actions, types, extension_fields, locations, undecided, ..ActionSchema::default() };
    prefix::apply(schema, surroundings.prefixes)
}

/// The usable part of some metadata: invalid actions and types are left out, and with them everything that needs them.
/// They are listed in [`ActionSchema::inconsistent`].
pub struct Usable {
    /// The actions.
    pub schema: ActionSchema,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Resolves what can be used. `read` reads the metadata, each time that it is called; `look_up` finds types of the
/// upstream, if its schema is known; only what is `tolerated` is left out.
///
/// # Errors
/// All that is wrong, warnings among it, if anything is that is not tolerated.
pub fn resolve_usable(
    read: &dyn Fn(&mut Vec<Diagnostic>) -> (Metadata, Signatures),
    surroundings: &ResolveOptions<'_>,
    look_up: Option<LookUp<'_>>,
    tolerated: &Tolerated,
) -> Result<Usable, Vec<Diagnostic>> {
    let mut inconsistent: Vec<Diagnostic> = Vec::new();
    // Each round leaves something out, so there are no more of them than actions and types.
    loop {
        let left_out: HashSet<&SourceFile> =
            inconsistent.iter().filter_map(|diagnostic| diagnostic.subject.as_deref()).collect();
        let is_news =
            |diagnostic: &Diagnostic| diagnostic.subject.as_deref().is_none_or(|subject| !left_out.contains(subject));
        let mut diagnostics = Vec::new();
        let (mut metadata, mut signatures) = read(&mut diagnostics);
        leave_out(&mut metadata, &mut signatures, &left_out);
        let mut schema = resolve_each(metadata, signatures, surroundings, &left_out, &mut diagnostics);
        diagnostics.retain(is_news);
        reject_invalid(&schema, surroundings.prefixes, &mut diagnostics);
        if let Some(look_up) = look_up {
            diagnostics.extend(upstream_types::missing(&schema, look_up));
            upstream_types::fill(&mut schema, look_up);
        }
        let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
        let is_tolerated =
            |diagnostic: &Diagnostic| diagnostic.subject.as_deref().is_some_and(|subject| tolerated.includes(subject));
        if diagnostics.iter().filter(is_error).any(|diagnostic| !is_tolerated(diagnostic)) {
            return Err(diagnostics);
        }
        if !diagnostics.iter().any(|diagnostic| is_error(&diagnostic)) {
            schema.inconsistent = inconsistent;
            schema.tolerated = tolerated.clone();
            return Ok(Usable { schema, warnings: diagnostics });
        }
        let errors: Vec<Diagnostic> = diagnostics.into_iter().filter(|diagnostic| is_error(&diagnostic)).collect();
        inconsistent.extend(errors);
    }
}

fn leave_out(metadata: &mut Metadata, signatures: &mut Signatures, left_out: &HashSet<&SourceFile>) {
    if left_out.is_empty() {
        return;
    }
    let has_action = |name: &str| !left_out.contains(&SourceFile::Action(name.to_owned()));
    let has_type = |name: &str| !left_out.contains(&SourceFile::Type(name.to_owned()));
    metadata.actions.retain(|entry| has_action(&entry.name));
    metadata.types.retain(|entry| has_type(&entry.name));
    signatures.actions.retain(|name, _| has_action(name));
    signatures.types.retain(|name, _| has_type(name));
    signatures.interfaces.retain(|name, _| has_type(name));
}

/// Whatever has not been found by name so far: an empty type, an argument that stands twice.
fn reject_invalid(schema: &ActionSchema, prefixes: &Prefixes, diagnostics: &mut Vec<Diagnostic>) {
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return;
    }
    if let Err(reason) = schema::of_actions(schema, &RootTypes::usual(Dialect::Standard), ADMIN_ROLE) {
        let message = format!("the actions and their types do not make a valid schema: {reason}");
        let (place, subject) = culprit(schema, prefixes, &reason).unzip();
        let diagnostic = Diagnostic::error(place, message, "correct actions.graphql");
        diagnostics.push(Diagnostic { subject: subject.map(Box::new), ..diagnostic });
    }
}

/// The subject of an error and its location: the type that the validator names, or the first action that is not valid
/// alone either.
fn culprit(schema: &ActionSchema, prefixes: &Prefixes, reason: &str) -> Option<(SourceLocation, SourceFile)> {
    let named = schema.locations.types.iter().find(|(name, _)| reason.contains(&format!("`{name}`")));
    if let Some((name, place)) = named {
        let own_name = name.strip_prefix(prefixes.types.as_str()).unwrap_or(name);
        return Some((place.clone(), SourceFile::Type(own_name.to_owned())));
    }
    let is_invalid = |(name, action): &(&String, &Arc<Action>)| {
        let actions = IndexMap::from([((*name).clone(), Arc::clone(action))]);
        let alone = ActionSchema { actions, types: schema.types.clone(), ..ActionSchema::default() };
        schema::of_actions(&alone, &RootTypes::usual(Dialect::Standard), ADMIN_ROLE).is_err()
    };
    let (field, action) = schema.actions.iter().find(is_invalid)?;
    Some((schema.locations.actions.get(field)?.clone(), SourceFile::Action(action.name.clone())))
}

/// A role that is made of others may call what any of them may, and it may itself be part of another.
fn add_inherited_roles(roles: &mut Vec<String>, inherited: &[(String, Vec<String>)]) {
    let gains = |roles: &[String]| {
        let gains = |(name, members): &&(String, Vec<String>)| {
            !roles.contains(name) && members.iter().any(|member| roles.contains(member))
        };
        inherited.iter().find(gains).map(|(name, _)| name.clone())
    };
    while let Some(name) = gains(roles) {
        roles.push(name);
    }
}

fn written_value(source: &HeaderSource) -> WrittenValue {
    match source {
        HeaderSource::FromEnvironment(name, _) => WrittenValue::FromEnvironment(name.clone()),
        HeaderSource::Value(text, _) if text.contains("{{") => WrittenValue::Template(text.clone()),
        HeaderSource::Value(..) => WrittenValue::Plain,
    }
}

impl Resolver<'_, '_> {
    pub(crate) fn error(&mut self, place: &SourceLocation, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
    }

    pub(crate) fn assign(&mut self, start: usize, subject: &SourceFile) {
        assign(self.diagnostics, start, subject);
    }

    /// Hasura's tools drop interfaces without a message; its server then rejects every use of one as a type.
    fn interfaces(&mut self, signatures: &Signatures) {
        let mut used: HashSet<&str> = HashSet::new();
        for signature in signatures.actions.values() {
            used.insert(signature.output.named());
            used.extend(signature.arguments.iter().map(|argument| argument.ty.named()));
        }
        for (definition, _) in signatures.types.values() {
            match &definition.kind {
                TypeKind::Object(fields) => used.extend(fields.values().map(|field| field.ty.named())),
                TypeKind::InputObject(fields) => used.extend(fields.iter().map(|field| field.ty.named())),
                TypeKind::Scalar | TypeKind::Enum(_) => {}
            }
        }
        for (name, place) in &signatures.interfaces {
            if used.contains(name.as_str()) {
                let message = format!("actions cannot use the interface '{name}'");
                let help =
                    "use object types, input objects, enums and scalars, and declare actions in type Query or Mutation";
                let diagnostic = Diagnostic::error(Some(place.clone()), message, help);
                self.diagnostics.push(diagnostic.about(SourceFile::Type(name.clone())));
            } else {
                let message = format!("the interface '{name}' has no effect: actions cannot use interfaces");
                self.warning(place, message, "remove it, and \"implements\" with it");
            }
        }
    }

    fn warning(&mut self, place: &SourceLocation, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(Some(place.clone()), message, help));
    }

    fn action(&mut self, mut entry: ActionEntry, signature: Option<Signature>, types: &mut Types) -> Option<Action> {
        let signature = match signature {
            Some(signature) => signature,
            None => self.exported_signature(&entry)?,
        };
        for argument in &signature.arguments {
            let name = argument.ty.named();
            let place = self.type_place(&format!("{}({}:)", entry.name, argument.name), &signature.place);
            let help = format!(
                "correct the type of argument \"{}\"{}",
                argument.name,
                did_you_mean_type(types, name, |kind| !matches!(kind, TypeKind::Object(_)))
            );
            let message =
                format!("the type: \"{name}\" is not defined in custom types or it is not a scalar/enum/input_object");
            match self.kind_of(types, name) {
                Some(TypeUse::Both | TypeUse::Input) => {}
                Some(TypeUse::Output) => {
                    let help = format!("\"{name}\" is an object type: use an input object, an enum or a scalar");
                    self.error(&place, message, help);
                }
                None => {
                    let diagnostic = Diagnostic::error(Some(place), message, help);
                    self.leave_to_upstream(name, diagnostic.about(SourceFile::Action(entry.name.clone())));
                }
            }
        }
        let output = signature.output.named();
        let output_is_enum = matches!(types.get(output).map(|found| &found.kind), Some(TypeKind::Enum(_)));
        let message = format!("the type: \"{output}\" is not an object or scalar type defined in custom types");
        let place = self.type_place(&entry.name, &signature.place);
        let help = format!(
            "correct what action '{}' returns{}",
            entry.name,
            did_you_mean_type(types, output, |kind| matches!(kind, TypeKind::Object(_) | TypeKind::Scalar))
        );
        match self.kind_of(types, output) {
            Some(TypeUse::Both | TypeUse::Output) if !output_is_enum => {}
            Some(_) => self.error(&place, message, help),
            None => {
                let diagnostic = Diagnostic::error(Some(place), message, help);
                self.leave_to_upstream(output, diagnostic.about(SourceFile::Action(entry.name.clone())));
            }
        }
        self.reject_reserved(&signature.place, "action", &entry.name);
        for argument in &signature.arguments {
            self.reject_reserved(&signature.place, "argument", &argument.name);
        }
        let is_async = entry.kind.as_ref().is_some_and(|(kind, _)| kind == "asynchronous");
        if is_async {
            // What its root fields are made of.
            for scalar in schema::ASYNC_SCALARS {
                self.kind_of(types, scalar);
            }
            if types.get(&entry.name).is_some() {
                let message = format!("duplicate type names: \"{}\"", entry.name);
                let help = "rename the type or the action: the result of an asynchronous action has a type of its name";
                self.error(&signature.place, message, help);
            }
        }
        let settings = self.surroundings.actions.get(&entry.name);
        let is_without_handler = settings.is_some_and(|settings| settings.before.is_without_handler());
        let handler = if is_without_handler { self.no_handler(&entry) } else { self.handler(&entry) };
        let request_transform = self.request_transform(&mut entry, settings);
        let headers = self.headers(&entry, settings);
        self.check_kind(&entry, signature.kind);
        let jobs = self.surroundings.jobs;
        let own = settings.map(|settings| &settings.policies);
        if let Some((_, place)) = own.and_then(|own| own.cache.as_ref()) {
            self.check_cache(&entry.name, signature.kind, &headers, place);
        }
        if let Some((_, place)) = settings.and_then(|settings| settings.batch_size.as_ref()) {
            self.check_batch(&entry.name, signature.kind, is_async, place);
        }
        let policies = rules_of(self.surroundings.policies, own, self.surroundings.environment, self.diagnostics);
        let arguments = self.defaults(types, signature.arguments, &signature.place);
        let roles = entry.permissions.into_iter().collect::<BTreeSet<_>>();
        let scope = PresetScope { action: &entry.name, arguments: &arguments, roles: &roles, types };
        let presets = settings.and_then(|settings| settings.presets.as_ref());
        let presets = presets.map(|node| resolve_presets::resolve(node, &scope, self.diagnostics)).unwrap_or_default();
        let scope = BeforeScope {
            action: &entry.name,
            arguments: &arguments,
            roles: &roles,
            types,
            is_async,
            is_get: settings.is_some_and(|settings| settings.is_get),
            has_admin_secret: self.surroundings.admin_secret.is_some(),
        };
        let before = settings.and_then(|settings| resolve_before::resolve(&settings.before, &scope, self.diagnostics));
        Some(Action {
            field: entry.name.clone(),
            kind: signature.kind,
            is_async,
            arguments,
            output: signature.output,
            handler: handler?,
            headers,
            timeout: Duration::from_secs(entry.timeout.unwrap_or(TIMEOUT_SECONDS).max(1)),
            roles,
            comment: entry.comment.or(signature.description),
            deprecated: signature.deprecated,
            calls_per_document_max: settings
                .and_then(|settings| settings.calls_per_document_max)
                .unwrap_or(self.surroundings.max_calls_per_action),
            idempotent: settings.is_some_and(|settings| settings.idempotent),
            request_transform,
            forwarded_query_params: settings
                .map(|settings| settings.forwarded_query_params.clone())
                .unwrap_or_default(),
            response_headers: settings.map(|settings| settings.response_headers.clone()).unwrap_or_default(),
            batch_size: settings.and_then(|settings| settings.batch_size.as_ref()).map(|(size, _)| *size),
            has_envelope: settings.is_some_and(|settings| settings.has_envelope),
            response_transform: entry.response_transform,
            attempts_max: settings.and_then(|settings| settings.attempts).unwrap_or(jobs.0),
            concurrency_max: settings.and_then(|settings| settings.concurrency).unwrap_or(jobs.1),
            policies,
            presets,
            before: before.map(Arc::new),
            name: entry.name,
        })
    }

    /// The signature that a JSON export carries in the definition itself.
    fn exported_signature(&mut self, entry: &ActionEntry) -> Option<Signature> {
        let Some((output, output_place)) = &entry.output_type else {
            if self.subscriptions.contains(&entry.name) {
                return None;
            }
            let message = format!("action {} is not present in actions.graphql", entry.name);
            let is_query = entry.operation.as_ref().is_some_and(|(operation, _)| operation == "query");
            let root = if is_query { "Query" } else { "Mutation" };
            let help = format!("declare it there: type {root} {{ {}(…): … }}", entry.name);
            self.error(&entry.place, message, help);
            return None;
        };
        let kind = match entry.operation.as_ref().map(|(text, place)| (text.as_str(), place)) {
            None | Some(("mutation", _)) => OperationKind::Mutation,
            Some(("query", _)) => OperationKind::Query,
            Some((other, place)) => {
                let message = format!("expected mutation or query, but found {other}");
                self.error(place, message, "write \"query\" or \"mutation\"");
                return None;
            }
        };
        let Some(output) = parse_type(output) else {
            self.error(output_place, format!("not a valid GraphQL type: {output}"), "write a type such as [Int!]!");
            return None;
        };
        let arguments = self.inputs(&entry.arguments);
        let (place, deprecated) = (entry.place.clone(), entry.deprecated.clone());
        Some(Signature { place, kind, arguments, output, description: None, deprecated })
    }

    /// Only queries are cached, and the cache key must contain everything that the handler receives.
    fn check_cache(&mut self, action: &str, kind: OperationKind, headers: &HeaderRules, place: &SourceLocation) {
        if kind != OperationKind::Query {
            let message = format!("the responses of action '{action}' cannot be kept: it is a mutation");
            self.error(place, message, "remove \"cache\"");
        }
        if headers.forward_client_headers && headers.forwarded_client_headers.is_none() {
            let message =
                format!("action '{action}' gets all of the client's headers, so hardly two responses are for the same");
            self.error(place, message, "name those that count in forwarded_client_headers");
        }
    }

    /// Calls that do something are made one by one, in the order of the document.
    fn check_batch(&mut self, action: &str, kind: OperationKind, is_async: bool, place: &SourceLocation) {
        if kind != OperationKind::Query {
            let what = if is_async { "asynchronous" } else { "a mutation" };
            self.error(place, format!("calls of action '{action}' cannot be joined: it is {what}"), "remove \"batch\"");
        } else if self.surroundings.actions.get(action).is_some_and(|settings| settings.is_get) {
            let message = format!("calls of action '{action}' cannot be joined: a GET has no body");
            self.error(place, message, "remove \"batch\" or \"method\"");
        }
    }

    fn check_kind(&mut self, entry: &ActionEntry, operation: OperationKind) {
        let Some((kind, place)) = &entry.kind else { return };
        match kind.as_str() {
            "asynchronous" if operation == OperationKind::Query => {
                let message = format!("query action '{}' cannot be asynchronous", entry.name);
                self.error(place, message, "remove \"kind\"");
            }
            "" | "synchronous" | "asynchronous" => {}
            other => {
                let message = format!("\"{other}\" is not a kind of action");
                self.error(place, message, "write \"synchronous\" or \"asynchronous\"");
            }
        }
    }

    /// What belongs to a handler has no effect without one, and must not look as if it had.
    fn no_handler(&mut self, entry: &ActionEntry) -> Option<Handler> {
        let settings = self.surroundings.actions.get(&entry.name);
        let parts = [
            ("a request transform", entry.request_transform.is_some()),
            ("a response transform", entry.response_transform.is_some()),
            ("headers", !entry.headers.is_empty()),
            ("a cache", settings.is_some_and(|settings| settings.policies.cache.is_some())),
            ("batches", settings.is_some_and(|settings| settings.batch_size.is_some())),
        ];
        for (part, _) in parts.into_iter().filter(|(_, is_there)| *is_there) {
            let message = format!("action '{}' has {part} and, in pillion.yaml, no handler", entry.name);
            self.error(&entry.place, message, "remove one of the two");
        }
        Url::parse("none:").ok().map(Handler::none)
    }

    fn handler(&mut self, entry: &ActionEntry) -> Option<Handler> {
        let Some((template, place)) = &entry.handler else {
            let message = format!("action '{}' has no handler", entry.name);
            self.error(&entry.place, message, "add \"handler\" to its definition");
            return None;
        };
        let text = match template::compile(template, self.surroundings.environment) {
            Err(error) => {
                self.template_error(&entry.name, "the handler", place, &error);
                return None;
            }
            Ok(pieces) => {
                let fixed = pieces.iter().map(|piece| match piece {
                    ValuePiece::Text(text) => Some(text.expose()),
                    ValuePiece::RequestId | ValuePiece::SessionVariable(_) => None,
                });
                let Some(text) = fixed.collect::<Option<String>>() else {
                    let message = format!("the handler of action '{}' can hold environment variables only", entry.name);
                    self.error(place, message, "move the rest to a header");
                    return None;
                };
                text
            }
        };
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let Some(url) = Url::parse(&text).ok().filter(is_http) else {
            let message = format!("the handler of action '{}' is not an http or https address", entry.name);
            self.error(place, message, "write http://host/path; check the variables in it");
            return None;
        };
        if names_link_local(&url) && !self.surroundings.allows_link_local {
            let message = format!("the handler of action '{}' has a link-local or metadata address", entry.name);
            self.error(place, message, "correct it, or set handlers.allow_link_local");
        }
        if literal(&url).is_some_and(is_private) && !self.surroundings.allows_private {
            let message = format!("the handler of action '{}' has an address of a private network", entry.name);
            self.error(place, message, "correct it, or set handlers.allow_private");
        }
        if !self.surroundings.allowed_hosts.allow(&url) {
            let message = format!("the handler of action '{}' is at a host that is not allowed", entry.name);
            self.error(place, message, "correct it, or name the host in handlers.allowed_hosts");
        }
        Some(Handler { template: template.clone(), base_url: Secret::new(text), url })
    }

    fn template_error(&mut self, action: &str, what: &str, place: &SourceLocation, error: &TemplateError) {
        let length = place.length.saturating_sub(error.offset()).max(1);
        let place = SourceLocation { column: place.column + error.offset(), length, ..place.clone() };
        let help = match error {
            TemplateError::Missing { name, .. } => format!("set {name}, or remove it from the template"),
            TemplateError::Unclosed { .. } | TemplateError::Unknown { .. } => "write {{NAME}}".to_owned(),
        };
        self.error(&place, format!("{what} of action '{action}': {error}"), help);
    }

    /// A handler that is called by GET is one whose request is rewritten in the plainest way.
    fn request_transform(
        &mut self,
        entry: &mut ActionEntry,
        settings: Option<&ActionSettings>,
    ) -> Option<RequestTransform> {
        let transform = entry.request_transform.take();
        if !settings.is_some_and(|settings| settings.is_get) {
            return transform;
        }
        if transform.is_some() {
            let message = format!("action '{}' has a request transform, and in pillion.yaml a method", entry.name);
            self.error(&entry.place, message, "write the method in its transform");
        }
        Some(RequestTransform {
            method: Some(Method::GET),
            query: Some(QueryTransform::Input),
            body: BodyTransform::Remove,
            ..RequestTransform::default()
        })
    }

    /// The admin secret, for a handler that shall have it.
    fn admin_secret(&mut self, entry: &ActionEntry, settings: Option<&ActionSettings>) -> Option<ConfiguredHeader> {
        if !settings.is_some_and(|settings| settings.admin_secret) {
            return None;
        }
        let Some(secret) = self.surroundings.admin_secret else {
            let message = format!("action '{}' shall get the admin secret, and there is none", entry.name);
            self.error(&entry.place, message, "set HASURA_GRAPHQL_ADMIN_SECRET");
            return None;
        };
        let name = HeaderName::from_static("x-hasura-admin-secret");
        let value = vec![ValuePiece::Text(secret.clone())];
        Some(ConfiguredHeader { name, value, written: WrittenValue::Plain })
    }

    fn headers(&mut self, entry: &ActionEntry, settings: Option<&ActionSettings>) -> HeaderRules {
        let mut configured: Vec<ConfiguredHeader> = self.admin_secret(entry, settings).into_iter().collect();
        for header in &entry.headers {
            let Ok(name) = HeaderName::try_from(&header.name) else {
                let message = format!("\"{}\" cannot be the name of a header", header.name);
                self.error(&header.place, message, "use letters, digits and dashes");
                continue;
            };
            if configured.iter().any(|known| known.name == name) {
                let message = format!("action '{}' has the header '{name}' twice", entry.name);
                self.warning(&header.place, message, "remove one: the first counts");
            }
            if let Some(value) = self.header_value(entry, &header.value) {
                self.warn_replaceable(entry, &header.place, &name, &header.value);
                configured.push(ConfiguredHeader { name, value, written: written_value(&header.value) });
            }
        }
        let ignored_client_headers = entry.ignored_client_headers.as_ref().map(|names| self.header_names(names));
        HeaderRules {
            forward_client_headers: entry.forward_client_headers,
            ignored_client_headers,
            forwarded_client_headers: settings.and_then(|settings| settings.forwarded_client_headers.clone()),
            session_headers: settings.is_some_and(|settings| settings.session_headers),
            configured,
        }
    }

    fn header_names(&mut self, names: &[(String, SourceLocation)]) -> Vec<HeaderName> {
        let mut valid = Vec::with_capacity(names.len());
        for (name, place) in names {
            match HeaderName::try_from(name) {
                Ok(name) => valid.push(name),
                Err(_) => self.error(place, format!("\"{name}\" cannot be the name of a header"), "correct it"),
            }
        }
        valid
    }

    fn header_value(&mut self, entry: &ActionEntry, source: &HeaderSource) -> Option<Vec<ValuePiece>> {
        match source {
            HeaderSource::Value(text, place) => {
                let environment =
                    |name: &str| (!name.starts_with(HASURA_PREFIX)).then(|| (self.surroundings.environment)(name))?;
                let compiled = template::compile(text, &environment);
                compiled.map_err(|error| self.template_error(&entry.name, "a header", place, &error)).ok()
            }
            HeaderSource::FromEnvironment(name, place) if name.starts_with(HASURA_PREFIX) => {
                let message =
                    "env variables start with \"HASURA_GRAPHQL_\" are not allowed for value_from_env".to_owned();
                self.error(place, message, "they hold the upstream's own secrets: use another variable");
                None
            }
            HeaderSource::FromEnvironment(name, place) => {
                let value = (self.surroundings.environment)(name);
                if value.is_none() {
                    let message =
                        format!("a header of action '{}': the environment variable {name} is not set", entry.name);
                    self.error(place, message, format!("set {name}, or remove the header"));
                }
                value.map(|value| vec![ValuePiece::Text(Secret::new(value))])
            }
        }
    }

    /// By default a client's header replaces the action's own, as in Hasura. For a secret that is a hole.
    fn warn_replaceable(
        &mut self,
        entry: &ActionEntry,
        place: &SourceLocation,
        name: &HeaderName,
        source: &HeaderSource,
    ) {
        let looks_secret = matches!(source, HeaderSource::FromEnvironment(..))
            || ["key", "secret", "token", "auth", "password"].iter().any(|word| name.as_str().contains(word));
        let replaceable = entry.forward_client_headers
            && self.surroundings.precedence == Precedence::ClientFirst
            && !name.as_str().starts_with(SESSION_PREFIX);
        let ignored = entry.ignored_client_headers.as_ref();
        let is_ignored = ignored
            .is_some_and(|ignored| ignored.iter().any(|(ignored, _)| ignored.eq_ignore_ascii_case(name.as_str())));
        if looks_secret && replaceable && !is_ignored {
            let message = format!(
                "a client can replace the header '{name}' of action '{}': forwarded headers come first",
                entry.name
            );
            let help = "set configured_header_precedence, or name the header in ignored_client_headers";
            self.warning(place, message, help);
        }
    }
}

/// Variables with this prefix hold the upstream's own secrets.
const HASURA_PREFIX: &str = "HASURA_GRAPHQL_";
