//! The document as a page. Works without scripts, and asks no other server for anything.

use serde::Serialize;
use serde_json::Value;

use crate::html::{VERSION, standing_alone};

#[derive(Serialize)]
struct Page {
    assets: &'static str,
    title: String,
    version: String,
    about: Vec<String>,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Vec<String>,
    needs_session: bool,
    takes: Vec<Field>,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    status: String,
    about: String,
    has: Vec<Field>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    kind: String,
    required: bool,
    about: String,
}

/// Empty if it cannot be made, which a test would see.
pub(super) fn render(document: &Value) -> String {
    let info = |key: &str| text(document.pointer("/info").unwrap_or(&Value::Null), key);
    let page = Page {
        assets: VERSION,
        title: info("title"),
        version: info("version"),
        about: paragraphs(&info("description")),
        operations: operations(document),
    };
    standing_alone(include_str!("../../templates/openapi.html"), &page).unwrap_or_default()
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let each = paths
        .flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |(m, op)| (path, m, op)));
    each.map(|(path, method, operation)| operation_of(document, path, method, operation)).collect()
}

fn operation_of(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let parameter = |given: &Value| Field {
        name: text(given, "name"),
        kind: format!("{}, {}", text(given, "in"), kind(given.get("schema").unwrap_or(&Value::Null))),
        required: given.get("required") == Some(&Value::Bool(true)),
        about: text(given, "description"),
    };
    let mut takes: Vec<Field> = parameters.map(parameter).collect();
    takes.extend(operation.get("requestBody").map(|body| fields(document, body)).unwrap_or_default());
    let answers = operation.get("responses").and_then(Value::as_object).into_iter().flatten();
    let answer = |(status, answer): (&String, &Value)| Answer {
        status: status.clone(),
        about: text(answer, "description"),
        // What all refusals have stands in the introduction.
        has: if status.starts_with('2') { fields(document, answer) } else { Vec::new() },
    };
    Operation {
        id: text(operation, "operationId"),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(operation, "summary"),
        about: paragraphs(&text(operation, "description")),
        needs_session: operation.get("security").is_some(),
        takes,
        answers: answers.map(answer).collect(),
    }
}

/// The members of the JSON object, or of each in the list, that a body is.
fn fields(document: &Value, body: &Value) -> Vec<Field> {
    let schema = body.pointer("/content/application~1json/schema").unwrap_or(&Value::Null);
    members(document, schema.get("items").unwrap_or(schema), "")
}

/// Those of an object, and of the objects in it, as `account.name` or `accounts[].name`.
fn members(document: &Value, schema: &Value, within: &str) -> Vec<Field> {
    let schema = resolved(document, schema);
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let mut all: Vec<Field> = parts.flat_map(|part| members(document, part, within)).collect();
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let whole = format!("{within}{name}");
        all.push(Field {
            name: whole.clone(),
            kind: kind(resolved(document, property)),
            required: required.contains(&name.as_str()),
            about: text(property, "description"),
        });
        all.extend(match property.get("items") {
            Some(items) => members(document, items, &format!("{whole}[].")),
            None => members(document, property, &format!("{whole}.")),
        });
    }
    all
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let named = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    named.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

fn kind(schema: &Value) -> String {
    let names = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "value".to_owned(),
    };
    match schema.get("format").and_then(Value::as_str) {
        Some(format) => format!("{names} ({format})"),
        None => names,
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn paragraphs(text: &str) -> Vec<String> {
    text.split("\n\n")
        .map(|part| part.replace('`', "").trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}
