//! The functions of Go's templates, and those that docker adds.

use std::cmp::Ordering;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::evaluation::{is_true, plain};

/// Calls the function `name`.
pub(super) fn call(name: &str, arguments: &[Value]) -> anyhow::Result<Value> {
    let done = match (name, arguments) {
        ("json", [value]) => Value::String(value.to_string()),
        ("prettyjson", [value]) => Value::String(serde_json::to_string_pretty(value)?),
        ("len", [value]) => length(value).into(),
        ("lower", [value]) => Value::String(plain(value).to_lowercase()),
        ("upper", [value]) => Value::String(plain(value).to_uppercase()),
        ("title", [value]) => Value::String(title(&plain(value))),
        ("print", values) => Value::String(values.iter().map(plain).collect()),
        ("println", values) => {
            let words: Vec<String> = values.iter().map(plain).collect();
            Value::String(words.join(" ") + "\n")
        }
        ("printf", [Value::String(form), values @ ..]) => Value::String(printf(form, values)),
        ("index", [value, keys @ ..]) => index(value, keys)?.clone(),
        ("slice", [value, from @ ..]) if from.len() < 3 => slice(value, from)?,
        ("join", [value, separator]) => {
            let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let parts: Vec<String> = parts.iter().map(plain).collect();
            Value::String(parts.join(&plain(separator)))
        }
        ("split", [value, separator]) => {
            let (value, separator) = (plain(value), plain(separator));
            value.split(&separator).collect()
        }
        ("truncate", [value, most]) => {
            let most = usize::try_from(most.as_u64().unwrap_or_default())?;
            Value::String(plain(value).chars().take(most).collect())
        }
        ("not", [value]) => Value::Bool(!is_true(value)),
        ("and", [_, ..]) => chosen(arguments, |value| !is_true(value)),
        ("or", [_, ..]) => chosen(arguments, is_true),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            Value::Bool(others.iter().any(|other| same(first, other)))
        }
        ("ne", [one, other]) => Value::Bool(!same(one, other)),
        ("lt", [one, other]) => Value::Bool(order(one, other)? == Ordering::Less),
        ("le", [one, other]) => Value::Bool(order(one, other)? != Ordering::Greater),
        ("gt", [one, other]) => Value::Bool(order(one, other)? == Ordering::Greater),
        ("ge", [one, other]) => Value::Bool(order(one, other)? != Ordering::Less),
        _ if KNOWN.contains(&name) => {
            bail!(
                "--format: {name} does not take {} arguments",
                arguments.len()
            )
        }
        _ => bail!(
            "--format: there is no function {name}; there are {}",
            KNOWN.join(", ")
        ),
    };
    Ok(done)
}

const KNOWN: &[&str] = &[
    "json",
    "prettyjson",
    "len",
    "lower",
    "upper",
    "title",
    "print",
    "println",
    "printf",
    "index",
    "slice",
    "join",
    "split",
    "truncate",
    "not",
    "and",
    "or",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
];

/// The first value that decides, else the last.
fn chosen(values: &[Value], decides: impl Fn(&Value) -> bool) -> Value {
    let found = values.iter().find(|value| decides(value));
    found.or(values.last()).cloned().unwrap_or(Value::Null)
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other) == Ordering::Equal,
        _ => one == other,
    }
}

fn order(one: &Value, other: &Value) -> anyhow::Result<Ordering> {
    if let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) {
        return Ok(one.total_cmp(&other));
    }
    match (one, other) {
        (Value::String(one), Value::String(other)) => Ok(one.cmp(other)),
        _ => bail!("--format: {one} and {other} have no order"),
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.len(),
        Value::Object(all) => all.len(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

fn title(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

fn index<'a>(value: &'a Value, keys: &[Value]) -> anyhow::Result<&'a Value> {
    const ABSENT: &Value = &Value::String(String::new());
    let mut value = value;
    for key in keys {
        value = match (value, key.as_u64()) {
            (Value::Array(all), Some(number)) => all
                .get(usize::try_from(number)?)
                .with_context(|| format!("--format: index {number} of {} values", all.len()))?,
            _ => value.get(plain(key)).unwrap_or(ABSENT),
        };
    }
    Ok(value)
}

/// `slice .ID 0 12`
fn slice(value: &Value, bounds: &[Value]) -> anyhow::Result<Value> {
    let bound = |value: &Value| usize::try_from(value.as_u64().unwrap_or_default());
    let from = bounds.first().map_or(Ok(0), bound)?;
    let to = bounds.get(1).map_or(Ok(length(value)), bound)?;
    let part = match value {
        Value::Array(all) => all.get(from..to).map(|part| Value::Array(part.to_vec())),
        Value::String(text) => text
            .get(from..to)
            .map(|part| Value::String(part.to_owned())),
        _ => None,
    };
    part.with_context(|| format!("--format: slice {from} {to} of {}", length(value)))
}

/// `%s`, `%v`, `%d`, `%q` and `%%`, with a width: `%-20s`.
fn printf(form: &str, values: &[Value]) -> String {
    let mut values = values.iter();
    let mut text = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != '-');
        let (width, after) = after.split_at(end.unwrap_or(after.len()));
        let mut letters = after.chars();
        let shown = match letters.next() {
            Some('%') => "%".to_owned(),
            Some('q') => format!("{:?}", values.next().map(plain).unwrap_or_default()),
            Some(_) => values.next().map(plain).unwrap_or_default(),
            None => String::new(),
        };
        let size: usize = width
            .trim_start_matches('-')
            .parse()
            .unwrap_or(0)
            .min(1 << 10);
        let blanks = " ".repeat(size.saturating_sub(shown.chars().count()));
        if width.starts_with('-') {
            text.extend([shown, blanks]);
        } else {
            text.extend([blanks, shown]);
        }
        rest = letters.as_str();
    }
    text + rest
}
