//! The response of an upstream with many types to the introspection query, shaped like Hasura's: for each table an object,
//! what it is filtered and sorted by, and root fields with arguments.

#![allow(clippy::needless_pass_by_value, reason = "the values move into the one that is made of them")]

use serde_json::{Value, json};

/// As many types as wanted, the few that are always there left out. Tables take four each; `table` and a number are the
/// names.
pub fn introspection_result(types: usize, table: &str) -> String {
    let tables = types / 4;
    let table_name = |number: usize| format!("{table}_number_{number}");
    let item = [field("id", named("Int"), vec![]), field("name", named("String"), vec![])];
    let mut all = vec![
        json!({ "kind": "SCALAR", "name": "Int", "description": "A whole number." }),
        json!({ "kind": "SCALAR", "name": "String", "description": "Text." }),
        json!({ "kind": "SCALAR", "name": "Boolean", "description": "Yes or no." }),
        object("Item", "What the benchmark's documents ask for.", item.to_vec()),
        comparison("Int_comparison_exp", "Int"),
        comparison("String_comparison_exp", "String"),
        enumeration("order_by", &["asc", "asc_nulls_first", "asc_nulls_last", "desc"]),
    ];
    let mut roots = vec![field("items", list(named("Item")), vec![])];
    for number in 0..tables {
        let name = table_name(number);
        let rows = non_null(list(non_null(named(&name))));
        roots.push(field(&name, rows, arguments(&name)));
        roots.push(field(&format!("{name}_by_pk"), named(&name), vec![input("id", non_null(named("Int")))]));
        all.extend(types_of_table(&name, &table_name((number + 1) % tables)));
    }
    all.push(object("Query", "", roots));
    json!({ "data": { "__schema": {
        "description": null,
        "queryType": { "name": "Query" },
        "mutationType": null,
        "subscriptionType": null,
        "types": all,
        "directives": [],
    } } })
    .to_string()
}

const COLUMNS: usize = 12;

fn types_of_table(name: &str, other: &str) -> [Value; 4] {
    let columns: Vec<String> = (0..COLUMNS).map(|column| format!("column_{column}")).collect();
    let mut fields: Vec<Value> =
        columns.iter().map(|column| field(column, non_null(named("String")), vec![])).collect();
    fields.push(field("others", non_null(list(non_null(named(other)))), arguments(other)));
    let filter = columns.iter().map(|column| input(column, named("String_comparison_exp")));
    let filter_name = format!("{name}_bool_exp");
    let both = [input("_and", list(non_null(named(&filter_name)))), input("id", named("Int_comparison_exp"))];
    let order = columns.iter().map(|column| input(column, named("order_by")));
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    [
        object(name, &format!("columns and relationships of \"{name}\""), fields),
        input_object(&filter_name, both.into_iter().chain(filter).collect()),
        input_object(&format!("{name}_order_by"), order.collect()),
        enumeration(&format!("{name}_select_column"), &names),
    ]
}

fn arguments(table: &str) -> Vec<Value> {
    vec![
        input("distinct_on", list(non_null(named(&format!("{table}_select_column"))))),
        input("limit", named("Int")),
        input("offset", named("Int")),
        input("order_by", list(non_null(named(&format!("{table}_order_by"))))),
        input("where", named(&format!("{table}_bool_exp"))),
    ]
}

fn comparison(name: &str, scalar: &str) -> Value {
    input_object(name, vec![input("_eq", named(scalar)), input("_in", list(non_null(named(scalar))))])
}

fn object(name: &str, description: &str, fields: Vec<Value>) -> Value {
    json!({ "kind": "OBJECT", "name": name, "description": description, "interfaces": [], "fields": fields })
}

fn input_object(name: &str, fields: Vec<Value>) -> Value {
    json!({ "kind": "INPUT_OBJECT", "name": name, "description": "Filters and sorts.", "inputFields": fields })
}

fn enumeration(name: &str, values: &[&str]) -> Value {
    let value = |name: &&str| json!({ "name": name, "description": "column name", "isDeprecated": false, "deprecationReason": null });
    let values: Vec<Value> = values.iter().map(value).collect();
    json!({ "kind": "ENUM", "name": name, "description": "select columns", "enumValues": values })
}

fn field(name: &str, ty: Value, args: Vec<Value>) -> Value {
    json!({
        "name": name, "description": "a column or an array relationship", "args": args, "type": ty,
        "isDeprecated": false, "deprecationReason": null,
    })
}

fn input(name: &str, ty: Value) -> Value {
    json!({
        "name": name, "description": null, "type": ty, "defaultValue": null, "isDeprecated": false,
        "deprecationReason": null,
    })
}

fn named(name: &str) -> Value {
    json!({ "kind": "OBJECT", "name": name, "ofType": null })
}

fn list(inner: Value) -> Value {
    json!({ "kind": "LIST", "name": null, "ofType": inner })
}

fn non_null(inner: Value) -> Value {
    json!({ "kind": "NON_NULL", "name": null, "ofType": inner })
}
