//! The sources of COPY and ADD that are not heredocs.

use rbuild_dockerfile::{CopySource, Transfer, Word};
use rbuild_image::Digest;

use super::{Actions, Shared, Verb};
use crate::dispatch::{Outcome, Step};
use crate::git_url::{GitUrl, WebAddresses, check_git_checksum, parse};
use crate::go::quote;
use crate::lint::{hidden_source, rules};
use crate::{
    CopyAction, FileAction, GitDirectory, HttpSource, MainContext, Mode, Operation, Owner, Parents,
    Unpack, VertexId, Wildcard, paths,
};

/// The mode of a file that ADD fetches.
const FETCHED_MODE: u32 = 0o600;

/// The name of a fetched file whose URL has none.
const UNNAMED: &str = "__unnamed__";

impl Step<'_, '_, '_> {
    /// Adds what `word` names. Gives the text that history shows.
    pub(super) fn source(
        &mut self,
        word: &Word,
        shared: &Shared<'_>,
        actions: &mut Actions,
    ) -> Outcome<String> {
        let text = self.expand(word)?;
        // `--keep-git-dir` says that an address without `.git` is git's too.
        let web = match shared.keep_git_dir {
            Some(_) => WebAddresses::All,
            None => WebAddresses::WithSuffix,
        };
        match parse(&text, web) {
            Err(error) => {
                return Err(self.mistake("invalid-git-url", error.to_string(), word.span));
            }
            Ok(Some(git)) => self.git_source(git, word, shared, actions)?,
            Ok(None) if is_web(&text) => self.web_source(&text, word, shared, actions)?,
            Ok(None) => self.path_source(&text, word, shared, actions)?,
        }
        Ok(text)
    }

    /// `--checksum` is for one source from elsewhere.
    pub(super) fn check_checksum(&self, transfer: &Transfer, shared: &Shared<'_>) -> Outcome<()> {
        if shared.checksum.is_none() {
            return Ok(());
        }
        let [CopySource::Path(_)] = transfer.sources.as_slice() else {
            let message = "checksum can't be specified for multiple sources";
            return Err(self.mistake("invalid-checksum", message, self.origin));
        };
        Ok(())
    }

    fn git_source(
        &mut self,
        git: GitUrl,
        word: &Word,
        shared: &Shared<'_>,
        actions: &mut Actions,
    ) -> Outcome<()> {
        if shared.verb == Verb::Copy {
            let message = "source can't be a git ref for COPY";
            return Err(self
                .mistake("invalid-source", message, word.span)
                .with_help("use ADD"));
        }
        let mut source = git.source;
        let keep = match (shared.keep_git_dir, git.keep_git_dir) {
            (Some(flag), Some(query)) if flag != query => {
                let message = "inconsistent keep-git-dir configuration";
                return Err(self.mistake("invalid-git-url", message, word.span));
            }
            (flag, query) => query.or(flag),
        };
        if keep == Some(true) {
            source.git_directory = GitDirectory::Kept;
        }
        if let Some(wanted) = &shared.checksum {
            check_git_checksum(wanted)
                .map_err(|reason| self.mistake("invalid-checksum", reason, word.span))?;
            match &source.checksum {
                Some(known) if known != wanted => {
                    let message =
                        format!("checksum mismatch {} != {}", quote(wanted), quote(known));
                    return Err(self.mistake("invalid-checksum", message, word.span));
                }
                _ => source.checksum = Some(wanted.clone()),
            }
        }
        let tree = self.fetched(Operation::Git(source), shared.name.clone(), word.span)?;
        let copy = copy_action("/".to_owned(), shared, Owner::Ids { uid: 0, gid: 0 });
        push(actions, tree, copy);
        Ok(())
    }

    fn web_source(
        &mut self,
        url: &str,
        word: &Word,
        shared: &Shared<'_>,
        actions: &mut Actions,
    ) -> Outcome<()> {
        if shared.verb == Verb::Copy {
            let message = "source can't be a URL for COPY";
            return Err(self
                .mistake("invalid-source", message, word.span)
                .with_help("use ADD"));
        }
        let checksum = match &shared.checksum {
            Some(text) => {
                let digest = body_digest(text);
                Some(digest.map_err(|why| self.mistake("invalid-checksum", why, word.span))?)
            }
            None => None,
        };
        let file_name = web_name(url);
        let source = Operation::Http(HttpSource {
            url: url.to_owned(),
            checksum,
            file_name: file_name.clone(),
        });
        let tree = self.fetched(source, shared.name.clone(), word.span)?;
        let unpack = match shared.unpack {
            Some(true) => Unpack::Archives,
            _ => Unpack::Never,
        };
        let mut copy = copy_action(
            format!("/{file_name}"),
            shared,
            Owner::Ids { uid: 0, gid: 0 },
        );
        if unpack == Unpack::Never && shared.chmod.is_none() {
            copy.mode = Mode::Octal(FETCHED_MODE);
        }
        if unpack == Unpack::Archives {
            keep_archived(&mut copy, shared);
        }
        push(actions, tree, copy);
        Ok(())
    }

    fn path_source(
        &mut self,
        text: &str,
        word: &Word,
        shared: &Shared<'_>,
        actions: &mut Actions,
    ) -> Outcome<()> {
        if shared.checksum.is_some() {
            let message = "checksum requires HTTP(S) or Git sources";
            return Err(self.mistake("invalid-checksum", message, word.span));
        }
        let (tree, default_owner) = if let Some((tree, _)) = shared.from {
            (tree, Owner::Source)
        } else {
            let tree = self.context_tree(text, word, shared)?;
            let owner = match self.stage.build.options.main_context {
                MainContext::Archive => Owner::Source,
                _ => Owner::Ids { uid: 0, gid: 0 },
            };
            (tree, owner)
        };
        let source = match shared.parents {
            Parents::Dropped => paths::clamp(text),
            Parents::Kept => with_pivot(text),
        };
        let mut copy = copy_action(source, shared, default_owner);
        if paths::has_wildcards(text) {
            copy.wildcard = Wildcard::Pattern;
        }
        let unpacks = shared.unpack.unwrap_or(shared.verb == Verb::Add);
        if unpacks {
            keep_archived(&mut copy, shared);
        }
        push(actions, tree, copy);
        Ok(())
    }

    /// The build context, or an empty tree where nothing of it is needed to exist.
    fn context_tree(&mut self, text: &str, word: &Word, shared: &Shared<'_>) -> Outcome<VertexId> {
        self.lint_ignored(text, word, shared);
        if let Some(context) = self.context(word.span)? {
            return Ok(context);
        }
        debug_assert_eq!(self.stage.build.options.main_context, MainContext::Absent);
        if paths::has_wildcards(text) || paths::clamp(text) == "/" {
            return Ok(self.empty_tree());
        }
        let message = format!("no build context to take {} from", quote(text));
        Err(self.mistake("no-context", message, word.span).with_help(
            "the Dockerfile came on standard input; give a directory as context and the file with `-f -`",
        ))
    }

    fn lint_ignored(&mut self, text: &str, word: &Word, shared: &Shared<'_>) {
        let Some(ignored) = &self.stage.build.options.ignored else {
            return;
        };
        if let Some(source) = hidden_source(text, ignored) {
            let verb = match shared.verb {
                Verb::Copy => "Copy",
                Verb::Add => "Add",
            };
            let warning = rules::copy_ignored_file(verb, &source, word.span);
            self.warn(warning);
        }
    }
}

/// `--checksum` of a file from the web.
fn body_digest(text: &str) -> Result<Digest, String> {
    let known = ["sha256", "sha384", "sha512"];
    match text.split_once(':') {
        None => Err(format!("invalid checksum digest format: {}", quote(text))),
        Some((algorithm, _)) if !known.contains(&algorithm) => Err(format!(
            "unsupported digest algorithm: {}",
            quote(algorithm)
        )),
        Some(_) => text.parse().map_err(|error| format!("{error}")),
    }
}

fn push(actions: &mut Actions, tree: VertexId, mut copy: CopyAction) {
    copy.from = actions.slot(tree);
    actions.actions.push(FileAction::Copy(copy));
}

fn copy_action(source: String, shared: &Shared<'_>, default_owner: Owner) -> CopyAction {
    CopyAction {
        from: crate::Input(0),
        source,
        destination: shared.destination.clone(),
        owner: shared.chown.clone().unwrap_or(default_owner),
        mode: shared.chmod.clone().unwrap_or(Mode::Source),
        parents: shared.parents,
        excludes: shared.excludes.clone(),
        unpack: Unpack::Never,
        wildcard: Wildcard::Literal,
    }
}

/// Archives are unpacked, and what is in them keeps its owners but for `--chown`. Plain files have root as the owner in
/// their tree already.
fn keep_archived(copy: &mut CopyAction, shared: &Shared<'_>) {
    copy.unpack = Unpack::Archives;
    copy.owner = shared.chown.clone().unwrap_or(Owner::Source);
}

fn is_web(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// `a/./b`, each side clamped; no pivot means the root.
fn with_pivot(text: &str) -> String {
    match text.split_once("/./") {
        Some((pivot, rest)) => {
            let pivot = paths::clamp(pivot);
            let rest = paths::clamp(rest);
            format!("{}/.{rest}", pivot.trim_end_matches('/'))
        }
        None => paths::clamp(text),
    }
}

/// The last component of the URL's path.
fn web_name(url: &str) -> String {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let path = address.split_once('/').map_or("", |(_, path)| path);
    let path = crate::git_url::decoded_path(path);
    match paths::base_name(&path) {
        "" | "." | ".." => UNNAMED.to_owned(),
        name if name.contains('\0') => UNNAMED.to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetched_file_is_named_by_its_url() {
        assert_eq!(web_name("https://host/a/b.tar.gz?x=/y"), "b.tar.gz");
        assert_eq!(web_name("https://host/a/b%20c#frag"), "b c");
        assert_eq!(web_name("https://host/a%2Fb"), "b");
        assert_eq!(web_name("https://host/"), UNNAMED);
        assert_eq!(web_name("https://host"), UNNAMED);
    }

    #[test]
    fn a_pivot_survives_clamping() {
        assert_eq!(with_pivot("a/./b/../c"), "/a/./c");
        assert_eq!(with_pivot("./a/b"), "/a/b");
        assert_eq!(with_pivot("../x/./y"), "/x/./y");
        assert_eq!(with_pivot("/./y"), "/./y");
    }
}
