//! COPY and ADD: sources of every kind become actions of one file operation.
//!
//! ```text
//! path      → Copy from the context, a stage or an image
//! URL       → Http vertex, Copy of its one file
//! git URL   → Git vertex, Copy of the checkout
//! heredoc   → MakeFile
//! --link    → the file operation stands on nothing, and a Merge puts it on top
//! ```

mod sources;

use std::fmt::Write as _;

use rbuild_dockerfile::{Add, Copy, CopySource, Expansion, Heredoc, Transfer, Word};

use super::{Layer, Outcome, Step, owner};
use crate::go;
use crate::stage::Tree;
use crate::{
    FileAction, FileOperation, Input, Mode, Operation, Owner, Parents, Vertex, VertexId, paths,
    words,
};

/// The mode of heredoc files.
const HEREDOC_MODE: u32 = 0o644;

/// COPY or ADD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Copy,
    Add,
}

/// What all sources of one instruction share, expanded.
struct Shared<'w> {
    verb: Verb,
    destination: String,
    chown: Option<Owner>,
    /// As written, expanded.
    chown_text: String,
    chmod: Option<Mode>,
    chmod_text: String,
    excludes: Vec<String>,
    parents: Parents,
    /// `COPY --from=`: its tree and the word.
    from: Option<(VertexId, &'w Word)>,
    /// `--checksum=`, expanded.
    checksum: Option<String>,
    keep_git_dir: Option<bool>,
    unpack: Option<bool>,
    name: String,
}

/// The operation as it grows: actions, and the trees that they read.
#[derive(Default)]
struct Actions {
    actions: Vec<FileAction>,
    trees: Vec<VertexId>,
}

impl Actions {
    /// The slot of `tree`, counted without the base.
    fn slot(&mut self, tree: VertexId) -> Input {
        let place = self.trees.iter().position(|&known| known == tree);
        let place = place.unwrap_or_else(|| {
            self.trees.push(tree);
            self.trees.len() - 1
        });
        Input(place as u32)
    }
}

impl Step<'_, '_, '_> {
    pub(super) fn copy(&mut self, copy: &Copy) -> Outcome<()> {
        let from = match (self.command.sources.first().copied().flatten(), &copy.from) {
            (Some(source), Some(word)) => {
                Some((self.source_tree(source, &word.value, word.span)?, word))
            }
            _ => None,
        };
        let parents = match &copy.parents {
            Some(flag) if flag.value => Parents::Kept,
            _ => Parents::Dropped,
        };
        let shared = Shared {
            parents,
            from,
            ..self.shared_options(Verb::Copy, &copy.transfer)?
        };
        self.transfer(&copy.transfer, shared)
    }

    pub(super) fn add(&mut self, add: &Add) -> Outcome<()> {
        let checksum = match &add.checksum {
            Some(word) => Some(self.expand(word)?).filter(|text| !text.is_empty()),
            None => None,
        };
        let shared = Shared {
            checksum,
            keep_git_dir: add.keep_git_dir.as_ref().map(|flag| flag.value),
            unpack: add.unpack.as_ref().map(|flag| flag.value),
            ..self.shared_options(Verb::Add, &add.transfer)?
        };
        self.transfer(&add.transfer, shared)
    }

    fn shared_options<'w>(&mut self, verb: Verb, transfer: &'w Transfer) -> Outcome<Shared<'w>> {
        let mut flag = |word: &Option<Word>| match word {
            Some(word) => self.expand(word),
            None => Ok(String::new()),
        };
        let chown_text = flag(&transfer.chown)?;
        let chmod_text = flag(&transfer.chmod)?;
        let chmod = match &transfer.chmod {
            Some(word) if !chmod_text.is_empty() => Some(
                mode(&chmod_text)
                    .map_err(|reason| self.mistake("invalid-chmod", reason, word.span))?,
            ),
            _ => None,
        };
        let chown = match &transfer.chown {
            Some(word) if !chown_text.is_empty() => Some(
                owner(&chown_text)
                    .map_err(|reason| self.mistake("invalid-owner", reason, word.span))?,
            ),
            _ => None,
        };
        let destination = self.expand(&transfer.destination)?;
        Ok(Shared {
            verb,
            destination,
            chown,
            chown_text,
            chmod,
            chmod_text,
            excludes: transfer
                .excludes
                .iter()
                .map(|word| word.value.clone())
                .collect(),
            parents: Parents::Dropped,
            from: None,
            checksum: None,
            keep_git_dir: None,
            unpack: None,
            name: String::new(),
        })
    }

    fn transfer(&mut self, transfer: &Transfer, mut shared: Shared<'_>) -> Outcome<()> {
        let title = self.title();
        let mut printed = opening(&shared);
        let written_destination = shared.destination.clone();
        shared.destination = paths::destination(&self.stage.state.cwd, &written_destination);
        shared.name = self.step_name(&title);
        self.check_checksum(transfer, &shared)?;
        let mut actions = Actions::default();
        let (files, heredocs): (Vec<_>, Vec<_>) = transfer
            .sources
            .iter()
            .partition(|source| matches!(source, CopySource::Path(_)));
        for source in files.into_iter().chain(heredocs) {
            let text = match source {
                CopySource::Path(word) => self.source(word, &shared, &mut actions)?,
                CopySource::Heredoc(heredoc) => self.heredoc(heredoc, &shared, &mut actions)?,
            };
            printed.push(' ');
            printed.push_str(&text);
        }
        let link = transfer.link.as_ref().is_some_and(|flag| flag.value);
        self.place_actions(transfer, &shared, actions, &title, link)?;
        self.commit(
            format!("{printed} {written_destination} # buildkit"),
            Layer::Made,
        );
        Ok(())
    }

    /// A file whose name and bytes stand in the Dockerfile.
    fn heredoc(
        &mut self,
        heredoc: &Heredoc,
        shared: &Shared<'_>,
        actions: &mut Actions,
    ) -> Outcome<String> {
        let name = &heredoc.name.value;
        let data = match heredoc.expansion {
            Expansion::Literal => heredoc.body.value.clone(),
            Expansion::Expanded => {
                let body = &heredoc.body;
                let expanded = rbuild_dockerfile::expand_raw(&body.value, &self.stage.state.env)
                    .map_err(|reason| {
                        words::mistake(&reason, &body.value, self.place(body.span))
                    })?;
                self.warn_undefined(&expanded.undefined, body.span);
                self.spend(
                    expanded.text.len().saturating_sub(body.value.len()),
                    body.span,
                )?;
                expanded.text
            }
        };
        actions.actions.push(FileAction::MakeFile {
            path: shared.destination.clone(),
            name: name.clone(),
            data,
            mode: shared.chmod.clone().unwrap_or(Mode::Octal(HEREDOC_MODE)),
            owner: shared
                .chown
                .clone()
                .unwrap_or(Owner::Ids { uid: 0, gid: 0 }),
        });
        Ok(format!("<<{name}"))
    }

    /// Adds the vertex, on top of the stage or beside it.
    fn place_actions(
        &mut self,
        transfer: &Transfer,
        shared: &Shared<'_>,
        actions: Actions,
        title: &str,
        link: bool,
    ) -> Outcome<()> {
        let base = self.layers();
        // A mode change may touch what lies below, so --link does not count with --chmod.
        let links = link && shared.chmod.is_none();
        let stands_on = if links { None } else { base };
        if stands_on.is_none()
            && let (Some(Owner::Named(name)), Some(word)) = (&shared.chown, &transfer.chown)
        {
            return Err(self.unknown_owner(name, word, links));
        }
        let operation = file_operation(actions.actions, stands_on);
        let inputs: Vec<_> = stands_on.into_iter().chain(actions.trees).collect();
        let mut vertex = self.vertex(operation, shared.name.clone(), self.cache_use());
        if stands_on.is_none() {
            // Nothing in it depends on the platform, so all platforms share it.
            vertex.platform.clone_from(&self.stage.build.own_platform);
        }
        let made = self.stage.plan.add(vertex, &inputs);
        let tree = match base {
            Some(base) if links => self.link(base, made, title),
            _ => made,
        };
        self.state().tree = Tree::Layers(tree);
        Ok(())
    }

    /// `base` with `top` put on it, whatever `base` holds.
    fn link(&mut self, base: VertexId, top: VertexId, title: &str) -> VertexId {
        // The copy and the link are one step.
        self.state().counter -= 1;
        let name = self.step_name(&format!("LINK {title}"));
        let vertex: Vertex = self.vertex(Operation::Merge, name, crate::CacheUse::Allowed);
        self.stage.plan.add(vertex, &[base, top])
    }

    fn unknown_owner(&self, name: &str, word: &Word, links: bool) -> rbuild_dockerfile::Diagnostic {
        let (why, help) = if links {
            (
                "--link does not look at the stage's /etc/passwd",
                "use numbers, or leave out --link",
            )
        } else {
            ("the stage is empty and has no /etc/passwd", "use numbers")
        };
        let message = format!("cannot look up the owner {}: {why}", go::quote(name));
        self.mistake("unknown-owner", message, word.span)
            .with_help(help)
    }
}

/// `COPY --parents --chown=… --chmod=…`, as history has it.
fn opening(shared: &Shared<'_>) -> String {
    let mut text = String::from(match shared.verb {
        Verb::Add => "ADD",
        Verb::Copy => "COPY",
    });
    if shared.parents == Parents::Kept {
        text.push_str(" --parents");
    }
    for (flag, value) in [("chown", &shared.chown_text), ("chmod", &shared.chmod_text)] {
        if !value.is_empty() {
            let _ = write!(text, " --{flag}={value}");
        }
    }
    text
}

/// The actions with their slots moved behind the base's, if there is one.
fn file_operation(mut actions: Vec<FileAction>, base: Option<VertexId>) -> Operation {
    if base.is_some() {
        for action in &mut actions {
            if let FileAction::Copy(copy) = action {
                copy.from.0 += 1;
            }
        }
    }
    Operation::File(FileOperation {
        base: base.map(|_| Input(0)),
        actions,
    })
}

/// `--chmod=`: octal up to 07777, or `chmod`'s symbols.
fn mode(text: &str) -> Result<Mode, String> {
    let looks_numeric = text.starts_with(|c: char| c.is_ascii_digit());
    if looks_numeric {
        return match u32::from_str_radix(text, 8) {
            Ok(bits) if bits <= 0o7777 => Ok(Mode::Octal(bits)),
            _ => Err(format!(
                "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            )),
        };
    }
    if text.split(',').all(is_symbolic_clause) {
        Ok(Mode::Symbolic(text.to_owned()))
    } else {
        Err(format!("invalid chmod parameter: '{text}'"))
    }
}

/// `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`
fn is_symbolic_clause(clause: &str) -> bool {
    let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    if !rest.starts_with(['-', '+', '=']) {
        return false;
    }
    rest.split(['-', '+', '=']).skip(1).all(|permissions| {
        matches!(permissions, "u" | "g" | "o") || permissions.chars().all(|c| "rwxXst".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chmod_takes_octal_and_symbols() {
        assert_eq!(mode("755"), Ok(Mode::Octal(0o755)));
        assert_eq!(mode("07777"), Ok(Mode::Octal(0o7777)));
        for good in ["u=rwX,go=rX", "a+x", "+x", "g=u", "u-w+x"] {
            assert_eq!(mode(good), Ok(Mode::Symbolic(good.to_owned())));
        }
        for bad in ["10000", "9", "u", "x+", "u=rwz", "755,u+x", "-1"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
