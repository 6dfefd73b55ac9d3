//! The key of a COPY, an ADD or a WORKDIR.

use rbuild_plan::{FileAction, FileOperation, Mode, Owner, Parents, Unpack, Wildcard};

use crate::{Chain, Preimage};

/// How copies are made. It changes when the same operation on the same contents is to give another layer: what was made by
/// the older rules is then no hit any more.
const RULES: &str = "2";

/// What a copy action reads, as its key sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceContent {
    /// The action reads no tree.
    Nothing,
    /// Digest of the selected entries, their names under the destination included.
    Selection(String),
    /// For a fast key: the chain of the tree and the path in it, whatever they hold.
    Chain(Chain),
}

/// Everything that `operation` depends on. `contents` has one element for each action, in order.
///
/// The path of a source is not in it (the selection carries the names that matter); the platform neither, so a
/// copy is shared across platforms.
pub fn file_preimage(
    operation: &FileOperation,
    base: Option<Chain>,
    contents: &[SourceContent],
) -> Preimage {
    let mut preimage = Preimage::new("file");
    preimage.push("rules", RULES);
    preimage.push("base", base.map_or_else(String::new, |base| base.hex()));
    for (action, content) in operation.actions.iter().zip(contents) {
        push_action(&mut preimage, action, content);
    }
    preimage
}

fn push_action(preimage: &mut Preimage, action: &FileAction, content: &SourceContent) {
    match action {
        FileAction::Copy(copy) => {
            preimage.push("copy to", &copy.destination);
            preimage.push("owner", owner(&copy.owner));
            preimage.push("mode", mode(&copy.mode));
            preimage.push(
                "parents",
                match copy.parents {
                    Parents::Dropped => "dropped",
                    Parents::Kept => "kept",
                },
            );
            preimage.push(
                "unpack",
                match copy.unpack {
                    Unpack::Never => "never",
                    Unpack::Archives => "archives",
                },
            );
            for pattern in &copy.excludes {
                preimage.push("exclude", pattern);
            }
            match content {
                SourceContent::Nothing => {}
                SourceContent::Selection(digest) => {
                    preimage.push("source", digest);
                }
                SourceContent::Chain(chain) => {
                    preimage.push("tree", chain.hex());
                    preimage.push("path", &copy.source);
                    preimage.push("wildcard", wildcard(copy.wildcard));
                }
            }
        }
        FileAction::MakeDirectory { path, mode, owner } => {
            preimage.push("directory", path);
            preimage.push("owner", self::owner(owner));
            preimage.push("mode", format!("{mode:o}"));
        }
        FileAction::MakeFile {
            path,
            name,
            data,
            mode,
            owner,
        } => {
            preimage.push("file", path);
            preimage.push("name", name);
            preimage.push("owner", self::owner(owner));
            preimage.push("mode", self::mode(mode));
            preimage.push("data", data);
        }
    }
}

const fn wildcard(wildcard: Wildcard) -> &'static str {
    match wildcard {
        Wildcard::Literal => "literal",
        Wildcard::Pattern => "pattern",
    }
}

fn owner(owner: &Owner) -> String {
    match owner {
        Owner::Source => "source".to_owned(),
        Owner::Ids { uid, gid } => format!("{uid}:{gid}"),
        Owner::Named(name) => format!("named {name}"),
    }
}

fn mode(mode: &Mode) -> String {
    match mode {
        Mode::Source => "source".to_owned(),
        Mode::Octal(bits) => format!("{bits:o}"),
        Mode::Symbolic(text) => format!("symbolic {text}"),
    }
}

#[cfg(test)]
mod tests {
    use rbuild_plan::{CopyAction, Input};

    use super::*;

    fn copy(source: &str) -> CopyAction {
        CopyAction {
            from: Input(0),
            source: source.into(),
            destination: "/app/".into(),
            owner: Owner::Ids { uid: 0, gid: 0 },
            mode: Mode::Source,
            parents: Parents::Dropped,
            excludes: vec!["*.md".into()],
            unpack: Unpack::Never,
            wildcard: Wildcard::Literal,
        }
    }

    fn operation(copy: CopyAction) -> FileOperation {
        FileOperation {
            base: None,
            actions: vec![
                FileAction::Copy(copy),
                FileAction::MakeDirectory {
                    path: "/work".into(),
                    mode: 0o755,
                    owner: Owner::Named("app".into()),
                },
                FileAction::MakeFile {
                    path: "/etc/motd".into(),
                    name: "EOF".into(),
                    data: "hello".into(),
                    mode: Mode::Symbolic("u=rw".into()),
                    owner: Owner::Source,
                },
            ],
        }
    }

    fn key(copy: CopyAction, content: SourceContent) -> String {
        let contents = [content, SourceContent::Nothing, SourceContent::Nothing];
        file_preimage(&operation(copy), None, &contents)
            .key()
            .to_string()
    }

    fn selected(copy: CopyAction) -> String {
        key(copy, SourceContent::Selection("00".into()))
    }

    #[test]
    fn the_key_of_a_copy_stays_the_same_across_versions_of_the_program() {
        assert_eq!(
            selected(copy("/src")),
            "7d61bfed86abf72fd76c701589c277bff3a452270c1f7617af53f2bd1d99fa3b"
        );
    }

    #[test]
    fn where_the_same_contents_come_from_does_not_count() {
        assert_eq!(selected(copy("/src")), selected(copy("/other")));
    }

    #[test]
    fn how_they_are_placed_counts() {
        let changes: [fn(&mut CopyAction); 6] = [
            |copy| copy.destination = "/app".into(),
            |copy| copy.owner = Owner::Ids { uid: 1, gid: 0 },
            |copy| copy.mode = Mode::Octal(0o755),
            |copy| copy.parents = Parents::Kept,
            |copy| copy.excludes.clear(),
            |copy| copy.unpack = Unpack::Archives,
        ];
        let plain = selected(copy("/src"));
        for (number, change) in changes.iter().enumerate() {
            let mut altered = copy("/src");
            change(&mut altered);
            assert_ne!(selected(altered), plain, "change {number}");
        }
    }

    #[test]
    fn a_base_without_layers_is_not_the_same_as_no_base() {
        let none = file_preimage(&operation(copy("/src")), None, &[]).key();
        let empty = file_preimage(&operation(copy("/src")), Some(Chain::of(&[])), &[]).key();
        assert_ne!(none, empty);
    }

    #[test]
    fn before_contents_are_known_the_path_and_its_kind_count() {
        let fast = |copy| key(copy, SourceContent::Chain(Chain::of(&[])));
        let pattern = CopyAction {
            wildcard: Wildcard::Pattern,
            ..copy("/src")
        };
        assert_ne!(fast(copy("/src")), fast(copy("/other")));
        assert_ne!(
            fast(copy("/src")),
            fast(pattern),
            "only one of them must match"
        );
    }
}
