//! From a template's tree and a row to text.

use anyhow::bail;
use serde_json::Value;

use super::functions;
use super::syntax::{Branches, Call, Node, Pipeline, Term};

/// What names mean at a place of a template.
pub(super) struct Scope<'a> {
    /// The row: `$`.
    row: &'a Value,
    /// `.`; the row itself outside of `range` and `with`.
    dot: Value,
    /// Whether the dot is the row, whose fields are known.
    at_row: bool,
    variables: Vec<(String, Value)>,
}

impl<'a> Scope<'a> {
    pub(super) fn of(row: &'a Value) -> Self {
        Self {
            row,
            dot: row.clone(),
            at_row: true,
            variables: Vec::new(),
        }
    }

    /// Appends what `nodes` show.
    pub(super) fn show(&mut self, nodes: &[Node], text: &mut String) -> anyhow::Result<()> {
        for node in nodes {
            match node {
                Node::Text(literal) => text.push_str(literal),
                Node::Show(pipeline) => text.push_str(&plain(&self.pipeline(pipeline)?)),
                Node::Set(name, pipeline) => {
                    let value = self.pipeline(pipeline)?;
                    self.set(name, value);
                }
                Node::If(pipeline, branches) => {
                    let chosen = if is_true(&self.pipeline(pipeline)?) {
                        &branches.then
                    } else {
                        &branches.otherwise
                    };
                    self.block(chosen, text)?;
                }
                Node::With(pipeline, branches) => {
                    let value = self.pipeline(pipeline)?;
                    if is_true(&value) {
                        self.inside(value, &[], &branches.then, text)?;
                    } else {
                        self.block(&branches.otherwise, text)?;
                    }
                }
                Node::Range(names, pipeline, branches) => {
                    let value = self.pipeline(pipeline)?;
                    self.range(names, value, branches, text)?;
                }
            }
        }
        Ok(())
    }

    fn range(
        &mut self,
        names: &[String],
        value: Value,
        branches: &Branches,
        text: &mut String,
    ) -> anyhow::Result<()> {
        let items: Vec<(Value, Value)> = match value {
            Value::Array(all) => all
                .into_iter()
                .enumerate()
                .map(|(number, item)| (number.into(), item))
                .collect(),
            Value::Object(all) => {
                let mut all: Vec<_> = all.into_iter().collect();
                all.sort_by(|one, other| one.0.cmp(&other.0));
                all.into_iter()
                    .map(|(key, item)| (key.into(), item))
                    .collect()
            }
            Value::Null => Vec::new(),
            other => bail!("--format: range over {other}, which has no parts"),
        };
        if items.is_empty() {
            return self.block(&branches.otherwise, text);
        }
        for (key, item) in items {
            let bound: Vec<(String, Value)> = match names {
                [value] => vec![(value.clone(), item.clone())],
                [name, value] => vec![(name.clone(), key), (value.clone(), item.clone())],
                _ => Vec::new(),
            };
            self.inside(item, &bound, &branches.then, text)?;
        }
        Ok(())
    }

    /// Shows `nodes` with another dot.
    fn inside(
        &mut self,
        dot: Value,
        bound: &[(String, Value)],
        nodes: &[Node],
        text: &mut String,
    ) -> anyhow::Result<()> {
        let dot = std::mem::replace(&mut self.dot, dot);
        let at_row = std::mem::replace(&mut self.at_row, false);
        let known = self.variables.len();
        self.variables.extend_from_slice(bound);
        let shown = self.show(nodes, text);
        self.variables.truncate(known);
        self.dot = dot;
        self.at_row = at_row;
        shown
    }

    fn block(&mut self, nodes: &[Node], text: &mut String) -> anyhow::Result<()> {
        let known = self.variables.len();
        let shown = self.show(nodes, text);
        self.variables.truncate(known);
        shown
    }

    fn set(&mut self, name: &str, value: Value) {
        self.variables.push((name.to_owned(), value));
    }

    fn pipeline(&self, pipeline: &Pipeline) -> anyhow::Result<Value> {
        let mut last = None;
        for call in pipeline {
            last = Some(self.call(call, last)?);
        }
        Ok(last.unwrap_or(Value::Null))
    }

    fn call(&self, call: &Call, last: Option<Value>) -> anyhow::Result<Value> {
        let Term::Function(name) = &call.head else {
            if last.is_some() {
                bail!("--format: what stands after a | is a function");
            }
            return self.term(&call.head);
        };
        let arguments = call.arguments.iter().map(|term| self.term(term));
        let arguments = arguments.chain(last.map(Ok));
        functions::call(name, &arguments.collect::<anyhow::Result<Vec<_>>>()?)
    }

    fn term(&self, term: &Term) -> anyhow::Result<Value> {
        match term {
            Term::Literal(value) => Ok(value.clone()),
            Term::Function(name) => functions::call(name, &[]),
            Term::Field(path) if self.at_row => of_row(&self.dot, path),
            Term::Field(path) => Ok(part(&self.dot, path)),
            Term::Variable(name, path) if name == "$" => of_row(self.row, path),
            Term::Variable(name, path) => {
                let mut known = self.variables.iter().rev();
                match known.find(|(other, _)| other == name) {
                    Some((_, value)) => Ok(part(value, path)),
                    None => bail!("--format: there is no variable {name}"),
                }
            }
            Term::Group(pipeline, path) => Ok(part(&self.pipeline(pipeline)?, path)),
        }
    }
}

/// What `path` leads to in a row. That a value has no such part is fine (an image without a health check), that no
/// object of the kind has one is a mistake.
fn of_row(row: &Value, path: &[String]) -> anyhow::Result<Value> {
    if let Some(first) = path.first()
        && row.get(first).is_none()
    {
        let fields = row.as_object().map(|fields| fields.keys());
        let known: Vec<&str> = fields.into_iter().flatten().map(String::as_str).collect();
        bail!(
            "--format: there is no field .{first}; there are .{}",
            known.join(", .")
        );
    }
    Ok(part(row, path))
}

fn part(value: &Value, path: &[String]) -> Value {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.cloned().unwrap_or(Value::Null)
}

/// Go's notion of it: what is not zero or empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}

/// A value as Go prints it.
pub(super) fn plain(value: &Value) -> String {
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
