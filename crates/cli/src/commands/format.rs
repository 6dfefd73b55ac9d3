//! `--format`: the part of Go's templates that scripts use with docker.
//!
//! ```text
//! {{.Repository}}:{{.Tag}}   {{.Config.User}}   {{json .}}   {{index .RepoTags 0}}   {{index .Config.Labels "a.b"}}
//! {{join .Args ","}}   {{len .Args}}   {{lower .Name}}   {{upper .Name}}   table {{.ID}}\t{{.Size}}
//! ```
//!
//! Loops, conditions and pipes are refused by name.

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::render::Table;

/// A template, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Format {
    shape: Shape,
    pieces: Vec<Piece>,
}

/// What the results are put together to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A line each.
    Lines,
    /// Columns, with a header.
    Table,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Field(Path),
    Json(Path),
    Index(Path, Vec<String>),
    Join(Path, String),
    Length(Path),
    Lower(Path),
    Upper(Path),
}

/// `.Config.User`; empty for `.` alone.
type Path = Vec<String>;

impl Format {
    /// Reads `--format`; `json` alone is `{{json .}}`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        if text == "json" {
            return Ok(Self {
                shape: Shape::Lines,
                pieces: vec![Piece::Json(Path::new())],
            });
        }
        let (shape, text) = match text.strip_prefix("table ") {
            Some(rest) => (Shape::Table, rest.trim()),
            None => (Shape::Lines, text),
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            push_text(&mut pieces, before);
            let (action, after) = after
                .split_once("}}")
                .with_context(|| format!("--format {text:?}: a {{{{ without its }}}}"))?;
            let action = action.trim().trim_matches('-').trim();
            pieces.push(parse_action(action).with_context(|| format!("--format {text:?}"))?);
            rest = after;
        }
        push_text(&mut pieces, rest);
        Ok(Self { shape, pieces })
    }

    /// All rows, each a JSON object, as text.
    pub(crate) fn render(&self, rows: &[Value]) -> anyhow::Result<String> {
        match self.shape {
            Shape::Lines => rows.iter().try_fold(String::new(), |mut text, row| {
                text.push_str(&self.line(row)?);
                text.push('\n');
                Ok(text)
            }),
            Shape::Table => self.table(rows),
        }
    }

    fn table(&self, rows: &[Value]) -> anyhow::Result<String> {
        let header: Vec<String> = self.header().split('\t').map(str::to_owned).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = Table::new(&header);
        for row in rows {
            let line = self.line(row)?;
            table.row(line.split('\t').map(str::to_owned));
        }
        Ok(table.render())
    }

    /// `{{.CreatedSince}}` is headed `CREATED SINCE`.
    fn header(&self) -> String {
        let name = |path: &Path| {
            path.last()
                .map_or_else(String::new, |name| spaced_upper(name))
        };
        let of = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(path)
            | Piece::Json(path)
            | Piece::Index(path, _)
            | Piece::Join(path, _)
            | Piece::Length(path)
            | Piece::Lower(path)
            | Piece::Upper(path) => name(path),
        };
        self.pieces.iter().map(of).collect()
    }

    fn line(&self, row: &Value) -> anyhow::Result<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Field(path) => text.push_str(&plain(look_up(row, path)?)),
                Piece::Json(path) => text.push_str(&look_up(row, path)?.to_string()),
                Piece::Index(path, keys) => {
                    text.push_str(&plain(index(look_up(row, path)?, keys)?));
                }
                Piece::Join(path, separator) => {
                    let parts = look_up(row, path)?.as_array().cloned().unwrap_or_default();
                    let parts: Vec<String> = parts.iter().map(plain).collect();
                    text.push_str(&parts.join(separator));
                }
                Piece::Length(path) => text.push_str(&length(look_up(row, path)?).to_string()),
                Piece::Lower(path) => text.push_str(&plain(look_up(row, path)?).to_lowercase()),
                Piece::Upper(path) => text.push_str(&plain(look_up(row, path)?).to_uppercase()),
            }
        }
        Ok(text)
    }
}

/// Literal text, with the escapes that shells leave to the template.
fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        pieces.push(Piece::Text(text));
    }
}

fn parse_action(action: &str) -> anyhow::Result<Piece> {
    let words = words(action)?;
    let (verb, arguments) = words.split_first().context("an empty {{}}")?;
    if verb.starts_with('.') && arguments.is_empty() {
        return Ok(Piece::Field(path(verb)?));
    }
    let Some((first, more)) = arguments.split_first() else {
        bail!(
            "{{{{{action}}}}} is not supported: fields, json, index, join, len, lower and upper are"
        );
    };
    let one = |make: fn(Path) -> Piece| {
        if more.is_empty() {
            return Ok(make(path(first)?));
        }
        bail!("{{{{{action}}}}}: {verb} takes one field")
    };
    match (verb.as_str(), more) {
        ("json", _) => one(Piece::Json),
        ("len", _) => one(Piece::Length),
        ("lower", _) => one(Piece::Lower),
        ("upper", _) => one(Piece::Upper),
        ("index", [_, ..]) => Ok(Piece::Index(path(first)?, more.to_vec())),
        ("join", [separator]) => Ok(Piece::Join(path(first)?, separator.clone())),
        _ => bail!(
            "{{{{{action}}}}} is not supported: fields, json, index, join, len, lower and upper are"
        ),
    }
}

/// Splits at white space outside quotes; quotes are taken off.
fn words(action: &str) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = if matches!(first, '"' | '`') {
            let inner = &rest[1..];
            let end = inner
                .find(first)
                .with_context(|| format!("{{{{{action}}}}}: a quote without its end"))?;
            rest = &inner[end + 1..];
            &inner[..end]
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            word
        };
        words.push(word.to_owned());
        rest = rest.trim_start();
    }
    Ok(words)
}

fn path(text: &str) -> anyhow::Result<Path> {
    let Some(names) = text.strip_prefix('.') else {
        bail!("{text:?} is no field: fields begin with a dot");
    };
    let names = names.split('.').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// What `path` leads to. That a value has no such part is fine (an image without a health check), that no object of the
/// kind has one is a mistake.
fn look_up<'a>(row: &'a Value, path: &Path) -> anyhow::Result<&'a Value> {
    const ABSENT: &Value = &Value::Null;
    let Some((first, more)) = path.split_first() else {
        return Ok(row);
    };
    let Some(mut value) = row.get(first) else {
        let known = row
            .as_object()
            .map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>())
            .unwrap_or_default();
        bail!(
            "--format: there is no field .{first}; there are .{}",
            known.join(", .")
        );
    };
    for name in more {
        value = value.get(name).unwrap_or(ABSENT);
    }
    Ok(value)
}

fn index<'a>(value: &'a Value, keys: &[String]) -> anyhow::Result<&'a Value> {
    const ABSENT: &Value = &Value::String(String::new());
    let mut value = value;
    for key in keys {
        value = match (value, key.parse::<usize>()) {
            (Value::Array(all), Ok(number)) => all
                .get(number)
                .with_context(|| format!("--format: index {number} of {} values", all.len()))?,
            _ => value.get(key).unwrap_or(ABSENT),
        };
    }
    Ok(value)
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.len(),
        Value::Object(all) => all.len(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

/// A value as Go prints it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(plain).collect();
            format!("[{}]", all.join(" "))
        }
        Value::Object(all) => {
            let all: Vec<String> = all
                .iter()
                .map(|(key, value)| format!("{key}:{}", plain(value)))
                .collect();
            format!("map[{}]", all.join(" "))
        }
    }
}

fn spaced_upper(name: &str) -> String {
    let mut text = String::new();
    let mut before_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && before_lower {
            text.push(' ');
        }
        before_lower = letter.is_lowercase();
        text.extend(letter.to_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(format: &str, row: &Value) -> String {
        let format = Format::parse(format).expect(format);
        format.render(std::slice::from_ref(row)).expect("a row")
    }

    #[test]
    fn fields_and_text_take_turns() {
        let row = json!({"Repository": "app", "Tag": "v1"});
        assert_eq!(shown("{{.Repository}}:{{ .Tag }}", &row), "app:v1\n");
        assert_eq!(
            shown("json", &row),
            "{\"Repository\":\"app\",\"Tag\":\"v1\"}\n"
        );
    }

    #[test]
    fn deeper_values_are_reached_by_path_and_by_index() {
        let row =
            json!({"Config": {"User": "www", "Labels": {"a.b": "c"}}, "RepoTags": ["x:1", "x:2"]});
        assert_eq!(shown("{{.Config.User}}", &row), "www\n");
        assert_eq!(shown("{{json .Config.Labels}}", &row), "{\"a.b\":\"c\"}\n");
        assert_eq!(shown("{{index .Config.Labels \"a.b\"}}", &row), "c\n");
        assert_eq!(shown("{{index .RepoTags 1}}", &row), "x:2\n");
        assert_eq!(shown("{{join .RepoTags \", \"}}", &row), "x:1, x:2\n");
        assert_eq!(
            shown("{{len .RepoTags}} {{.RepoTags}}", &row),
            "2 [x:1 x:2]\n"
        );
        assert_eq!(shown("{{.Config.Healthcheck}}", &row), "<no value>\n");
    }

    #[test]
    fn a_table_has_the_fields_as_its_header() {
        let row = json!({"ID": "0123", "CreatedSince": "now"});
        assert_eq!(
            shown("table {{.ID}}\\t{{.CreatedSince}}", &row),
            "ID     CREATED SINCE\n0123   now\n"
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let message = |format: &str| format!("{:#}", Format::parse(format).expect_err(format));
        assert!(message("{{range .Layers}}").contains("range"), "loops");
        assert!(message("{{.ID").contains("without its"), "an open brace");
        let format = Format::parse("{{.Nope}}").expect("well-formed");
        let error = format
            .render(&[json!({"ID": 1})])
            .expect_err("no such field");
        assert!(error.to_string().contains(".ID"), "{error}");
    }
}
