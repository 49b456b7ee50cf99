//! What the templates see: names, types and literals in the spelling of the language.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::codegen::docs::comment_lines;
use crate::codegen::language::Language;
use crate::codegen::languages;
use crate::codegen::names::{Names, snake, upper_camel};
use crate::codegen::options::{DEFAULT_SIGNING_VARIABLE, Options};
use crate::codegen::secrets::secrets_of;
use crate::codegen::selection::Selection;
use crate::codegen::shape::Shape;
use crate::codegen::type_expressions::TypeTable;
use crate::codegen::type_views::{self, TypeView};
use crate::model::action::{Action, ActionSchema, OperationKind, ValuePiece};
use crate::model::traffic::RateKey;

/// A whole project.
#[derive(Serialize)]
pub(crate) struct Views {
    pub(crate) framework: &'static str,
    types: Vec<TypeView>,
    pub(crate) actions: Vec<ActionView>,
    session_variables: Vec<SessionVariableView>,
    variables: Vec<Value>,
    has_secrets: bool,
    has_signatures: bool,
    has_batches: bool,
    /// Does a handler get what the upstream was asked before?
    has_data: bool,
    has_json: bool,
}

/// A session variable: literals of its name, and a name in the code.
#[derive(Serialize)]
struct SessionVariableView {
    name: String,
    member: String,
    camel: String,
}

/// A header that has the value of an environment variable.
#[derive(Clone, Serialize)]
struct SecretView {
    header: String,
    variable: String,
}

/// An action.
#[derive(Clone, Serialize)]
pub(crate) struct ActionView {
    name: String,
    literal: String,
    function: String,
    class: String,
    /// The name of its file without extension.
    pub(crate) stem: String,
    doc: Vec<String>,
    notes: Vec<String>,
    arguments: String,
    result: String,
    secrets: Vec<SecretView>,
    signing: Vec<String>,
    batch: Option<usize>,
    has_data: bool,
    has_envelope: bool,
    sample: Option<String>,
    sample_arguments: String,
}

impl Views {
    /// What the templates see of a selection.
    pub(crate) fn of(selection: &Selection, schema: &ActionSchema, options: &Options) -> Self {
        let language = languages::of(options.framework);
        let mut scope = Names::new(language.reserved_types());
        let table = TypeTable::new(language, &schema.types, &selection.types, &mut scope);
        let mut types = type_views::of_types(&table, &selection.types);
        let (mut functions, mut stems) = (Names::new(language.keywords()), Names::new(language.keywords()));
        let mut classes = Names::new(&[]);
        let mut actions = Vec::with_capacity(selection.actions.len());
        for action in &selection.actions {
            let base = language.type_name(&upper_camel(&action.name));
            let arguments = scope.take(format!("{base}Arguments"));
            let result = scope.take(format!("{base}Result"));
            types.push(type_views::of_arguments(&table, action, &arguments));
            types.push(type_views::of_result(&table, action, &result));
            let names = ActionNames {
                function: functions.take(language.function_name(&action.name)),
                stem: stems.take(snake(&action.name)),
                class: classes.take(format!("{base}Handler")),
                arguments,
                result,
            };
            actions.push(action_view(&table, action, names, options));
        }
        Self::with(language, types, actions, session_variables(selection, options), options)
    }

    fn with(
        language: &dyn Language,
        types: Vec<TypeView>,
        actions: Vec<ActionView>,
        session_variables: Vec<String>,
        options: &Options,
    ) -> Self {
        let mut members = Names::new(language.keywords());
        METHODS.iter().for_each(|name| drop(members.take((*name).to_owned())));
        let session_variables = session_variables.into_iter().map(|name| {
            let member = members.take(snake(name.strip_prefix("x-hasura-").unwrap_or(&name)));
            let camel = upper_camel(&member);
            SessionVariableView { name: language.string(&name), member, camel }
        });
        Self {
            framework: options.framework.name(),
            session_variables: session_variables.collect(),
            variables: variables_of(&actions),
            has_secrets: actions.iter().any(|action| !action.secrets.is_empty()),
            has_signatures: actions.iter().any(|action| !action.signing.is_empty()),
            has_batches: actions.iter().any(|action| action.batch.is_some()),
            has_data: actions.iter().any(|action| action.has_data),
            has_json: types.iter().any(|view| view.mentions(language.scalar(Shape::Json))),
            types,
            actions,
        }
    }
}

/// What the types of sessions can do already, in one of the languages.
const METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

/// The environment variables that handlers need: literals of their names.
fn variables_of(actions: &[ActionView]) -> Vec<Value> {
    let secrets = actions.iter().flat_map(|action| action.secrets.iter().map(|secret| &secret.variable));
    let variables = secrets.chain(actions.iter().flat_map(|action| &action.signing));
    let variables: BTreeSet<&String> = variables.collect();
    variables.into_iter().map(|name| Value::from(name.as_str())).collect()
}

struct ActionNames {
    function: String,
    stem: String,
    class: String,
    arguments: String,
    result: String,
}

fn action_view(table: &TypeTable<'_>, action: &Action, names: ActionNames, options: &Options) -> ActionView {
    let language = table.language;
    let ActionNames { function, stem, class, arguments, result } = names;
    let literal = |text: &String| language.string(text);
    let signing = if action.policies.signing_keys.is_empty() {
        Vec::new()
    } else {
        let own = options.signing_variables.get(&action.name).cloned();
        own.unwrap_or_else(|| vec![DEFAULT_SIGNING_VARIABLE.to_owned()])
    };
    let secrets = secrets_of(action).into_iter();
    let secrets =
        secrets.map(|(header, variable)| SecretView { header: literal(&header), variable: literal(&variable) });
    ActionView {
        literal: literal(&action.name),
        name: action.name.clone(),
        function,
        class,
        stem,
        doc: doc_of(action),
        notes: notes_of(action),
        arguments,
        result,
        secrets: secrets.collect(),
        signing: signing.iter().map(literal).collect(),
        batch: action.batch_size,
        has_data: action.before.as_ref().is_some_and(|before| !before.send.is_empty()),
        has_envelope: action.has_envelope,
        sample: table.sample(&action.output),
        sample_arguments: language.arguments(&table.sample_arguments(&action.arguments)),
    }
}

fn doc_of(action: &Action) -> Vec<String> {
    let mut lines = comment_lines(action.comment.as_deref().unwrap_or_default());
    if lines.is_empty() {
        let kind = if action.kind == OperationKind::Mutation { "mutation" } else { "query" };
        lines.push(format!("Handles the {kind} {}.", action.name));
    }
    lines.extend(action.deprecated.iter().flat_map(|reason| comment_lines(&format!("Deprecated: {reason}"))));
    lines
}

/// What an author should know of how the action is called.
fn notes_of(action: &Action) -> Vec<String> {
    let mut notes = Vec::new();
    let sent = action.before.as_ref().map(|before| before.send.as_slice()).unwrap_or_default();
    if action.is_async || action.batch_size.is_some() || !sent.is_empty() {
        notes.push(String::new());
    }
    if action.is_async {
        notes.extend([
            "Asynchronous: the client has an id already, and what this returns is stored for it. The call is made again after a".to_owned(),
            "failure, with the same header Idempotency-Key.".to_owned(),
        ]);
    }
    if let Some(size) = action.batch_size {
        notes.push(format!(
            "Gets the arguments of up to {size} calls, and returns a result or an error for each, in their order."
        ));
    }
    if !sent.is_empty() {
        notes.push(format!("The data of the call has what the upstream was asked before: {}.", sent.join(", ")));
    }
    notes
}

/// Beside the role: that of the user, and those which headers, caches and rate limits name.
fn session_variables(selection: &Selection, options: &Options) -> Vec<String> {
    let mut names: BTreeSet<String> = options.session_variables.iter().cloned().collect();
    for action in &selection.actions {
        let pieces = action.headers.configured.iter().flat_map(|header| &header.value);
        names.extend(pieces.filter_map(|piece| match piece {
            ValuePiece::SessionVariable(name) => Some(name.clone()),
            ValuePiece::Text(_) | ValuePiece::RequestId => None,
        }));
        names.extend(action.policies.cache.iter().flat_map(|cache| cache.by.clone().unwrap_or_default()));
        names.extend(action.policies.rate_limits.iter().filter_map(|limit| match &limit.by {
            RateKey::Variable(name) => Some(name.clone()),
            RateKey::All | RateKey::Address => None,
        }));
    }
    let is_word =
        |name: &String| name.strip_prefix("x-hasura-").is_some_and(|word| word.starts_with(char::is_alphabetic));
    names.retain(|name| is_word(name) && name != "x-hasura-role" && name != "x-hasura-user-id");
    ["x-hasura-role", "x-hasura-user-id"].map(str::to_owned).into_iter().chain(names).collect()
}
