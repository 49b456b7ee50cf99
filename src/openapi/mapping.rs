//! Kriti templates that map names between GraphQL and an API: fields and values of enums that GraphQL cannot have as the API
//! has them.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use crate::model::types::TypeRef;
use crate::openapi::types::{Definition, EnumMember, Member, Types};

/// Bytes of one template; the parser of templates takes twice as many.
const BYTES_MAX: usize = 128 * 1024;

/// In which direction names are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// What a client sends gets the API's names.
    ToApi,
    /// What the API returns gets GraphQL's names.
    FromApi,
}

impl Direction {
    fn pair<'n>(self, api: &'n str, graphql: &'n str) -> (&'n str, &'n str) {
        match self {
            Self::ToApi => (graphql, api),
            Self::FromApi => (api, graphql),
        }
    }
}

/// Which types have names to be mapped, in themselves or below.
pub(crate) struct Mapping<'t> {
    types: &'t Types,
    mapped: HashSet<&'t str>,
}

impl<'t> Mapping<'t> {
    pub(crate) fn new(types: &'t Types) -> Self {
        let mut users: HashMap<&str, Vec<&'t str>> = HashMap::new();
        for (name, made) in types {
            for member in made.members() {
                users.entry(member.ty.named()).or_default().push(name);
            }
        }
        let mut mapped = HashSet::new();
        let own = types.iter().filter(|(_, made)| made.is_mapped()).map(|(name, _)| name.as_str());
        let mut next: VecDeque<&str> = own.collect();
        while let Some(name) = next.pop_front() {
            if mapped.insert(name) {
                next.extend(users.get(name).into_iter().flatten());
            }
        }
        Self { types, mapped }
    }

    /// Has a value of this type names to be mapped?
    pub(crate) fn is_needed(&self, ty: &TypeRef) -> bool {
        self.mapped.contains(ty.named())
    }

    /// A template for `value`, an expression of that type.
    ///
    /// # Errors
    /// Why no template can map it.
    pub(crate) fn template(&self, ty: &TypeRef, value: &str, direction: Direction) -> Result<String, String> {
        let mut writer = Writer { mapping: self, direction, within: Vec::new(), depth: 0 };
        writer.value(ty, value)
    }
}

struct Writer<'m, 't> {
    mapping: &'m Mapping<'t>,
    direction: Direction,
    /// The objects around, by their types.
    within: Vec<String>,
    /// How many loops are around: each has a variable of its own.
    depth: usize,
}

impl Writer<'_, '_> {
    fn value(&mut self, ty: &TypeRef, value: &str) -> Result<String, String> {
        if !self.mapping.is_needed(ty) {
            return Ok(format!("{{{{{value}}}}}"));
        }
        match ty.nullable() {
            TypeRef::List(item) => {
                self.depth += 1;
                let variable = format!("x{}", self.depth);
                let item = self.value(item, &variable)?;
                self.depth -= 1;
                Ok(unless_null(value, &format!("{{{{ range _, {variable} := {value} }}}} {item} {{{{ end }}}}")))
            }
            ty => match self.mapping.types.get(ty.named()).map(|made| &made.definition) {
                Some(Ok(Definition::Enum(values))) => Ok(self.enum_value(values, value)),
                Some(Ok(Definition::Object(members) | Definition::Input(members))) => {
                    self.object(ty.named(), members, value)
                }
                _ => Ok(format!("{{{{{value}}}}}")),
            },
        }
    }

    fn enum_value(&self, values: &[EnumMember], value: &str) -> String {
        let renamed = values.iter().map(|member| self.direction.pair(&member.api_value, &member.name));
        let cases = renamed.filter(|(from, to)| from != to).map(|(from, to)| (from, literal(to)));
        choice(value, cases, value)
    }

    /// An object as pairs of names and values, renamed and made an object again: what is absent stays so.
    fn object(&mut self, name: &str, members: &[Member], value: &str) -> Result<String, String> {
        if self.within.iter().any(|outer| outer == name) {
            let reason =
                format!("the type {name} contains itself and has names that are mapped, which no template can do");
            return Err(reason);
        }
        self.within.push(name.to_owned());
        self.depth += 1;
        let pair = format!("p{}", self.depth);
        let (key, inner) = (format!("{pair}[0]"), format!("{pair}[1]"));
        let direction = self.direction;
        let names = members.iter().map(|member| direction.pair(&member.api_name, &member.name));
        let names: Vec<_> = names.filter(|(from, to)| from != to).map(|(from, to)| (from, literal(to))).collect();
        let mut values = Vec::new();
        for member in members.iter().filter(|member| self.mapping.is_needed(&member.ty)) {
            let (from, _) = direction.pair(&member.api_name, &member.name);
            values.push((from, self.value(&member.ty, &inner)?));
        }
        self.depth -= 1;
        self.within.pop();
        let (name, mapped) = (choice(&key, names.into_iter(), &key), choice(&key, values.into_iter(), &inner));
        let pairs = format!("{{{{ range _, {pair} := toPairs({value}) }}}} [{name}, {mapped}] {{{{ end }}}}");
        let object = unless_null(value, &format!("{{{{ fromPairs({pairs}) }}}}"));
        if object.len() > BYTES_MAX { Err("its names need a template that is too long".to_owned()) } else { Ok(object) }
    }
}

fn unless_null(value: &str, template: &str) -> String {
    format!("{{{{ if {value} == null }}}} null {{{{ else }}}} {template} {{{{ end }}}}")
}

/// The template of the first text that `value` is, or `otherwise`, an expression.
fn choice<'c>(value: &str, cases: impl Iterator<Item = (&'c str, String)>, otherwise: &str) -> String {
    let mut written = String::new();
    for (text, template) in cases {
        let keyword = if written.is_empty() { "if" } else { "elif" };
        written.push_str(&format!("{{{{ {keyword} {value} == {} }}}} {template} ", literal(text)));
    }
    if written.is_empty() {
        return format!("{{{{{otherwise}}}}}");
    }
    format!("{written}{{{{ else }}}} {{{{{otherwise}}}}} {{{{ end }}}}")
}

/// A string of a template.
pub(crate) fn literal(text: &str) -> String {
    Value::from(text).to_string().replace("{{", r"\{{")
}

/// A text as a part of a template that stands for the inside of a string.
pub(crate) fn text(text: &str) -> String {
    text.replace('\\', r"\\").replace("{{", r"\{{")
}
