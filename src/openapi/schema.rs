//! Types of schemas: what an action's argument or result of a JSON schema is in GraphQL. The bodies of objects wait in a
//! queue, so that a document with a long chain of references takes no deep recursion.

use std::collections::{HashMap, VecDeque};

use crate::config::yaml::{Data, Node};
use crate::model::types::TypeRef;
use crate::openapi::document::{Document, reference_of};
use crate::openapi::flatten::{flatten, is_object, key_of, says_something, types_of};
use crate::openapi::names::{Taken, capitalized, enum_value, field_name, type_name};
use crate::openapi::problem::Problem;
use crate::openapi::types::{CUSTOM_SCALARS, Definition, EnumMember, MadeType, Member, Types, named, non_null};

/// References, lists and alternatives inside one another without an object in between.
const DEPTH_MAX: usize = 32;

/// Names that types of an import cannot have.
const RESERVED: [&str; 8] = ["Query", "Mutation", "Subscription", "Int", "Float", "String", "Boolean", "ID"];

/// How a schema is used, and where.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// What an inline type is named after.
    pub(crate) hint: String,
    /// Does the client send it?
    pub(crate) is_input: bool,
}

/// The members of an object, and what is left out of them.
type Members = (Vec<Member>, Vec<(String, Problem)>);

impl Usage {
    fn below(&self, name: &str) -> Self {
        Self { hint: format!("{}{}", self.hint, capitalized(&field_name(name))), ..*self }
    }
}

/// Makes types of schemas.
pub(crate) struct TypeBuilder<'b, 'd> {
    document: &'b Document<'d>,
    prefix: String,
    /// All that were made.
    pub(crate) types: Types,
    /// The names by schema and direction.
    known: HashMap<((usize, usize), bool), String>,
    taken: Taken,
    queue: VecDeque<(String, &'d Node, Usage)>,
}

impl<'b, 'd> TypeBuilder<'b, 'd> {
    pub(crate) fn new(document: &'b Document<'d>, prefix: &str) -> Self {
        let mut taken = Taken::default();
        for name in RESERVED.into_iter().chain(CUSTOM_SCALARS.map(|(name, _)| name)) {
            taken.take(name);
        }
        Self {
            document,
            prefix: capitalized(prefix),
            types: Types::new(),
            known: HashMap::new(),
            taken,
            queue: VecDeque::new(),
        }
    }

    /// The type of a schema. It is non-null unless the schema says that it may be null.
    pub(crate) fn type_of(&mut self, schema: &'d Node, usage: &Usage) -> Result<TypeRef, Problem> {
        let ty = self.nested(schema, usage, DEPTH_MAX);
        while let Some((name, schema, usage)) = self.queue.pop_front() {
            let definition = self.object(schema, &usage, None);
            if let Some(made) = self.types.get_mut(&name) {
                match definition {
                    Ok((members, dropped)) => {
                        made.definition =
                            Ok(if usage.is_input { Definition::Input(members) } else { Definition::Object(members) });
                        made.dropped = dropped;
                    }
                    Err(problem) => made.definition = Err(problem),
                }
            }
        }
        ty
    }

    pub(crate) fn is_enum(&self, name: &str) -> bool {
        matches!(self.types.get(name).map(|made| &made.definition), Some(Ok(Definition::Enum(_))))
    }

    fn nested(&mut self, schema: &'d Node, usage: &Usage, depth_left: usize) -> Result<TypeRef, Problem> {
        if depth_left == 0 {
            return Err(Problem::at(schema, "the schema contains itself without an object in between", "correct it"));
        }
        if let Some(reference) = reference_of(schema) {
            let target = self.document.follow(schema)?;
            let hint = reference.rsplit('/').next().unwrap_or_default().to_owned();
            return self.nested(target, &Usage { hint, ..*usage }, depth_left - 1);
        }
        let ty = self.without_null(schema, usage, depth_left)?;
        Ok(if is_nullable(schema) { ty.nullable().clone() } else { ty })
    }

    fn without_null(&mut self, schema: &'d Node, usage: &Usage, depth_left: usize) -> Result<TypeRef, Problem> {
        if let Some(name) = self.known.get(&(key_of(schema), usage.is_input)) {
            return Ok(non_null(named(name)));
        }
        if let Some(alternatives) = schema.member("oneOf").or(schema.member("anyOf")) {
            return self.alternatives(schema, alternatives, usage, depth_left);
        }
        if let Some(parts) = schema.member("allOf") {
            let parts: Vec<&Node> = parts.items().iter().filter(|part| says_something(part)).collect();
            return match parts.as_slice() {
                [only] if schema.member("properties").is_none() => self.nested(only, usage, depth_left - 1),
                _ => self.object_type(schema, usage),
            };
        }
        if schema.member("enum").or(schema.member("const")).is_some() && is_text_enum(schema) {
            return Ok(non_null(named(&self.enum_type(schema, texts_of(schema), usage))));
        }
        match types_of(schema).as_slice() {
            ["array"] => {
                let usage = Usage { hint: format!("{}Item", usage.hint), ..*usage };
                let items = schema.member("items").filter(|items| !matches!(items.data, Data::Bool(_)));
                let item = items.map_or(Ok(named("JSON")), |items| self.nested(items, &usage, depth_left - 1))?;
                Ok(non_null(TypeRef::List(Box::new(item))))
            }
            [] if schema.member("properties").is_some() => self.object_type(schema, usage),
            ["object"] if schema.member("properties").is_some_and(|all| !all.entries().is_empty()) => {
                self.object_type(schema, usage)
            }
            [] | ["object"] => Ok(non_null(named("JSON"))),
            [name] => scalar_of(schema, name).map(|name| non_null(named(name))),
            _ => Ok(non_null(named("JSON"))),
        }
    }

    /// The object type of a schema; its members follow.
    fn object_type(&mut self, schema: &'d Node, usage: &Usage) -> Result<TypeRef, Problem> {
        let base = type_name(&usage.hint);
        let base = if usage.is_input && !base.ends_with("Input") { format!("{base}Input") } else { base };
        let name = self.register(schema, &base, usage.is_input);
        self.queue.push_back((name.clone(), schema, Usage { hint: type_name(&usage.hint), ..*usage }));
        Ok(non_null(named(&name)))
    }

    fn register(&mut self, schema: &Node, base: &str, is_input: bool) -> String {
        let name = self.taken.take(&format!("{}{base}", self.prefix));
        self.known.insert((key_of(schema), is_input), name.clone());
        let pending = Problem::at(schema, "the schema is not complete", "");
        let made = MadeType {
            place: schema.place.clone(),
            description: description_of(schema),
            definition: Err(pending),
            dropped: Vec::new(),
        };
        self.types.insert(name.clone(), made);
        name
    }

    /// Enums are the same in both directions.
    fn enum_type(&mut self, schema: &Node, values: Vec<String>, usage: &Usage) -> String {
        let name = self.register(schema, &type_name(&usage.hint), usage.is_input);
        self.known.insert((key_of(schema), !usage.is_input), name.clone());
        let mut taken = Taken::default();
        let member = |api_value: String| EnumMember { name: taken.take(&enum_value(&api_value)), api_value };
        let members = values.into_iter().map(member).collect();
        if let Some(made) = self.types.get_mut(&name) {
            made.definition = Ok(Definition::Enum(members));
        }
        name
    }

    fn alternatives(
        &mut self,
        schema: &'d Node,
        alternatives: &'d Node,
        usage: &Usage,
        depth_left: usize,
    ) -> Result<TypeRef, Problem> {
        let is_null = |part: &&Node| part.member("type").and_then(Node::as_text) == Some("null");
        let parts: Vec<&Node> = alternatives.items().iter().filter(|part| !is_null(part)).collect();
        let has_null = parts.len() < alternatives.items().len();
        let or_null = |ty: TypeRef| if has_null { ty.nullable().clone() } else { ty };
        if let [only] = parts.as_slice() {
            return self.nested(only, usage, depth_left - 1).map(or_null);
        }
        let followed: Vec<&Node> = parts.iter().map(|part| self.document.follow(part)).collect::<Result<_, _>>()?;
        if let Some(name) = common_scalar(&followed) {
            return Ok(or_null(non_null(named(name))));
        }
        if schema.member("discriminator").is_some() && followed.iter().all(|part| is_object(part)) {
            return self.object_type(schema, usage).map(or_null);
        }
        let reason = "alternatives (oneOf, anyOf) without a discriminator: GraphQL has no type for them";
        Err(Problem::at(alternatives, reason, "add a discriminator, or describe one of them"))
    }

    /// The members of an object but for `excluded`, and what is left out.
    fn object(&mut self, schema: &'d Node, usage: &Usage, excluded: Option<&str>) -> Result<Members, Problem> {
        if let Some(alternatives) = schema.member("oneOf").or(schema.member("anyOf")) {
            return self.union(schema, alternatives, usage);
        }
        let flat = flatten(self.document, schema)?;
        let (mut members, mut dropped, mut taken) = (Vec::new(), Vec::new(), Taken::default());
        for (api_name, property) in flat.properties.into_iter().filter(|(name, _)| excluded != Some(*name)) {
            match self.member(api_name, property, usage) {
                Ok(None) => {}
                Ok(Some(member)) => {
                    let is_required = flat.required.contains(api_name);
                    let ty = if is_required { member.ty } else { member.ty.nullable().clone() };
                    members.push(Member { name: taken.take(&member.name), ty, ..member });
                }
                Err(problem) if usage.is_input && flat.required.contains(api_name) => {
                    return Err(problem.within(&format!("its field \"{api_name}\"")));
                }
                Err(problem) => dropped.push((api_name.to_owned(), problem)),
            }
        }
        if members.is_empty() && excluded.is_none() {
            return Err(Problem::at(schema, "an object without any field", ""));
        }
        Ok((members, dropped))
    }

    /// A property, unless it belongs to the other direction.
    fn member(&mut self, api_name: &str, property: &'d Node, usage: &Usage) -> Result<Option<Member>, Problem> {
        let target = self.document.follow(property)?;
        let is_set = |key: &str| [property, target].iter().any(|node| is_true(node, key));
        if is_set(if usage.is_input { "readOnly" } else { "writeOnly" }) {
            return Ok(None);
        }
        let ty = self.nested(property, &usage.below(api_name), DEPTH_MAX)?;
        Ok(Some(Member {
            api_name: api_name.to_owned(),
            name: field_name(api_name),
            ty,
            description: description_of(property),
            is_deprecated: is_set("deprecated"),
            place: property.place.clone(),
        }))
    }

    /// Alternatives with a discriminator as one object with the fields of all of them.
    fn union(&mut self, schema: &'d Node, alternatives: &'d Node, usage: &Usage) -> Result<Members, Problem> {
        let discriminator = schema.member("discriminator");
        let property = discriminator.and_then(|node| node.member("propertyName")).and_then(Node::as_text);
        let (Some(discriminator), Some(property)) = (discriminator, property) else {
            return Err(Problem::at(schema, "the discriminator has no propertyName", "add it"));
        };
        let parts: Vec<&'d Node> = alternatives.items().iter().collect();
        let ty = match discriminator_values(discriminator, &parts) {
            Some(values) => self.enum_type(discriminator, values, &usage.below(property)),
            None => "String".to_owned(),
        };
        let first = Member {
            api_name: property.to_owned(),
            name: field_name(property),
            ty: non_null(named(&ty)),
            description: Some("Which of the alternatives it is.".to_owned()),
            is_deprecated: false,
            place: discriminator.place.clone(),
        };
        let (mut members, mut dropped): (Vec<Member>, Vec<_>) = (vec![first], Vec::new());
        for part in &parts {
            let (of_part, of_dropped) = self.object(self.document.follow(part)?, usage, Some(property))?;
            dropped.extend(of_dropped);
            for member in of_part {
                // It is in some of the alternatives only.
                let ty = member.ty.nullable().clone();
                match members.iter().find(|known| known.api_name == member.api_name) {
                    None => members.push(Member { ty, ..member }),
                    Some(known) if *known.ty.nullable() == ty => {}
                    Some(_) => {
                        let reason = format!("the alternatives have different types for \"{}\"", member.api_name);
                        return Err(Problem { place: member.place, reason, help: "" });
                    }
                }
            }
        }
        let mut taken = Taken::default();
        members.iter_mut().for_each(|member| member.name = taken.take(&member.name));
        Ok((members, dropped))
    }
}

/// The texts of a discriminator: those of its mapping, or the names of the schemas.
fn discriminator_values(discriminator: &Node, parts: &[&Node]) -> Option<Vec<String>> {
    if let Some(mapping) = discriminator.member("mapping") {
        return Some(mapping.entries().iter().map(|(text, ..)| text.clone()).collect());
    }
    let name = |part: &&Node| reference_of(part)?.rsplit('/').next().map(str::to_owned);
    parts.iter().map(name).collect()
}

/// The scalar that all alternatives are, or `JSON` if they are different ones.
fn common_scalar(parts: &[&Node]) -> Option<&'static str> {
    let scalar = |part: &&Node| match types_of(part).as_slice() {
        [] if part.member("enum").is_some() && is_text_enum(part) => Some("String"),
        [name @ ("string" | "integer" | "number" | "boolean")] => scalar_of(part, name).ok(),
        _ => None,
    };
    let all: Vec<&'static str> = parts.iter().map(scalar).collect::<Option<_>>()?;
    let first = all.first()?;
    Some(if all.iter().all(|name| name == first) { first } else { "JSON" })
}

fn scalar_of(schema: &Node, name: &str) -> Result<&'static str, Problem> {
    let format = schema.member("format").and_then(Node::as_text).unwrap_or_default();
    let is_binary =
        format == "binary" || schema.member("contentMediaType").is_some() && schema.member("contentEncoding").is_none();
    Ok(match name {
        "string" if is_binary => return Err(Problem::at(schema, "binary content, which JSON cannot carry", "")),
        "string" => match format {
            "date-time" => "DateTime",
            "date" => "Date",
            "uuid" => "UUID",
            _ => "String",
        },
        "integer" if format == "int64" || is_wide(schema) => "BigInt",
        "integer" => "Int",
        "number" => "Float",
        "boolean" => "Boolean",
        other => return Err(Problem::at(schema, format!("\"{other}\" is not a type of JSON"), "correct \"type\"")),
    })
}

/// Do its limits say that it may have more than 32 bits?
fn is_wide(schema: &Node) -> bool {
    let is_beyond = |key: &str| match schema.member(key).map(|node| &node.data) {
        Some(Data::Integer(limit)) => i32::try_from(*limit).is_err(),
        Some(Data::Float(limit)) => limit.abs() > f64::from(i32::MAX),
        _ => false,
    };
    is_beyond("maximum") || is_beyond("minimum")
}

fn is_nullable(schema: &Node) -> bool {
    let has_null = |key: &str, is_null: fn(&Node) -> bool| {
        schema.member(key).map(Node::items).unwrap_or_default().iter().any(is_null)
    };
    is_true(schema, "nullable")
        || matches!(schema.data, Data::Bool(_))
        || has_null("type", |item| item.as_text() == Some("null"))
        || has_null("enum", |item| matches!(item.data, Data::Null))
}

/// Is every value a string?
fn is_text_enum(schema: &Node) -> bool {
    let values = values_of(schema);
    let is_text = |value: &&Node| matches!(value.data, Data::Text(_) | Data::Null);
    // YAML reads some of them as other scalars: `type: string` says what is meant.
    let are_meant = types_of(schema) == ["string"] && values.iter().all(|value| value.items().is_empty());
    !texts_of(schema).is_empty() && (values.iter().all(is_text) || are_meant)
}

fn values_of(schema: &Node) -> Vec<&Node> {
    let listed = schema.member("enum").map(Node::items).unwrap_or_default();
    listed.iter().chain(schema.member("const")).collect()
}

/// The values of an enum, each once.
fn texts_of(schema: &Node) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    texts.extend(values_of(schema).into_iter().filter_map(Node::scalar_text).filter(|text| seen.insert(text.clone())));
    texts
}

pub(crate) fn is_true(node: &Node, key: &str) -> bool {
    matches!(node.member(key).map(|node| &node.data), Some(Data::Bool(true)))
}

/// What it says about itself.
pub(crate) fn description_of(node: &Node) -> Option<String> {
    let text = node.member("description").or(node.member("summary")).and_then(Node::as_text)?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
