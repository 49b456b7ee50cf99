//! Types as the templates see them.

use serde::Serialize;

use crate::codegen::docs::comment_lines;
use crate::codegen::type_expressions::{TypeTable, may_be_absent};
use crate::model::action::Action;
use crate::model::types::{EnumValue, InputValue, OutputField, TypeKind, TypeRef};

/// A type.
#[derive(Serialize)]
pub(crate) struct TypeView {
    name: String,
    kind: Kind,
    doc: Vec<String>,
    members: Vec<MemberView>,
    values: Vec<ValueView>,
    /// Of an alias.
    target: String,
    /// Can members be written as those of a class?
    is_plain: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Enum,
    Object,
    Alias,
}

#[derive(Serialize)]
struct MemberView {
    name: String,
    json: String,
    ty: String,
    doc: Vec<String>,
    may_be_absent: bool,
    /// Spaces behind the name and the type, so that members without comments between them stand in columns.
    name_padding: String,
    type_padding: String,
}

#[derive(Serialize)]
struct ValueView {
    name: String,
    value: String,
    doc: Vec<String>,
    name_padding: String,
}

impl TypeView {
    /// Does this text stand in one of its types?
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.target.contains(text) || self.members.iter().any(|member| member.ty.contains(text))
    }
}

/// The types of a schema.
pub(crate) fn of_types(table: &TypeTable<'_>, names: &[String]) -> Vec<TypeView> {
    names.iter().map(|name| of_type(table, name)).collect()
}

fn of_type(table: &TypeTable<'_>, name: &str) -> TypeView {
    let Some(definition) = table.definition(name) else {
        let doc = vec![format!("{name} is a type of the upstream.")];
        return alias(table.name(name), doc, table.language.scalar(table.shape(name)).to_owned());
    };
    let mut doc = comment_lines(definition.description.as_deref().unwrap_or_default());
    if definition.is_one_of {
        doc.push("Exactly one of the members is given.".to_owned());
    }
    match &definition.kind {
        TypeKind::Scalar => {
            doc.extend(definition.specified_by.iter().flat_map(|url| comment_lines(&format!("See {url}"))));
            alias(table.name(name), doc, table.language.scalar(table.shape(name)).to_owned())
        }
        TypeKind::Enum(values) => {
            let named = table.enum_values(name).iter().zip(values.values());
            let values = aligned_values(named.map(|((value, name), of)| value_view(value, name, of)).collect());
            let (members, target) = (Vec::new(), String::new());
            TypeView { name: table.name(name), kind: Kind::Enum, doc, members, values, target, is_plain: true }
        }
        TypeKind::InputObject(fields) => {
            let members = fields.iter().map(|field| input(table, field, name));
            object(table, table.name(name), doc, members.collect())
        }
        TypeKind::Object(fields) => {
            let members = fields.iter().map(|(field, of)| output(table, field, of, name));
            object(table, table.name(name), doc, members.collect())
        }
    }
}

/// The arguments of an action.
pub(crate) fn of_arguments(table: &TypeTable<'_>, action: &Action, name: &str) -> TypeView {
    let members = action.arguments.iter().map(|argument| input(table, argument, ""));
    object(table, name.to_owned(), vec![format!("The arguments of {}.", action.name)], members.collect())
}

/// What the handler of an action returns.
pub(crate) fn of_result(table: &TypeTable<'_>, action: &Action, name: &str) -> TypeView {
    alias(name.to_owned(), vec![format!("The result of {}.", action.name)], table.expression(&action.output))
}

fn alias(name: String, doc: Vec<String>, target: String) -> TypeView {
    let (members, values) = (Vec::new(), Vec::new());
    TypeView { name, kind: Kind::Alias, doc, members, values, target, is_plain: true }
}

fn object(table: &TypeTable<'_>, name: String, doc: Vec<String>, mut members: Vec<MemberView>) -> TypeView {
    let named = table.named_members(members.iter().map(|member| member.json.as_str()));
    for (member, named) in members.iter_mut().zip(named) {
        member.name = named.name;
    }
    let is_plain = members.iter().all(|member| table.language.is_plain_member(&member.json));
    align(&mut members);
    TypeView { name, kind: Kind::Object, doc, members, values: Vec::new(), target: String::new(), is_plain }
}

/// The paddings of texts with comments before some of them: what stands between two comments is one column.
fn paddings(texts: &[(usize, bool)]) -> Vec<String> {
    let mut paddings = Vec::with_capacity(texts.len());
    let mut rest = texts;
    while !rest.is_empty() {
        let length = 1 + rest.iter().skip(1).take_while(|(_, has_comment)| !has_comment).count();
        let (column, others) = rest.split_at(length);
        let widest = column.iter().map(|(width, _)| *width).max().unwrap_or(0);
        paddings.extend(column.iter().map(|(width, _)| " ".repeat(widest - width)));
        rest = others;
    }
    paddings
}

fn align(members: &mut [MemberView]) {
    let widths = |text: fn(&MemberView) -> &str| {
        paddings(&members.iter().map(|member| (text(member).len(), !member.doc.is_empty())).collect::<Vec<_>>())
    };
    let (names, types) = (widths(|member| &member.name), widths(|member| &member.ty));
    for ((member, name), ty) in members.iter_mut().zip(names).zip(types) {
        (member.name_padding, member.type_padding) = (name, ty);
    }
}

fn aligned_values(mut values: Vec<ValueView>) -> Vec<ValueView> {
    let names = paddings(&values.iter().map(|value| (value.name.len(), !value.doc.is_empty())).collect::<Vec<_>>());
    for (value, padding) in values.iter_mut().zip(names) {
        value.name_padding = padding;
    }
    values
}

fn input(table: &TypeTable<'_>, field: &InputValue, holder: &str) -> MemberView {
    let mut doc = documented(field.description.as_ref(), field.deprecated.as_ref());
    doc.extend(field.default.iter().flat_map(|default| comment_lines(&format!("Default: {default}"))));
    MemberView { may_be_absent: may_be_absent(field), doc, ..member(table, &field.name, &field.ty, holder) }
}

fn output(table: &TypeTable<'_>, name: &str, field: &OutputField, holder: &str) -> MemberView {
    let doc = documented(field.description.as_ref(), field.deprecated.as_ref());
    MemberView { may_be_absent: field.ty.is_nullable(), doc, ..member(table, name, &field.ty, holder) }
}

/// Its name in the code is given when all members are known.
fn member(table: &TypeTable<'_>, json: &str, ty: &TypeRef, holder: &str) -> MemberView {
    let ty = table.member_expression(ty, holder);
    let (name, name_padding, type_padding) = (String::new(), String::new(), String::new());
    MemberView { name, json: json.to_owned(), ty, doc: Vec::new(), may_be_absent: false, name_padding, type_padding }
}

fn value_view(value: &str, name: &str, of: &EnumValue) -> ValueView {
    let doc = documented(of.description.as_ref(), of.deprecated.as_ref());
    ValueView { name: name.to_owned(), value: value.to_owned(), doc, name_padding: String::new() }
}

fn documented(description: Option<&String>, deprecated: Option<&String>) -> Vec<String> {
    let mut lines = comment_lines(description.map(String::as_str).unwrap_or_default());
    lines.extend(deprecated.into_iter().flat_map(|reason| comment_lines(&format!("Deprecated: {reason}"))));
    lines
}
