//! From a template's text to its tree.

use anyhow::{Context as _, bail};
use serde_json::Value;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// `{{pipeline}}`
    Show(Pipeline),
    /// `{{$name := pipeline}}`
    Set(String, Pipeline),
    /// `{{if pipeline}} … {{else}} … {{end}}`
    If(Pipeline, Branches),
    /// `{{with pipeline}} … {{else}} … {{end}}`
    With(Pipeline, Branches),
    /// `{{range $key, $value := pipeline}} … {{else}} … {{end}}`
    Range(Vec<String>, Pipeline, Branches),
}

/// What is shown if there is something, and what if not.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Branches {
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `call | call`: each gets what the one before gives as its last argument.
pub(super) type Pipeline = Vec<Call>;

/// A value or a function, with arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) head: Term,
    pub(super) arguments: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    /// `.A.B`; without names `.` alone.
    Field(Vec<String>),
    /// `$name.A.B`
    Variable(String, Vec<String>),
    /// `(pipeline).A.B`
    Group(Pipeline, Vec<String>),
    Literal(Value),
    Function(String),
}

/// How deep blocks and parentheses may be.
const DEPTH: usize = 32;

/// Reads a template.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Node>> {
    let mut parser = Parser {
        rest: text,
        trim: false,
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Close::Text => Ok(nodes),
        Close::Else(_) => bail!("an {{{{else}}}} without its beginning"),
        Close::End => bail!("an {{{{end}}}} without its beginning"),
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// The last action asked for white space after it to be cut.
    trim: bool,
    depth: usize,
}

/// What a run of nodes ended with.
enum Close {
    Text,
    /// With what stands behind the word: `if .A`.
    Else(String),
    End,
}

impl Parser<'_> {
    fn nodes(&mut self) -> anyhow::Result<(Vec<Node>, Close)> {
        self.deeper()?;
        let mut nodes = Vec::new();
        loop {
            let Some((before, after)) = self.rest.split_once("{{") else {
                push_text(&mut nodes, self.text(self.rest));
                self.rest = "";
                self.depth -= 1;
                return Ok((nodes, Close::Text));
            };
            let trimmed = after.starts_with("- ");
            let before = self.text(before);
            push_text(&mut nodes, if trimmed { before.trim_end() } else { before });
            let action = self.action(if trimmed { &after[1..] } else { after })?;
            let (word, rest) = match action.split_once(char::is_whitespace) {
                Some((word, rest)) => (word, rest.trim()),
                None => (action.as_str(), ""),
            };
            let node = match word {
                "end" => {
                    self.depth -= 1;
                    return Ok((nodes, Close::End));
                }
                "else" => {
                    self.depth -= 1;
                    return Ok((nodes, Close::Else(rest.to_owned())));
                }
                "if" => Node::If(pipeline(rest)?, self.branches()?),
                "with" => Node::With(pipeline(rest)?, self.branches()?),
                "range" => {
                    let (names, rest) = declaration(rest);
                    Node::Range(names, pipeline(rest)?, self.branches()?)
                }
                "template" | "define" | "block" | "break" | "continue" => {
                    bail!("{{{{{word}}}}} is not supported")
                }
                _ if action.starts_with("/*") => continue,
                _ => match declaration(&action) {
                    (names, rest) if names.len() == 1 => Node::Set(names.concat(), pipeline(rest)?),
                    _ => Node::Show(pipeline(&action)?),
                },
            };
            nodes.push(node);
        }
    }

    fn deeper(&mut self) -> anyhow::Result<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            bail!("its blocks are nested too deeply");
        }
        Ok(())
    }

    fn text<'t>(&self, text: &'t str) -> &'t str {
        if self.trim { text.trim_start() } else { text }
    }

    /// What stands before the next `}}` that is not in quotes.
    fn action(&mut self, text: &str) -> anyhow::Result<String> {
        let mut quote = None;
        let mut escaped = false;
        for (at, letter) in text.char_indices() {
            match quote {
                Some('"') if escaped => escaped = false,
                Some('"') if letter == '\\' => escaped = true,
                Some(open) if open == letter => quote = None,
                None if matches!(letter, '"' | '`') => quote = Some(letter),
                None if text[at..].starts_with("}}") => {
                    let action = &text[..at];
                    self.rest = &self.rest[self.rest.len() - (text.len() - at - 2)..];
                    self.trim = action.ends_with(" -");
                    let action = action.strip_suffix(" -").unwrap_or(action).trim();
                    if action.is_empty() {
                        bail!("an empty {{{{}}}}");
                    }
                    return Ok(action.to_owned());
                }
                Some(_) | None => {}
            }
        }
        bail!("a {{{{ without its }}}}")
    }

    fn branches(&mut self) -> anyhow::Result<Branches> {
        let (then, end) = self.nodes()?;
        let otherwise = match end {
            Close::End => Vec::new(),
            Close::Text => bail!("a block without its {{{{end}}}}"),
            Close::Else(word) if word.is_empty() => {
                let (nodes, end) = self.nodes()?;
                if !matches!(end, Close::End) {
                    bail!("an {{{{else}}}} without its {{{{end}}}}");
                }
                nodes
            }
            Close::Else(word) => {
                let condition = word
                    .strip_prefix("if ")
                    .with_context(|| format!("{{{{else {word}}}}}: only if may follow an else"))?;
                self.deeper()?;
                let chained = Node::If(pipeline(condition)?, self.branches()?);
                self.depth -= 1;
                vec![chained]
            }
        };
        Ok(Branches { then, otherwise })
    }
}

/// Literal text, with the escapes that shells leave to the template.
fn push_text(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        nodes.push(Node::Text(text));
    }
}

/// The names before `:=` or `=`, and what follows.
fn declaration(text: &str) -> (Vec<String>, &str) {
    let none = (Vec::new(), text);
    if !text.starts_with('$') {
        return none;
    }
    let Some((names, rest)) = text.split_once(":=").or_else(|| text.split_once('=')) else {
        return none;
    };
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let fits = |name: &&str| {
        let letters = name.strip_prefix('$');
        letters.is_some_and(|name| name.chars().all(is_letter))
    };
    if names.len() > 2 || !names.iter().all(fits) {
        return none;
    }
    (names.into_iter().map(str::to_owned).collect(), rest.trim())
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn pipeline(text: &str) -> anyhow::Result<Pipeline> {
    let mut words = Words {
        rest: text,
        depth: 0,
    };
    let pipeline = words
        .pipeline()
        .with_context(|| format!("{{{{{text}}}}}"))?;
    if !words.rest.is_empty() {
        bail!("{{{{{text}}}}}: a ) without its (");
    }
    Ok(pipeline)
}

struct Words<'a> {
    rest: &'a str,
    depth: usize,
}

impl Words<'_> {
    fn pipeline(&mut self) -> anyhow::Result<Pipeline> {
        let mut calls = Vec::new();
        loop {
            calls.push(self.call()?);
            match self.rest.strip_prefix('|') {
                Some(rest) => self.rest = rest,
                None => return Ok(calls),
            }
        }
    }

    fn call(&mut self) -> anyhow::Result<Call> {
        let mut terms = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                break;
            }
            terms.push(self.term()?);
        }
        if terms.is_empty() {
            bail!("a value is missing");
        }
        let head = terms.remove(0);
        if !matches!(head, Term::Function(_)) && !terms.is_empty() {
            bail!("what comes first is no function, and takes no arguments");
        }
        Ok(Call {
            head,
            arguments: terms,
        })
    }

    fn term(&mut self) -> anyhow::Result<Term> {
        let first = self.rest.chars().next().unwrap_or_default();
        match first {
            '.' => Ok(Term::Field(self.fields()?)),
            '$' => {
                let name = self.take(1, is_letter);
                Ok(Term::Variable(name, self.fields()?))
            }
            '(' => {
                self.depth += 1;
                if self.depth > DEPTH {
                    bail!("its parentheses are nested too deeply");
                }
                self.rest = &self.rest[1..];
                let inner = self.pipeline()?;
                let after = self.rest.strip_prefix(')').context("a ( without its )")?;
                self.rest = after;
                self.depth -= 1;
                Ok(Term::Group(inner, self.fields()?))
            }
            '"' | '`' => Ok(Term::Literal(Value::String(self.string(first)?))),
            '-' | '0'..='9' => {
                let text = self.take(1, |letter| letter.is_ascii_digit() || letter == '.');
                let number = serde_json::from_str(&text);
                Ok(Term::Literal(
                    number.with_context(|| format!("{text} is no number"))?,
                ))
            }
            _ if is_letter(first) => {
                let name = self.take(0, is_letter);
                Ok(match name.as_str() {
                    "true" => Term::Literal(Value::Bool(true)),
                    "false" => Term::Literal(Value::Bool(false)),
                    "nil" => Term::Literal(Value::Null),
                    _ => Term::Function(name),
                })
            }
            _ => bail!("{first:?} is not understood"),
        }
    }

    /// `.A.B`, `.`, or nothing.
    fn fields(&mut self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            let name = self.take(0, |letter| is_letter(letter) || letter == '-');
            if name.is_empty() && (!names.is_empty() || self.rest.starts_with('.')) {
                bail!("a field's name is missing");
            }
            if !name.is_empty() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn take(&mut self, sure: usize, fits: impl Fn(char) -> bool) -> String {
        let more = &self.rest[sure..];
        let end = more.find(|letter| !fits(letter)).unwrap_or(more.len());
        let (word, rest) = self.rest.split_at(sure + end);
        self.rest = rest;
        word.to_owned()
    }

    fn string(&mut self, quote: char) -> anyhow::Result<String> {
        let mut escaped = false;
        for (at, letter) in self.rest.char_indices().skip(1) {
            match letter {
                _ if escaped => escaped = false,
                '\\' if quote == '"' => escaped = true,
                _ if letter == quote => {
                    let text = &self.rest[..=at];
                    self.rest = &self.rest[at + 1..];
                    return if quote == '`' {
                        Ok(text[1..at].to_owned())
                    } else {
                        // Go's escapes that people use are JSON's.
                        serde_json::from_str(text).with_context(|| format!("the text {text}"))
                    };
                }
                _ => {}
            }
        }
        bail!("a quote without its end")
    }
}
