//! Evaluates a Kriti template with the values of its variables, within limits on steps and on output.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::kriti::functions::expected;
use crate::kriti::{Comparison, Expression, Key, Node, Step, Template, TemplateError, TextPiece, functions};

/// What a template can look up.
pub struct Environment<'e> {
    /// The variables, with their dollar signs.
    pub variables: Vec<(&'e str, Cow<'e, Value>)>,
    /// For `getSessionVariable`; names are in lower case.
    pub session_variable: &'e dyn Fn(&str) -> Option<String>,
}

/// Expressions that one evaluation may take, each counted as often as it is evaluated.
const STEPS_MAX: usize = 1_000_000;

/// The value of a template, which may produce `bytes_max` bytes on its way, copies of looked-up values included.
///
/// # Errors
/// [`TemplateError`]: something that is not there or of the wrong type, or a limit.
///
/// # Examples
/// ```
/// use std::borrow::Cow;
///
/// use pillion::kriti::eval::{Environment, evaluate};
/// use pillion::kriti::parse::parse;
/// use serde_json::json;
///
/// let body = json!({ "name": "Ada" });
/// let environment = Environment {
///     variables: [("$body", Cow::Borrowed(&body))].into_iter().collect(),
///     session_variable: &|_| None,
/// };
/// let template = parse(r#"{ "hello": {{ $body.name }} }"#).unwrap();
/// assert_eq!(evaluate(&template, &environment, 1024).unwrap(), json!({ "hello": "Ada" }));
/// ```
pub fn evaluate(template: &Template, environment: &Environment<'_>, bytes_max: usize) -> Result<Value, TemplateError> {
    let mut evaluator =
        Evaluator { source: &template.source, environment, scope: Vec::new(), bytes_max, steps: 0, bytes: 0 };
    let value = evaluator.value(&template.root)?;
    evaluator.owned(&template.root, value)
}

type Evaluated<T> = Result<T, TemplateError>;

struct Evaluator<'e, 't> {
    source: &'t str,
    environment: &'e Environment<'e>,
    /// The variables of loops, the innermost last.
    scope: Vec<(&'t str, Cow<'e, Value>)>,
    bytes_max: usize,
    steps: usize,
    bytes: usize,
}

impl<'e, 't> Evaluator<'e, 't> {
    fn error(&self, node: &Node, message: impl Into<String>) -> TemplateError {
        TemplateError::at(self.source, node.offset, message)
    }

    fn charge(&mut self, node: &Node, bytes: usize) -> Evaluated<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bytes_max {
            return Err(self.error(node, format!("the template makes more than {} bytes", self.bytes_max)));
        }
        Ok(())
    }

    /// Output is charged, also when it is only copied.
    fn owned(&mut self, node: &Node, value: Cow<'e, Value>) -> Evaluated<Value> {
        match value {
            Cow::Owned(value) => Ok(value),
            Cow::Borrowed(value) => {
                self.charge(node, weight(value))?;
                Ok(value.clone())
            }
        }
    }

    /// The parser has bounded the recursion.
    fn value(&mut self, node: &'t Node) -> Evaluated<Cow<'e, Value>> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.error(node, format!("the template takes more than {STEPS_MAX} steps")));
        }
        Ok(match &node.expression {
            Expression::Literal(value) => {
                self.charge(node, weight(value))?;
                Cow::Owned(value.clone())
            }
            Expression::Text(pieces) => Cow::Owned(Value::String(self.text(node, pieces)?)),
            Expression::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let value = self.value(item)?;
                    list.push(self.owned(item, value)?);
                }
                Cow::Owned(Value::Array(list))
            }
            Expression::Object(fields) => {
                let mut object = Map::new();
                for (key, field) in fields {
                    self.charge(field, key.len())?;
                    let value = self.value(field)?;
                    object.insert(key.clone(), self.owned(field, value)?);
                }
                Cow::Owned(Value::Object(object))
            }
            Expression::Variable(name) => {
                let value =
                    self.variable(name).ok_or_else(|| self.error(node, format!("Variable '{name}' not in scope")))?;
                if let Cow::Owned(copied) = &value {
                    self.charge(node, weight(copied))?;
                }
                value
            }
            Expression::Path(of, steps) => self.path(of, steps)?,
            Expression::If { branches, otherwise } => {
                for (condition, then) in branches {
                    if self.boolean(condition)? {
                        return self.value(then);
                    }
                }
                return otherwise.as_ref().map_or(Ok(Cow::Owned(Value::Null)), |node| self.value(node));
            }
            Expression::Range { index, item, of, body } => self.range(index.as_deref(), item, of, body)?,
            Expression::Default(value, otherwise) => {
                let value = self.value(value)?;
                return if value.is_null() { self.value(otherwise) } else { Ok(value) };
            }
            Expression::Comparison(comparison, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.charge(node, weight(&left).saturating_add(weight(&right)))?;
                Cow::Owned(Value::Bool(holds(*comparison, compare(&left, &right))))
            }
            Expression::Contained(value, within) => {
                let (value, within) = (self.value(value)?, self.value(within)?);
                self.charge(node, weight(&within))?;
                let is_contained = contains(&within, &value).map_err(|message| self.error(node, message))?;
                Cow::Owned(Value::Bool(is_contained))
            }
            // All of them count, also when one decides: a template that is wrong is wrong every time.
            Expression::All(operands) => {
                let all = operands.iter().try_fold(true, |all, operand| Ok(all & self.boolean(operand)?))?;
                Cow::Owned(Value::Bool(all))
            }
            Expression::Any(operands) => {
                let any = operands.iter().try_fold(false, |any, operand| Ok(any | self.boolean(operand)?))?;
                Cow::Owned(Value::Bool(any))
            }
            Expression::Call(function, argument) => {
                let value = self.value(argument)?;
                // The output is at most a few times the input.
                self.charge(node, 3 * weight(&value))?;
                let applied = functions::apply(*function, &value, self.environment.session_variable);
                Cow::Owned(applied.map_err(|message| self.error(argument, message))?)
            }
        })
    }

    fn variable(&self, name: &str) -> Option<Cow<'e, Value>> {
        if let Some((_, value)) = self.scope.iter().rev().find(|(known, _)| *known == name) {
            return Some(value.clone());
        }
        let (_, value) = self.environment.variables.iter().find(|(known, _)| *known == name)?;
        Some(Cow::Borrowed(value.as_ref()))
    }

    fn text(&mut self, node: &'t Node, pieces: &'t [TextPiece]) -> Evaluated<String> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                TextPiece::Literal(literal) => text.push_str(literal),
                TextPiece::Expression(inner) => match self.value(inner)?.as_ref() {
                    Value::String(value) => text.push_str(value),
                    other => text.push_str(&other.to_string()),
                },
            }
            if self.bytes.saturating_add(text.len()) > self.bytes_max {
                break;
            }
        }
        self.charge(node, text.len())?;
        Ok(text)
    }

    fn boolean(&mut self, node: &'t Node) -> Evaluated<bool> {
        let value = self.value(node)?;
        value.as_bool().ok_or_else(|| self.error(node, expected("Boolean", &value)))
    }

    /// A name or an index.
    fn key(&mut self, key: &'t Key) -> Evaluated<Value> {
        match key {
            Key::Name(name) => Ok(Value::String(name.clone())),
            Key::Computed(node) => {
                let value = self.value(node)?;
                self.owned(node, value)
            }
        }
    }

    fn field(&mut self, node: &Node, of: Cow<'e, Value>, key: &'t Key) -> Evaluated<Cow<'e, Value>> {
        let key = self.key(key)?;
        let missing = match (of.as_ref(), &key) {
            (Value::Object(_), Value::String(name)) => format!("Object has no attribute '{name}'"),
            (Value::Array(_), Value::Number(_)) => "Index out of range".into(),
            (Value::Object(_), other) => expected("String", other),
            (Value::Array(_), other) => expected("Integer", other),
            (other, Value::Number(_)) => expected("Array", other),
            (other, _) => expected("Object", other),
        };
        look_up(of, &key).ok_or_else(|| self.error(node, missing))
    }

    fn path(&mut self, of: &'t Node, steps: &'t [Step]) -> Evaluated<Cow<'e, Value>> {
        let mut value = self.value(of);
        for step in steps {
            value = match step {
                Step::Field(key) => value.and_then(|value| self.field(of, value, key)),
                Step::Optional(keys) => {
                    // kriti-lang evaluates what stands before the `?`, and takes any error for null. Limits hold all the same.
                    let value =
                        if value.is_err() && !self.is_exhausted() { Ok(Cow::Owned(Value::Null)) } else { value };
                    self.optional(of, value?, keys)
                }
            };
        }
        value
    }

    /// A missing value is null, and nothing is looked up in it.
    fn optional(&mut self, of: &Node, value: Cow<'e, Value>, keys: &'t [Key]) -> Evaluated<Cow<'e, Value>> {
        let has_fields = value.is_object() || value.is_array() || value.is_null();
        if !has_fields && !keys.is_empty() {
            return Err(self.error(of, expected("Object", &value)));
        }
        let mut value = value;
        for key in keys {
            let key = self.key(key)?;
            match look_up(value, &key) {
                Some(found) => value = found,
                None => return Ok(Cow::Owned(Value::Null)),
            }
        }
        Ok(value)
    }

    fn is_exhausted(&self) -> bool {
        self.steps > STEPS_MAX || self.bytes > self.bytes_max
    }

    fn range(
        &mut self,
        index: Option<&'t str>,
        item: &'t str,
        of: &'t Node,
        body: &'t Node,
    ) -> Evaluated<Cow<'e, Value>> {
        let items: Vec<Cow<'e, Value>> = match self.value(of)? {
            Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
            Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
            other => return Err(self.error(of, expected("Array", &other))),
        };
        let outside = self.scope.len();
        let mut list = Vec::with_capacity(items.len());
        for (position, value) in items.into_iter().enumerate() {
            self.scope.extend(index.map(|name| (name, Cow::Owned(Value::from(position)))));
            self.scope.push((item, value));
            let value = self.value(body).and_then(|value| self.owned(body, value));
            self.scope.truncate(outside);
            list.push(value?);
        }
        Ok(Cow::Owned(Value::Array(list)))
    }
}

fn holds(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

fn look_up<'e>(of: Cow<'e, Value>, key: &Value) -> Option<Cow<'e, Value>> {
    match (of, key) {
        (Cow::Borrowed(Value::Object(fields)), Value::String(name)) => fields.get(name).map(Cow::Borrowed),
        (Cow::Owned(Value::Object(mut fields)), Value::String(name)) => fields.swap_remove(name).map(Cow::Owned),
        (Cow::Borrowed(Value::Array(items)), Value::Number(number)) => items.get(index(number)?).map(Cow::Borrowed),
        (Cow::Owned(Value::Array(mut items)), Value::Number(number)) => {
            let index = index(number)?;
            (index < items.len()).then(|| Cow::Owned(items.swap_remove(index)))
        }
        _ => None,
    }
}

/// `1e0` and `1.0` are the index 1, as in kriti-lang.
fn index(number: &Number) -> Option<usize> {
    if let Some(index) = number.as_u64() {
        return usize::try_from(index).ok();
    }
    // No list is so long that its indexes are not exact.
    const INDEX_MAX: f64 = 4_294_967_295.0;
    let close = number.as_f64().filter(|index| index.fract() == 0.0 && (0.0..=INDEX_MAX).contains(index))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within the range above"
    )]
    let index = close as usize;
    Some(index)
}

fn contains(within: &Value, value: &Value) -> Result<bool, String> {
    match (within, value) {
        (Value::Object(fields), Value::String(key)) => Ok(fields.contains_key(key)),
        (Value::Object(_), other) => Err(expected("String", other)),
        (Value::Array(items), value) => Ok(items.iter().any(|item| compare(item, value) == Ordering::Equal)),
        (other, _) => Err(expected("Array", other)),
    }
}

/// A total order: objects, lists, strings, numbers, booleans, null; within a kind as one expects.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => compare_objects(left, right),
        (Value::Array(left), Value::Array(right)) => {
            let differing = left.iter().zip(right).map(|(left, right)| compare(left, right));
            differing.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn compare_objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    let sorted = |fields: &Map<String, Value>| {
        let mut keys: Vec<String> = fields.keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    let (keys, others) = (sorted(left), sorted(right));
    let values = keys.iter().zip(&others).map(|(key, other)| {
        let values = left.get(key).zip(right.get(other)).map(|(left, right)| compare(left, right));
        key.cmp(other).then(values.unwrap_or(Ordering::Equal))
    });
    values.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| keys.len().cmp(&others.len()))
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    let exact = |number: &Number| number.as_str().parse::<i128>().ok();
    if let (Some(left), Some(right)) = (exact(left), exact(right)) {
        return left.cmp(&right);
    }
    let close = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
    close(left).total_cmp(&close(right))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Object(_) => 0,
        Value::Array(_) => 1,
        Value::String(_) => 2,
        Value::Number(_) => 3,
        Value::Bool(_) => 4,
        Value::Null => 5,
    }
}

/// Roughly the bytes of a value. Values come from JSON whose nesting is limited, or were made here within limits.
fn weight(value: &Value) -> usize {
    const EACH: usize = 16;
    EACH + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| EACH + key.len() + weight(value)).sum(),
        _ => 0,
    }
}
