//! Made-up values of a type: the same arguments get the same value, on every machine and at any time.

use serde_json::{Map, Number, Value, json};

use crate::model::action::{Action, ActionSchema};
use crate::model::extension_field::ArgumentTemplate;
use crate::model::types::{TypeKind, TypeRef, Types};

/// The value of an action for these arguments.
#[must_use]
pub(crate) fn of_action(schema: &ActionSchema, action: &Action, input: &Map<String, Value>) -> Value {
    let text = Value::Object(input.clone()).to_string();
    let mut maker = Maker {
        types: &schema.types,
        input,
        seed: fnv1a(&[action.name.as_bytes(), text.as_bytes()]),
        values_left: VALUES_MAX,
    };
    if let Some((keys, matched_by)) = matched_keys(schema, action, input) {
        return maker.matched(&action.output, keys, matched_by);
    }
    maker.value(&action.output, Spot { name: &action.name, index: 0, depth: 0 })
}

/// Values of one response. A wide type that holds itself would have very many.
const VALUES_MAX: usize = 5_000;

/// Objects within one another. A type that holds itself ends there.
const DEPTH_MAX: usize = 5;

/// Elements of a list.
const LIST_LENGTH: usize = 2;

/// Where an extension field gives its action a list of keys: these, and the field of each element that has its key.
fn matched_keys<'s>(
    schema: &'s ActionSchema,
    action: &Action,
    input: &'s Map<String, Value>,
) -> Option<(&'s [Value], &'s str)> {
    schema.extension_fields.iter().filter(|field| field.action == action.field).find_map(|field| {
        let matched_by = field.matched_by.as_deref()?;
        let is_list = |(_, template): &&(String, ArgumentTemplate)| matches!(template, ArgumentTemplate::List(_));
        let (argument, _) = field.arguments.iter().find(is_list)?;
        Some((input.get(argument)?.as_array()?.as_slice(), matched_by))
    })
}

struct Maker<'m> {
    types: &'m Types,
    input: &'m Map<String, Value>,
    seed: u64,
    values_left: usize,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Spot<'p> {
    /// The name of its field.
    name: &'p str,
    /// The number of the list element that it is in.
    index: usize,
    /// How many objects are around it.
    depth: usize,
}

impl Maker<'_> {
    fn value(&mut self, ty: &TypeRef, spot: Spot<'_>) -> Value {
        self.values_left = self.values_left.saturating_sub(1);
        match ty {
            TypeRef::NonNull(inner) => self.value(inner, spot),
            TypeRef::List(_) if self.values_left == 0 || spot.depth >= DEPTH_MAX => json!([]),
            TypeRef::List(inner) => (0..LIST_LENGTH)
                .map(|index| self.value(inner, Spot { index: spot.index * LIST_LENGTH + index, ..spot }))
                .collect(),
            TypeRef::Named(name) => self.named(name, spot),
        }
    }

    /// The elements of a list that are matched with keys by a field: one for each key.
    fn matched(&mut self, ty: &TypeRef, keys: &[Value], matched_by: &str) -> Value {
        let TypeRef::List(element) = ty.nullable() else { return Value::Null };
        let element = |(index, key): (usize, &Value)| {
            let mut value = self.value(element, Spot { name: "", index, depth: 0 });
            if let Value::Object(fields) = &mut value {
                fields.insert(matched_by.to_owned(), key.clone());
            }
            value
        };
        keys.iter().enumerate().map(element).collect()
    }

    fn named(&mut self, ty: &str, spot: Spot<'_>) -> Value {
        match self.types.get(ty).map(|definition| &definition.kind) {
            Some(TypeKind::Enum(values)) => values.keys().next().map_or(Value::Null, |name| name.as_str().into()),
            Some(TypeKind::Object(_)) if spot.depth >= DEPTH_MAX || self.values_left == 0 => Value::Null,
            Some(TypeKind::Object(fields)) => {
                let fields: Vec<(&String, &TypeRef)> = fields.iter().map(|(name, field)| (name, &field.ty)).collect();
                let field = |(name, ty): (&String, &TypeRef)| {
                    (name.clone(), self.value(ty, Spot { name, depth: spot.depth + 1, ..spot }))
                };
                Value::Object(fields.into_iter().map(field).collect())
            }
            Some(TypeKind::Scalar | TypeKind::InputObject(_)) | None => self.scalar(ty, spot),
        }
    }

    fn scalar(&self, ty: &str, spot: Spot<'_>) -> Value {
        let hash = fnv1a(&[&self.seed.to_le_bytes(), spot.name.as_bytes(), &spot.index.to_le_bytes()]);
        let given = self.input.get(spot.name).filter(|_| spot.index == 0);
        match (ty, given) {
            ("Int", Some(Value::Number(given))) if given.is_i64() => given.clone().into(),
            ("Float", Some(Value::Number(given))) => given.clone().into(),
            ("Boolean", Some(Value::Bool(given))) => (*given).into(),
            ("String" | "ID", Some(Value::String(given))) => given.as_str().into(),
            ("ID", Some(Value::Number(given))) => given.to_string().into(),
            ("Int", _) => whole_number(spot, hash).into(),
            ("Float", _) => fraction(spot.name, hash),
            ("Boolean", _) => (hash.is_multiple_of(2)).into(),
            ("ID", _) => (spot.index + 1).to_string().into(),
            ("String", _) => text(spot, hash).into(),
            (other, given) => given.cloned().unwrap_or_else(|| custom_scalar(other, spot, hash)),
        }
    }
}

/// `created_at` and `createdAt` are `createdat`.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn is_id(name: &str) -> bool {
    name == "id" || name.ends_with("_id") || name.ends_with("Id") || name.ends_with("ID")
}

/// Ids are small, because rows of the upstream with such ids are likely to exist.
fn whole_number(spot: Spot<'_>, hash: u64) -> u64 {
    let name = folded(spot.name);
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match () {
        () if is_id(spot.name) => spot.index as u64 + 1,
        () if has(&["year"]) => 2026,
        () if has(&["age"]) && !has(&["page", "message"]) => 20 + hash % 50,
        () if has(&["count", "quantity", "amount", "days", "total"]) => 1 + hash % 10,
        () => 1 + hash % 100,
    }
}

fn fraction(name: &str, hash: u64) -> Value {
    let name = folded(name);
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let hundredths = match () {
        () if has(&["price", "cost", "total", "amount", "fee"]) => 100 + hash % 10_000,
        () if has(&["rate", "ratio", "score", "percent"]) => hash % 101,
        () => hash % 100_000,
    };
    decimal(hundredths)
}

/// A number with two decimals at most.
fn decimal(hundredths: u64) -> Value {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    serde_json::from_str::<Number>(text.trim_end_matches('0').trim_end_matches('.')).map_or(Value::Null, Value::Number)
}

const FIRST_NAMES: [&str; 6] = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald"];
const LAST_NAMES: [&str; 6] = ["Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth"];
const CITIES: [&str; 4] = ["Zurich", "Lisbon", "Oslo", "Kyoto"];

fn pick<'t>(options: &[&'t str], hash: u64) -> &'t str {
    let index = usize::try_from(hash % (options.len().max(1) as u64)).unwrap_or_default();
    options.get(index).copied().unwrap_or_default()
}

fn text(spot: Spot<'_>, hash: u64) -> String {
    let name = folded(spot.name);
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let (first, last) = (pick(&FIRST_NAMES, hash), pick(&LAST_NAMES, hash >> 8));
    let number = spot.index + 1;
    match () {
        () if has(&["email", "mail"]) => format!("{}@example.com", first.to_ascii_lowercase()),
        () if has(&["phone", "mobile"]) => format!("+41 44 555 {:02} {:02}", hash % 100, (hash >> 8) % 100),
        () if has(&["url", "link", "uri", "picture", "image", "avatar"]) => {
            format!("https://example.com/{name}/{number}")
        }
        () if has(&["firstname", "givenname"]) => first.to_owned(),
        () if has(&["lastname", "surname", "familyname"]) => last.to_owned(),
        () if has(&["username", "login"]) => first.to_ascii_lowercase(),
        () if has(&["city", "town"]) => pick(&CITIES, hash).to_owned(),
        () if has(&["country"]) => "CH".to_owned(),
        () if has(&["currency"]) => "EUR".to_owned(),
        () if has(&["uuid", "guid"]) => uuid(hash),
        () if has(&["date", "time"]) || spot.name.ends_with("_at") || spot.name.ends_with("At") => timestamp(hash),
        () if is_id(spot.name) => number.to_string(),
        () if name == "name" || has(&["fullname", "customername", "author"]) => format!("{first} {last}"),
        () if spot.name.is_empty() => format!("value {number}"),
        () => format!("{} {number}", spot.name),
    }
}

fn custom_scalar(ty: &str, spot: Spot<'_>, hash: u64) -> Value {
    let ty = folded(ty);
    let is = |parts: &[&str]| parts.iter().any(|part| ty.contains(part));
    match () {
        () if is(&["uuid", "guid"]) => uuid(hash).into(),
        () if is(&["timestamp", "datetime", "instant"]) => timestamp(hash).into(),
        () if is(&["date"]) => date(hash).into(),
        () if is(&["time"]) => "09:30:00".into(),
        () if is(&["interval", "duration"]) => "01:00:00".into(),
        () if is(&["json", "object", "hstore", "map"]) => json!({}),
        () if is(&["bool"]) => (hash.is_multiple_of(2)).into(),
        () if is(&["numeric", "decimal", "money", "float", "double", "real"]) => fraction(spot.name, hash),
        () if is(&["int", "long", "serial", "oid"]) => whole_number(spot, hash).into(),
        () if is(&["email"]) => text(Spot { name: "email", ..spot }, hash).into(),
        () if is(&["url", "uri"]) => text(Spot { name: "url", ..spot }, hash).into(),
        () if is(&["base64", "bytea", "byte"]) => "AAEC".into(),
        () => text(spot, hash).into(),
    }
}

fn date(hash: u64) -> String {
    format!("2026-{:02}-{:02}", 1 + hash % 12, 1 + (hash >> 8) % 28)
}

fn timestamp(hash: u64) -> String {
    format!("{}T{:02}:{:02}:00Z", date(hash), (hash >> 16) % 24, (hash >> 24) % 60)
}

/// Of version 4, as far as its form goes.
fn uuid(hash: u64) -> String {
    let more = fnv1a(&[&hash.to_le_bytes(), b"uuid"]);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        hash >> 32,
        (hash >> 16) & 0xffff,
        hash & 0xfff,
        more >> 52,
        more & 0xffff_ffff_ffff
    )
}

/// [FNV-1a](https://datatracker.ietf.org/doc/draft-eastlake-fnv/): hashes of the standard library may change.
fn fnv1a(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter().chain([&0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::actions::read_actions;

    fn made(sdl: &str, input: &Value) -> Value {
        let yaml = "actions: [{ name: a, definition: { kind: synchronous, handler: 'http://h' } }]";
        let schema = read_actions(sdl, yaml, &|_| None).expect("an action");
        let action = schema.actions.values().next().expect("an action");
        of_action(&schema, action, input.as_object().expect("arguments"))
    }

    #[test]
    fn the_same_arguments_get_the_same_value() {
        let sdl = "type Query { a(id: Int, to: String): [T!]! } \
                   type T { id: Int! price: Float! email: String created_at: String state: S tags: [String!] u: uuid t: \
                   timestamptz d: date j: jsonb } enum S { OPEN CLOSED } scalar uuid scalar timestamptz scalar date scalar jsonb";
        let (one, other) = (made(sdl, &json!({ "to": "CH" })), made(sdl, &json!({ "to": "DE" })));
        assert_eq!(one, made(sdl, &json!({ "to": "CH" })));
        assert_ne!(one, other);
        let list = one.as_array().expect("a list");
        assert_eq!((list.len(), &list[0]["id"], &list[1]["id"]), (2, &json!(1), &json!(2)));
        assert_eq!(list[0]["state"], "OPEN");
        assert!(list[0]["email"].as_str().is_some_and(|email| email.ends_with("@example.com")), "{one}");
        for (field, length) in [("created_at", 20), ("t", 20), ("d", 10), ("u", 36)] {
            assert_eq!(list[0][field].as_str().map(str::len), Some(length), "{field}: {one}");
        }
        assert_eq!(list[0]["tags"].as_array().map(Vec::len), Some(2));
        assert_eq!(list[0]["j"], json!({}));
        // An argument of the same name is the value.
        assert_eq!(made(sdl, &json!({ "id": 77 }))[0]["id"], 77);
    }

    #[test]
    fn types_that_hold_themselves_end() {
        let sdl = "type Query { a: T } type T { id: Int! children: [T!]! parent: T others: [T] }";
        let text = made(sdl, &json!({})).to_string();
        assert!(text.len() < 200_000 && text.contains("\"children\":[]"), "{}", text.len());
    }

    #[test]
    fn fractions_have_two_decimals() {
        assert_eq!([decimal(1250), decimal(5), decimal(700)].map(|value| value.to_string()), ["12.5", "0.05", "7"]);
    }
}
