//! Finds the extension fields that an operation selects, and what the upstream is asked for in their place: the key
//! fields of the row, under aliases by which its response tells which rows have which of them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use apollo_compiler::ast::{Field, OperationDefinition, Selection, Type};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{Name, Node, Schema};

use crate::graphql::collect_fields::is_condition;
use crate::graphql::document::{Document, range_of};
use crate::graphql::extension_fields::ExtensionFields;
use crate::graphql::response_shape::{FieldShape, ResponseShape};
use crate::model::extension_field::ExtensionField;
use crate::model::response::{Location, location_at};

/// One occurrence of an extension field in a document.
#[derive(Clone, Debug)]
pub struct ExtensionSite {
    /// Which.
    pub extension: Arc<ExtensionField>,
    /// The occurrence.
    pub field: Node<Field>,
    /// Where it stands.
    pub location: Location,
    /// The response names under which the upstream returns the values of the key fields, in their order.
    pub keys: Vec<String>,
    /// The name of the type whose selection set it stands in.
    pub type_name: Name,
}

impl ExtensionSite {
    /// Is it called with the same arguments, as they are written?
    #[must_use]
    pub fn is_called_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.extension, &other.extension) && self.field.arguments == other.field.arguments
    }
}

/// A piece of a document's text and what the upstream gets instead of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes of the client's text.
    pub range: Range<usize>,
    /// ASCII without line breaks.
    pub text: String,
}

/// All extension fields that an operation selects.
#[derive(Clone, Debug)]
pub struct ExtensionSites {
    /// In the order in which they were found.
    pub sites: Vec<ExtensionSite>,
    /// What the upstream gets in their place, in the order of the text; an outer one stands before those in it.
    pub edits: Vec<Edit>,
    /// How the aliases of keys begin. No name in the document begins so.
    prefix: String,
    by_address: HashMap<usize, usize>,
    /// The type of each field that leads to an extension field.
    leading_fields: HashMap<usize, Type>,
    leading_fragments: HashSet<String>,
}

/// A field as it stands in the syntax tree. The document holds the tree for as long as this is used.
fn address(field: &Field) -> usize {
    std::ptr::from_ref(field).addr()
}

/// Does a selection below the root have one of these names? Only a schema tells whether such a field is an extension
/// field; without one of the names there is none.
#[must_use]
pub fn may_select(document: &Document, operation: &OperationDefinition, fields: &[Arc<ExtensionField>]) -> bool {
    if fields.is_empty() {
        return false;
    }
    let is_named = |name: &str| fields.iter().any(|field| field.name == name);
    names_any(document, &operation.selection_set, &is_named, &mut HashSet::new())
}

/// The parser's limit bounds the recursion.
fn names_any<'d>(
    document: &'d Document,
    selection_set: &'d [Selection],
    is_named: &dyn Fn(&str) -> bool,
    visited: &mut HashSet<&'d str>,
) -> bool {
    selection_set.iter().any(|selection| match selection {
        Selection::Field(field) => {
            is_named(&field.name) || names_any(document, &field.selection_set, is_named, visited)
        }
        Selection::InlineFragment(inline) => names_any(document, &inline.selection_set, is_named, visited),
        Selection::FragmentSpread(spread) => {
            visited.insert(&spread.fragment_name)
                && document
                    .fragment(&spread.fragment_name)
                    .is_some_and(|fragment| names_any(document, &fragment.selection_set, is_named, visited))
        }
    })
}

impl ExtensionSites {
    /// Finds them by the merged schema of a role; `None` if there is none.
    #[must_use]
    pub fn find(
        document: &Document,
        operation: &OperationDefinition,
        schema: &Schema,
        extension_fields: &ExtensionFields,
    ) -> Option<Self> {
        if extension_fields.is_empty() {
            return None;
        }
        let root = schema.root_operation(operation.operation_type)?;
        let mut finder =
            Finder { document, schema, extension_fields, fragments: HashMap::new(), found: Self::new(document) };
        finder.selection_set(&operation.selection_set, root);
        let mut found = finder.found;
        found.edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
        (!found.sites.is_empty()).then_some(found)
    }

    fn new(document: &Document) -> Self {
        let mut prefix = String::from("_k");
        while document.text.contains(&prefix) {
            prefix.push('_');
        }
        Self {
            sites: Vec::new(),
            edits: Vec::new(),
            prefix,
            by_address: HashMap::new(),
            leading_fields: HashMap::new(),
            leading_fragments: HashSet::new(),
        }
    }

    /// Is this occurrence of a field one of them?
    #[must_use]
    pub fn includes(&self, field: &Field) -> bool {
        self.by_address.contains_key(&address(field))
    }

    /// The site and the key field that a response name stands for, if it is one of our aliases. The key field 0 marks
    /// that the row has the extension field.
    #[must_use]
    pub fn read_alias(&self, response_name: &str) -> Option<(usize, usize)> {
        let (site, key) = match response_name.strip_prefix(&self.prefix)?.split_once('_') {
            Some((site, key)) => (site, key.parse().ok()?),
            None => (response_name.strip_prefix(&self.prefix)?, 0),
        };
        let site = site.parse().ok().filter(|site| *site < self.sites.len())?;
        Some((site, key))
    }

    /// Where the occurrences of one response name lead to in the upstream's response; `None` if to no extension field.
    #[must_use]
    pub fn shape_of(&self, document: &Document, fields: &[&Node<Field>]) -> Option<FieldShape> {
        let mut shape = None;
        for field in fields {
            if let Some(ty) = self.leading_fields.get(&address(field)) {
                let shape = shape.get_or_insert_with(|| FieldShape::new(ty));
                self.add_selection_set(document, &field.selection_set, &mut shape.object);
            }
        }
        shape
    }

    /// The sites below a field of the upstream, each with the path of its rows: `users[].friends[]`. Sites of rows of a
    /// relationship below such a field are not among them.
    #[must_use]
    pub fn outline(&self, document: &Document, field: &Node<Field>) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        self.outline_field(document, field, "", &mut found);
        found
    }

    /// The size check has bounded what fragments can expand to.
    fn outline_field(&self, document: &Document, field: &Node<Field>, path: &str, found: &mut Vec<(usize, String)>) {
        if let Some(site) = self.by_address.get(&address(field)) {
            found.push((*site, path.to_owned()));
        } else if let Some(ty) = self.leading_fields.get(&address(field)) {
            let lists = "[]".repeat(FieldShape::new(ty).nullable.len() - 1);
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}{lists}", field.response_name());
            self.outline_selection_set(document, &field.selection_set, &path, found);
        }
    }

    fn outline_selection_set(
        &self,
        document: &Document,
        selection_set: &[Selection],
        path: &str,
        found: &mut Vec<(usize, String)>,
    ) {
        for selection in selection_set {
            match selection {
                Selection::Field(field) => self.outline_field(document, field, path, found),
                Selection::InlineFragment(inline) => {
                    self.outline_selection_set(document, &inline.selection_set, path, found);
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name.as_str();
                    if let Some(fragment) = document.fragment(name).filter(|_| self.leading_fragments.contains(name)) {
                        self.outline_selection_set(document, &fragment.selection_set, path, found);
                    }
                }
            }
        }
    }

    /// The size check has bounded what fragments can expand to.
    fn add_selection_set(&self, document: &Document, selection_set: &[Selection], shape: &mut ResponseShape) {
        for selection in selection_set {
            match selection {
                Selection::Field(field) if self.includes(field) => shape.has_sites = true,
                Selection::Field(field) => {
                    let Some(ty) = self.leading_fields.get(&address(field)) else { continue };
                    let entry = shape.fields.entry(field.response_name().to_string());
                    let inner = entry.or_insert_with(|| FieldShape::new(ty));
                    self.add_selection_set(document, &field.selection_set, &mut inner.object);
                }
                Selection::InlineFragment(inline) => self.add_selection_set(document, &inline.selection_set, shape),
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name.as_str();
                    if let Some(fragment) = document.fragment(name).filter(|_| self.leading_fragments.contains(name)) {
                        self.add_selection_set(document, &fragment.selection_set, shape);
                    }
                }
            }
        }
    }
}

struct Finder<'d> {
    document: &'d Document,
    schema: &'d Schema,
    extension_fields: &'d ExtensionFields,
    /// Fragments that were walked, and whether they lead to an extension field.
    fragments: HashMap<&'d str, bool>,
    found: ExtensionSites,
}

impl<'d> Finder<'d> {
    /// Is there an extension field in it? Every fragment is walked once; the parser's limit bounds the recursion.
    fn selection_set(&mut self, selection_set: &'d [Selection], type_name: &Name) -> bool {
        let mut leads = false;
        for selection in selection_set {
            leads |= match selection {
                Selection::Field(field) => self.field(field, selection_set, type_name),
                Selection::InlineFragment(inline) => {
                    self.selection_set(&inline.selection_set, inline.type_condition.as_ref().unwrap_or(type_name))
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
            };
        }
        leads
    }

    fn fragment(&mut self, name: &'d str) -> bool {
        if let Some(leads) = self.fragments.get(name) {
            return *leads;
        }
        let Some(fragment) = self.document.fragment(name) else { return false };
        // A cycle would have been rejected.
        self.fragments.insert(name, false);
        let leads = self.selection_set(&fragment.selection_set, &fragment.type_condition);
        self.fragments.insert(name, leads);
        if leads {
            self.found.leading_fragments.insert(name.to_owned());
        }
        leads
    }

    fn field(&mut self, field: &'d Node<Field>, siblings: &'d [Selection], type_name: &Name) -> bool {
        let Some(ty) = self.type_of(type_name, &field.name) else { return false };
        let is_leading = self.selection_set(&field.selection_set, &ty.inner_named_type().clone());
        let extension = self.extension_fields.get(type_name, &field.name);
        if let Some(extension) = extension {
            self.add_site(field, siblings, (type_name, extension));
            return true;
        }
        if is_leading {
            self.found.leading_fields.insert(address(field), ty);
        }
        is_leading
    }

    fn type_of(&self, type_name: &Name, field: &str) -> Option<Type> {
        let definition = match self.schema.types.get(type_name)? {
            ExtendedType::Object(object) => object.fields.get(field),
            ExtendedType::Interface(interface) => interface.fields.get(field),
            _ => None,
        };
        definition.map(|definition| definition.ty.clone())
    }

    fn add_site(
        &mut self,
        field: &'d Node<Field>,
        siblings: &'d [Selection],
        (type_name, extension): (&Name, &Arc<ExtensionField>),
    ) {
        let Some(range) = range_of(field) else { return };
        let marker = format!("{}{}", self.found.prefix, self.found.sites.len());
        // Conditions on the field become conditions on its keys, so that the upstream decides them.
        let conditions: String = field
            .directives
            .iter()
            .filter(|directive| is_condition(&directive.name))
            .map(|directive| format!(" {directive}"))
            .collect();
        let (mut keys, mut asked) = (Vec::new(), Vec::new());
        for name in extension.key_fields() {
            keys.push(match selected_by_client(siblings, name) {
                Some(response_name) => response_name.to_owned(),
                None => {
                    let alias = if asked.is_empty() { marker.clone() } else { format!("{marker}_{}", asked.len()) };
                    asked.push(format!("{alias}:{name}{conditions}"));
                    alias
                }
            });
        }
        if asked.is_empty() {
            // It marks the place, and whether the row has the field at all.
            asked.push(format!("{marker}:__typename{conditions}"));
        }
        let mut text = asked.join(" ");
        if self
            .document
            .text
            .as_bytes()
            .get(range.end)
            .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_')
        {
            text.push(' ');
        }
        let location = location_at(&self.document.text, range.start);
        self.found.edits.push(Edit { range, text });
        self.found.by_address.insert(address(field), self.found.sites.len());
        self.found.sites.push(ExtensionSite {
            extension: Arc::clone(extension),
            field: field.clone(),
            location,
            keys,
            type_name: type_name.clone(),
        });
    }
}

/// The response name under which the client selects this very field in the same selection set anyway.
fn selected_by_client<'d>(siblings: &'d [Selection], name: &str) -> Option<&'d str> {
    siblings.iter().find_map(|selection| match selection {
        Selection::Field(field) if field.name == name && field.arguments.is_empty() && field.directives.is_empty() => {
            Some(field.response_name().as_str())
        }
        _ => None,
    })
}
