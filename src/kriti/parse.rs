//! Parses a Kriti template, by recursive descent. Every error has its source location.

use std::sync::Arc;

use serde_json::{Number, Value};

use crate::kriti::functions::Function;
use crate::kriti::{Comparison, Expression, Key, Node, Step, Template, TemplateError, TextPiece};

/// Bytes of a template. Hand-written ones are shorter.
const BYTES_MAX: usize = 256 * 1024;

/// Nesting of a template; the parser and the evaluator are recursive.
const DEPTH_MAX: usize = 64;

/// Parses a template.
///
/// # Errors
/// [`TemplateError`], for the first thing that is wrong.
///
/// # Examples
/// ```
/// use pillion::kriti::parse::parse;
///
/// assert_eq!(parse(r#"{{ $body.name }}"#).unwrap().source(), "{{ $body.name }}");
/// assert_eq!(parse("{{ if }}").unwrap_err().line, 1);
/// ```
pub fn parse(source: &str) -> Result<Template, TemplateError> {
    if source.len() > BYTES_MAX {
        return Err(TemplateError::at(source, 0, format!("the template is longer than {BYTES_MAX} bytes")));
    }
    let mut parser = Parser { source, at: 0, depth: 0 };
    let root = parser.expression()?;
    parser.skip_ignored();
    if !parser.rest().is_empty() {
        return Err(parser.unexpected("the end of the template"));
    }
    Ok(Template { source: source.into(), root: Arc::new(root) })
}

/// Parses what stands for the inside of a string: a URL, a header's value.
///
/// # Errors
/// [`TemplateError`], for the first thing that is wrong.
pub fn parse_text(source: &str) -> Result<Template, TemplateError> {
    if source.len() > BYTES_MAX {
        return Err(TemplateError::at(source, 0, format!("the template is longer than {BYTES_MAX} bytes")));
    }
    let mut parser = Parser { source, at: 0, depth: 0 };
    let expression = parser.pieces(None)?;
    Ok(Template { source: source.into(), root: Arc::new(Node { expression, offset: 0 }) })
}

type Parsed<T> = Result<T, TemplateError>;

struct Parser<'t> {
    source: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, message: impl Into<String>) -> TemplateError {
        TemplateError::at(self.source, self.at, message)
    }

    fn unexpected(&self, wanted: &str) -> TemplateError {
        match self.peek() {
            Some(found) => self.error(format!("unexpected '{found}', expected {wanted}")),
            None => self.error(format!("the template ends, expected {wanted}")),
        }
    }

    /// White space, and comments from `#` to the end of the line.
    fn skip_ignored(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Takes `symbol` if it comes next.
    fn takes(&mut self, symbol: &str) -> bool {
        self.skip_ignored();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn take(&mut self, symbol: &str) -> Parsed<()> {
        if self.takes(symbol) { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))) }
    }

    /// The identifier that comes next, without taking it.
    fn peek_identifier(&self) -> Option<&'t str> {
        let rest = self.rest();
        let after_dollar = rest.strip_prefix('$').unwrap_or(rest);
        if !after_dollar.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return rest.starts_with('$').then(|| rest.get(..1)).flatten();
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        rest.get(..end)
    }

    fn takes_keyword(&mut self, keyword: &str) -> bool {
        self.skip_ignored();
        let found = self.peek_identifier() == Some(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(format!("the template is nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed<Node> {
        self.nested(|parser| {
            let value = parser.disjunction()?;
            if !parser.takes("??") {
                return Ok(value);
            }
            let offset = value.offset;
            let expression = Expression::Default(Box::new(value), Box::new(parser.expression()?));
            Ok(Node { expression, offset })
        })
    }

    fn disjunction(&mut self) -> Parsed<Node> {
        self.row("||", Self::conjunction, Expression::Any)
    }

    fn conjunction(&mut self) -> Parsed<Node> {
        self.row("&&", Self::comparison, Expression::All)
    }

    /// One operand, or several with `symbol` between them.
    fn row(
        &mut self,
        symbol: &str,
        operand: impl Fn(&mut Self) -> Parsed<Node>,
        of: impl Fn(Vec<Node>) -> Expression,
    ) -> Parsed<Node> {
        let first = operand(self)?;
        let offset = first.offset;
        if !self.takes(symbol) {
            return Ok(first);
        }
        let mut operands = vec![first, operand(self)?];
        while self.takes(symbol) {
            operands.push(operand(self)?);
        }
        Ok(Node { expression: of(operands), offset })
    }

    fn comparison(&mut self) -> Parsed<Node> {
        self.skip_ignored();
        let offset = self.at;
        if self.takes_keyword("not") {
            let of = self.nested(Self::comparison)?;
            return Ok(Node { expression: Expression::Call(Function::Not, Box::new(of)), offset });
        }
        let left = Box::new(self.postfix()?);
        let expression = if let Some(comparison) = self.comparison_symbol() {
            Expression::Comparison(comparison, left, Box::new(self.postfix()?))
        } else if self.takes_keyword("in") {
            Expression::Contained(left, Box::new(self.postfix()?))
        } else {
            return Ok(*left);
        };
        Ok(Node { expression, offset })
    }

    fn comparison_symbol(&mut self) -> Option<Comparison> {
        const SYMBOLS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        SYMBOLS.into_iter().find(|(symbol, _)| self.takes(symbol)).map(|(_, comparison)| comparison)
    }

    /// A value with its lookups.
    fn postfix(&mut self) -> Parsed<Node> {
        let of = self.atom()?;
        let mut steps = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('?') && !rest.starts_with("??") {
                self.at += 1;
                let mut keys = Vec::new();
                while let Some(key) = self.key()? {
                    keys.push(key);
                }
                steps.push(Step::Optional(keys));
            } else if let Some(key) = self.key()? {
                steps.push(Step::Field(key));
            } else {
                break;
            }
        }
        if steps.is_empty() {
            return Ok(of);
        }
        let offset = of.offset;
        Ok(Node { expression: Expression::Path(Box::new(of), steps), offset })
    }

    /// `.name`, `['name']` or `[index]`, directly after what it is looked up in.
    fn key(&mut self) -> Parsed<Option<Key>> {
        if self.rest().starts_with('.') {
            self.at += 1;
            let name = self.field_name().ok_or_else(|| self.unexpected("the name of a field"))?;
            self.at += name.len();
            return Ok(Some(Key::Name(name.to_owned())));
        }
        if !self.rest().starts_with('[') {
            return Ok(None);
        }
        self.at += 1;
        let key = self.expression()?;
        self.take("]")?;
        Ok(Some(match key.expression {
            Expression::Literal(Value::String(name)) => Key::Name(name),
            _ => Key::Computed(Box::new(key)),
        }))
    }

    /// Keywords are names here, and a name may begin with an underscore.
    fn field_name(&self) -> Option<&'t str> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty())
    }

    fn atom(&mut self) -> Parsed<Node> {
        self.skip_ignored();
        let offset = self.at;
        let rest = self.rest();
        let expression = match self.peek() {
            Some('"') => self.text()?,
            Some('\'') => Expression::Literal(Value::String(self.quoted()?)),
            Some('[') => self.array()?,
            Some('{') if rest.starts_with("{{") => return self.nested(Self::braces),
            Some('{') => self.object()?,
            Some('(') => {
                self.at += 1;
                let inner = self.expression()?;
                self.take(")")?;
                return Ok(inner);
            }
            Some('-' | '0'..='9') => self.number()?,
            _ => self.named()?,
        };
        Ok(Node { expression, offset })
    }

    /// A literal that has a name, a function call, or a variable.
    fn named(&mut self) -> Parsed<Expression> {
        let Some(name) = self.peek_identifier() else { return Err(self.unexpected("a value")) };
        let start = self.at;
        self.at += name.len();
        Ok(match name {
            "true" => Expression::Literal(Value::Bool(true)),
            "false" => Expression::Literal(Value::Bool(false)),
            "null" => Expression::Literal(Value::Null),
            "if" | "elif" | "else" | "end" | "range" | "in" | "not" => {
                self.at = start;
                return Err(self.error(format!("'{name}' cannot stand here")));
            }
            _ => match Function::of_name(name) {
                Some(function) => self.call(function)?,
                None if self.takes("(") => {
                    self.at = start;
                    return Err(self.error(format!("there is no function '{name}'")));
                }
                None => Expression::Variable(name.to_owned()),
            },
        })
    }

    /// `name(argument)`, and as older templates have it, `name argument`.
    fn call(&mut self, function: Function) -> Parsed<Expression> {
        self.skip_ignored();
        let argument = if self.takes("(") {
            let argument = self.expression()?;
            self.take(")")?;
            argument
        } else {
            self.nested(Self::postfix)?
        };
        Ok(Expression::Call(function, Box::new(argument)))
    }

    fn array(&mut self) -> Parsed<Expression> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes("]") {
            return Ok(Expression::Array(items));
        }
        loop {
            items.push(self.expression()?);
            if self.takes("]") {
                return Ok(Expression::Array(items));
            }
            self.take(",")?;
        }
    }

    fn object(&mut self) -> Parsed<Expression> {
        self.at += 1;
        let mut fields: Vec<(String, Node)> = Vec::new();
        if self.takes("}") {
            return Ok(Expression::Object(fields));
        }
        loop {
            self.skip_ignored();
            let offset = self.at;
            let key = match self.peek() {
                Some('"') => self.text()?,
                _ => return Err(self.unexpected("a key in double quotes")),
            };
            let Expression::Literal(Value::String(key)) = key else {
                return Err(TemplateError::at(self.source, offset, "a key cannot hold an expression"));
            };
            self.take(":")?;
            let value = self.expression()?;
            // Of two with one key, the last one counts.
            fields.retain(|(known, _)| *known != key);
            fields.push((key, value));
            if self.takes("}") {
                return Ok(Expression::Object(fields));
            }
            self.take(",")?;
        }
    }

    fn number(&mut self) -> Parsed<Expression> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let number = read_number(text).ok_or_else(|| self.error(format!("'{text}' is not a number")))?;
        self.at += end;
        Ok(Expression::Literal(Value::Number(number)))
    }

    /// A name in single quotes, which has no escapes.
    fn quoted(&mut self) -> Parsed<String> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some((text, _)) = inside.split_once('\'') else { return Err(self.error("the quote is not closed")) };
        self.at += text.len() + 2;
        Ok(text.to_owned())
    }

    /// A string in double quotes, with `{{ expressions }}` in it.
    fn text(&mut self) -> Parsed<Expression> {
        let start = self.at;
        self.at += 1;
        self.pieces(Some(start))
    }

    /// Up to the closing quote of the string that began at `start`, or else to the end of the template.
    fn pieces(&mut self, start: Option<usize>) -> Parsed<Expression> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        loop {
            let Some(next) = self.peek() else {
                match start {
                    Some(start) => return Err(TemplateError::at(self.source, start, "the string is not closed")),
                    None => break,
                }
            };
            if self.rest().starts_with("{{") {
                if !literal.is_empty() {
                    pieces.push(TextPiece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(TextPiece::Expression(self.nested(Self::braces)?));
            } else if next == '"' && start.is_some() {
                self.at += 1;
                break;
            } else if next == '\\' {
                self.escape(&mut literal)?;
            } else {
                literal.push(next);
                self.at += next.len_utf8();
            }
        }
        if pieces.is_empty() {
            return Ok(Expression::Literal(Value::String(literal)));
        }
        if !literal.is_empty() {
            pieces.push(TextPiece::Literal(literal));
        }
        Ok(Expression::Text(pieces))
    }

    /// The escapes of JSON, and `\{{` for two braces that begin no expression. A backslash before anything else stands
    /// for itself.
    fn escape(&mut self, literal: &mut String) -> Parsed<()> {
        let after = self.rest().get(1..).unwrap_or_default();
        if after.starts_with("{{") {
            literal.push_str("{{");
            self.at += 3;
            return Ok(());
        }
        let simple = match after.chars().next() {
            Some(same @ ('"' | '\\' | '/')) => same,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode_escape(literal),
            _ => {
                literal.push('\\');
                self.at += 1;
                return Ok(());
            }
        };
        literal.push(simple);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, and two of them for what lies beyond.
    fn unicode_escape(&mut self, literal: &mut String) -> Parsed<()> {
        let length = |text: &str| if text.starts_with(r"\u") { text.len().min(6) } else { 0 };
        let first = length(self.rest());
        let second = length(self.rest().get(first..).unwrap_or_default());
        let read = |length: usize| {
            let escaped = self.rest().get(..length)?;
            serde_json::from_str::<String>(&format!("\"{escaped}\"")).ok().map(|text| (text, length))
        };
        let Some((text, length)) = read(first).or_else(|| read(first + second)) else {
            return Err(self.error("this is not an escaped character"));
        };
        literal.push_str(&text);
        self.at += length;
        Ok(())
    }

    /// `{{ … }}`: a condition, a loop, or an expression.
    fn braces(&mut self) -> Parsed<Node> {
        let offset = self.at;
        self.take("{{")?;
        let expression = if self.takes_keyword("if") {
            self.condition()?
        } else if self.takes_keyword("range") {
            self.range()?
        } else {
            let inner = self.expression()?;
            self.take("}}")?;
            return Ok(inner);
        };
        Ok(Node { expression, offset })
    }

    fn condition(&mut self) -> Parsed<Expression> {
        let mut branches = Vec::new();
        loop {
            let condition = self.expression()?;
            self.take("}}")?;
            branches.push((condition, self.expression()?));
            self.take("{{")?;
            if !self.takes_keyword("elif") {
                break;
            }
        }
        let otherwise = if self.takes_keyword("else") {
            self.take("}}")?;
            let otherwise = self.expression()?;
            self.take("{{")?;
            Some(Box::new(otherwise))
        } else {
            None
        };
        self.end()?;
        Ok(Expression::If { branches, otherwise })
    }

    fn end(&mut self) -> Parsed<()> {
        if !self.takes_keyword("end") {
            return Err(self.unexpected("'end'"));
        }
        self.take("}}")
    }

    fn range(&mut self) -> Parsed<Expression> {
        let index = if self.takes("_") { None } else { Some(self.binder()?) };
        self.take(",")?;
        let item = self.binder()?;
        self.take(":=")?;
        let of = Box::new(self.expression()?);
        self.take("}}")?;
        let body = Box::new(self.expression()?);
        self.take("{{")?;
        self.end()?;
        Ok(Expression::Range { index, item, of, body })
    }

    fn binder(&mut self) -> Parsed<String> {
        self.skip_ignored();
        let name = self.peek_identifier().ok_or_else(|| self.unexpected("the name of a variable"))?;
        self.at += name.len();
        Ok(name.to_owned())
    }
}

/// JSON's numbers, and integers with zeros in front of them as kriti-lang reads them.
fn read_number(text: &str) -> Option<Number> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_integer {
        return text.parse().ok();
    }
    let significant = digits.trim_start_matches('0');
    format!("{sign}{}", if significant.is_empty() { "0" } else { significant }).parse().ok()
}
