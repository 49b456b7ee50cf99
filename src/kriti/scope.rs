//! Finds unbound variables of a Kriti template when it is loaded instead of at its first call.
//!
//! kriti-lang looks variables up when a template runs, and two of its rules make an unknown one legal there: an error
//! before `?` is null, and an expression that is not evaluated cannot fail. So the first kind is skipped here, and the
//! second is distinguished from a variable that fails every call.

use crate::kriti::{Expression, Key, Node, Step, Template, TemplateError, TextPiece};

/// A variable that is not in scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnboundVariable {
    /// Its name.
    pub name: String,
    /// Its place in the template.
    pub error: TemplateError,
    /// Does it fail every evaluation of the template? Otherwise it stands in a branch, in the body of a loop or after
    /// `??`, and fails only those that come there.
    pub is_certain: bool,
}

/// The variables that are neither among `known` nor bound by a `range` around them, in order of appearance.
#[must_use]
pub fn unbound_variables(template: &Template, known: &[&str]) -> Vec<UnboundVariable> {
    let mut checker = ScopeChecker { template, known, bound: Vec::new(), is_certain: true, unbound: Vec::new() };
    checker.node(&template.root);
    checker.unbound
}

struct ScopeChecker<'t> {
    template: &'t Template,
    known: &'t [&'t str],
    /// The variables of the loops around.
    bound: Vec<&'t str>,
    is_certain: bool,
    unbound: Vec<UnboundVariable>,
}

impl<'t> ScopeChecker<'t> {
    /// The parser has bounded the recursion.
    fn node(&mut self, node: &'t Node) {
        match &node.expression {
            Expression::Literal(_) => {}
            Expression::Text(pieces) => pieces.iter().for_each(|piece| match piece {
                TextPiece::Literal(_) => {}
                TextPiece::Expression(inner) => self.node(inner),
            }),
            Expression::Array(items) | Expression::All(items) | Expression::Any(items) => {
                items.iter().for_each(|item| self.node(item));
            }
            Expression::Object(fields) => fields.iter().for_each(|(_, field)| self.node(field)),
            Expression::Variable(name) => self.variable(name, node),
            Expression::Path(of, steps) => self.path(of, steps),
            Expression::If { branches, otherwise } => self.condition(branches, otherwise.as_deref()),
            Expression::Range { index, item, of, body } => {
                self.node(of);
                let outside = self.bound.len();
                self.bound.extend(index.as_deref());
                self.bound.push(item);
                self.possibly(body);
                self.bound.truncate(outside);
            }
            Expression::Comparison(_, left, right) | Expression::Contained(left, right) => {
                self.node(left);
                self.node(right);
            }
            Expression::Default(value, otherwise) => {
                self.node(value);
                self.possibly(otherwise);
            }
            Expression::Call(_, argument) => self.node(argument),
        }
    }

    fn variable(&mut self, name: &str, node: &Node) {
        if self.known.contains(&name) || self.bound.contains(&name) {
            return;
        }
        let message = format!("Variable '{name}' not in scope");
        let error = TemplateError::at(&self.template.source, node.offset, message);
        self.unbound.push(UnboundVariable { name: name.to_owned(), error, is_certain: self.is_certain });
    }

    /// Whatever fails before the last `?` is null.
    fn path(&mut self, of: &'t Node, steps: &'t [Step]) {
        let last_optional = steps.iter().rposition(|step| matches!(step, Step::Optional(_)));
        if last_optional.is_none() {
            self.node(of);
        }
        let required = steps.iter().skip(last_optional.unwrap_or(0));
        let keys = required.flat_map(|step| match step {
            Step::Field(key) => std::slice::from_ref(key),
            Step::Optional(keys) => keys,
        });
        for key in keys {
            if let Key::Computed(node) = key {
                // A null before it needs no key.
                if last_optional.is_some() {
                    self.possibly(node);
                } else {
                    self.node(node);
                }
            }
        }
    }

    fn condition(&mut self, branches: &'t [(Node, Node)], otherwise: Option<&'t Node>) {
        for (index, (condition, then)) in branches.iter().enumerate() {
            if index == 0 {
                self.node(condition);
            } else {
                self.possibly(condition);
            }
            self.possibly(then);
        }
        if let Some(otherwise) = otherwise {
            self.possibly(otherwise);
        }
    }

    /// An expression that is evaluated conditionally.
    fn possibly(&mut self, node: &'t Node) {
        let was_certain = std::mem::replace(&mut self.is_certain, false);
        self.node(node);
        self.is_certain = was_certain;
    }
}
