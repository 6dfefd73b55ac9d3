//! A Dockerfile, its contexts and its arguments as values: what the model knows of a build.

use std::collections::BTreeMap;

/// Everything that a build is given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) files: Tree,
    /// The named context `extra`.
    pub(crate) extra: Tree,
    /// The lines of `.dockerignore`.
    pub(crate) ignore: Vec<&'static str>,
    pub(crate) build_args: BTreeMap<&'static str, &'static str>,
    /// ARGs before the first FROM.
    pub(crate) globals: BTreeMap<&'static str, &'static str>,
    pub(crate) stages: Vec<Stage>,
    /// Which of the base images `base` names.
    pub(crate) base: usize,
}

/// A context's files by their path.
pub(crate) type Tree = BTreeMap<String, Node>;

/// What stands under a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Directory {
        mode: u32,
    },
    File(File),
    Symlink(&'static str),
    /// Another name of a file.
    Hardlink(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) text: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    /// Set after each write: what is rewritten keeps its time unless it is touched.
    pub(crate) seconds: u64,
    pub(crate) xattr: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    pub(crate) from: From,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum From {
    Scratch,
    Base,
    /// An image with ONBUILD.
    Trigger,
    /// A stage above; the base image where there is none.
    Stage(Above),
}

/// One of the stages above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Above(pub(crate) u8);

impl Above {
    /// Which, of so many.
    pub(crate) fn index(self, count: usize) -> usize {
        usize::from(self.0) % count
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Copy(Copy),
    Heredoc {
        destination: &'static str,
        text: &'static str,
        chmod: Option<&'static str>,
    },
    Run(Run),
    Arg(&'static str, Option<Text>),
    Env(&'static str, Text),
    Workdir(Text),
    User(&'static str),
    /// Changes the config alone.
    Config(&'static str),
    OnBuild(Box<Step>),
}

/// A word with variables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Text {
    Plain(&'static str),
    /// `text${NAME}`
    With(&'static str, &'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Copy {
    pub(crate) from: CopyFrom,
    pub(crate) add: bool,
    pub(crate) sources: Vec<&'static str>,
    pub(crate) destination: Text,
    pub(crate) link: bool,
    pub(crate) chmod: Option<&'static str>,
    pub(crate) chown: Option<&'static str>,
    pub(crate) excludes: Vec<&'static str>,
    pub(crate) parents: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CopyFrom {
    Context,
    Extra,
    Image,
    /// A stage above; the context where there is none.
    Stage(Above),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) script: Script,
    pub(crate) mount: Option<Mount>,
    /// Written as a heredoc.
    pub(crate) heredoc: bool,
    /// A number that stands in the script and does nothing.
    pub(crate) idle: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mount {
    /// At /m.
    Bind(CopyFrom, &'static str),
    Cache,
    Tmpfs,
}

/// Commands that do the same each time: what they write depends on names, contents, modes and variables alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Script {
    Variables(&'static str),
    Concatenate(&'static str, &'static str),
    /// Different contents of one size give one result.
    Size(&'static str, &'static str),
    Constant(&'static str),
    Remove(&'static str),
    Replace(&'static str),
    Move(&'static str, &'static str),
    Chmod(&'static str),
    Chown(&'static str),
    Hardlink(&'static str, &'static str),
    Symlink(&'static str, &'static str),
    Attributes(&'static str, &'static str),
    Append(&'static str),
    Identity(&'static str),
    Xattr(&'static str),
    Touch(&'static str),
}

/// How many base images `base` may name.
pub(crate) const BASES: usize = 2;

impl File {
    pub(crate) fn of(text: &'static str, mode: u32) -> Self {
        Self {
            text,
            mode,
            owner: 0,
            seconds: 1_000_000,
            xattr: None,
        }
    }
}

/// Puts `node` at `path`: parents are made, and what stands in the way goes. A hard link to nothing is left out.
pub(crate) fn put(tree: &mut Tree, path: &str, node: Node) {
    if let Node::Hardlink(target) = &node {
        let is_file = matches!(tree.get(target), Some(Node::File(_)));
        if target == path || !is_file {
            return;
        }
    }
    let parents: Vec<String> = path
        .match_indices('/')
        .map(|(at, _)| path[..at].to_owned())
        .collect();
    if parents
        .iter()
        .any(|parent| !matches!(tree.get(parent), None | Some(Node::Directory { .. })))
    {
        return;
    }
    if !matches!(
        (tree.get(path), &node),
        (Some(Node::File(_)), Node::File(_))
    ) {
        remove(tree, path);
    }
    for parent in parents {
        tree.entry(parent)
            .or_insert(Node::Directory { mode: 0o755 });
    }
    tree.insert(path.to_owned(), node);
}

/// Takes `path` away with all below it; the first of a file's other names becomes the file.
pub(crate) fn remove(tree: &mut Tree, path: &str) {
    let below = format!("{path}/");
    let gone: Vec<String> = tree
        .keys()
        .filter(|key| *key == path || key.starts_with(&below))
        .cloned()
        .collect();
    for key in gone {
        let Some(Node::File(file)) = tree.remove(&key) else {
            continue;
        };
        let others: Vec<String> = tree
            .iter()
            .filter(|(_, node)| **node == Node::Hardlink(key.clone()))
            .map(|(other, _)| other.clone())
            .collect();
        if let Some((first, rest)) = others.split_first() {
            tree.insert(first.clone(), Node::File(file));
            for other in rest {
                tree.insert(other.clone(), Node::Hardlink(first.clone()));
            }
        }
    }
}
