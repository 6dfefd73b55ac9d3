//! The key of a COPY, an ADD or a WORKDIR.

use rbuild_plan::{FileAction, FileOperation, Mode, Owner, Parents, Unpack};

use crate::{Chain, Preimage};

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
                    preimage.push("tree", format!("{} {}", chain.hex(), copy.source));
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
