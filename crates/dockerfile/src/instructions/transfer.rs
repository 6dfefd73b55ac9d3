//! COPY and ADD: flags, sources, destination; sources may be heredocs.

use std::collections::HashMap;

use super::list;
use crate::flags::{Flags, Known, Takes};
use crate::heredoc::HeredocWord;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Add, Copy, CopySource, Diagnostic, Heredoc, Span, Transfer, Word};

const COPY_FLAGS: Known = &[
    ("from", Takes::Value),
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
    ("exclude", Takes::Values),
];

const ADD_FLAGS: Known = &[
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("exclude", Takes::Values),
    ("checksum", Takes::Value),
    ("keep-git-dir", Takes::Bool),
    ("unpack", Takes::Bool),
];

/// Parses COPY.
pub(super) fn copy(statement: &mut Statement<'_, '_>, sink: &mut Sink) -> Option<Copy> {
    let mut flags = Flags::parse(statement, COPY_FLAGS, sink);
    let from = flags.value("from");
    let parents = flags.bool("parents");
    let transfer = transfer("COPY", flags, statement, sink)?;
    Some(Copy {
        transfer,
        from,
        parents,
    })
}

/// Parses ADD.
pub(super) fn add(statement: &mut Statement<'_, '_>, sink: &mut Sink) -> Option<Add> {
    let mut flags = Flags::parse(statement, ADD_FLAGS, sink);
    let checksum = flags.value("checksum");
    let keep_git_dir = flags.bool("keep-git-dir");
    let unpack = flags.bool("unpack");
    let transfer = transfer("ADD", flags, statement, sink)?;
    Some(Add {
        transfer,
        checksum,
        keep_git_dir,
        unpack,
    })
}

fn transfer(
    keyword: &str,
    mut flags: Flags,
    statement: &mut Statement<'_, '_>,
    sink: &mut Sink,
) -> Option<Transfer> {
    let mut words = list(statement, sink)?;
    let destination = words.pop().filter(|_| !words.is_empty());
    let Some(destination) = destination else {
        let message = format!(
            "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        );
        statement.error(sink, "missing-argument", message);
        return None;
    };
    if HeredocWord::parse(&destination.value).is_some() {
        let message = format!("{keyword} cannot accept a heredoc as a destination");
        sink.push(Diagnostic::error(
            "heredoc-destination",
            message,
            destination.span,
        ));
        return None;
    }
    let heredocs = std::mem::take(&mut statement.heredocs);
    Some(Transfer {
        sources: sources(words, heredocs),
        destination,
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.bool("link"),
        excludes: flags.values("exclude"),
    })
}

/// Gives the sources that are heredocs their bodies; of two with one name the later body counts.
fn sources(words: Vec<Word>, heredocs: Vec<Heredoc>) -> Vec<CopySource> {
    let bodies: HashMap<String, Heredoc> = heredocs
        .into_iter()
        .map(|heredoc| (heredoc.name.value.clone(), heredoc))
        .collect();
    let source = |word: Word| {
        let Some(heredoc) = HeredocWord::parse(&word.value) else {
            return CopySource::Path(word);
        };
        let written = bodies.get(&heredoc.name).map_or_else(
            || Word::new(String::new(), Span::new(word.span.end, word.span.end)),
            |body| Word::new(body.written.clone(), body.body.span),
        );
        let name = Word::new(heredoc.name.clone(), word.span);
        CopySource::Heredoc(heredoc.with_body(name, written))
    };
    words.into_iter().map(source).collect()
}
