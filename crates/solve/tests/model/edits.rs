//! What people do between two builds.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::random::{FILES, VALUES, ignores, modes, names, nodes, steps, texts};
use crate::world::{BASES, File, Node, Step, Tree, World, put, remove};

/// A change, or a build of the same with other options.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Of the context.
    File(FileEdit),
    /// Of the named context.
    Extra(FileEdit),
    BuildArg(&'static str, Option<&'static str>),
    Global(&'static str, Option<&'static str>),
    Ignore(Vec<&'static str>),
    /// `base` is another image from now on.
    Base,
    Insert(Index, Index, Step),
    Replace(Index, Index, Step),
    Remove(Index, Index),
    /// A step changes places with the one below.
    Swap(Index, Index),
    /// Nothing changes, but earlier results are not used: of no step, or of the steps of one stage.
    Anew(Option<Index>),
}

#[derive(Debug, Clone)]
pub(crate) enum FileEdit {
    Put(&'static str, Node),
    Bytes(Index, &'static str),
    Mode(Index, u32),
    Owner(Index, u32),
    Touch(Index, u64),
    Xattr(Index, Option<&'static str>),
    Remove(Index),
    Rename(Index, &'static str),
    Hardlink(Index, &'static str),
}

pub(crate) fn edits() -> impl Strategy<Value = Edit> {
    let value = || proptest::option::weighted(0.8, select(VALUES));
    let place = || (any::<Index>(), any::<Index>());
    prop_oneof![
        8 => file_edits().prop_map(Edit::File),
        1 => file_edits().prop_map(Edit::Extra),
        2 => (names(), value()).prop_map(|(name, value)| Edit::BuildArg(name, value)),
        1 => (names(), value()).prop_map(|(name, value)| Edit::Global(name, value)),
        1 => ignores().prop_map(Edit::Ignore),
        1 => Just(Edit::Base),
        2 => (place(), steps()).prop_map(|((stage, at), step)| Edit::Insert(stage, at, step)),
        2 => (place(), steps()).prop_map(|((stage, at), step)| Edit::Replace(stage, at, step)),
        1 => place().prop_map(|(stage, at)| Edit::Remove(stage, at)),
        1 => place().prop_map(|(stage, at)| Edit::Swap(stage, at)),
        1 => proptest::option::of(any::<Index>()).prop_map(Edit::Anew),
    ]
}

fn file_edits() -> impl Strategy<Value = FileEdit> {
    let at = || any::<Index>();
    let path = || select(FILES);
    prop_oneof![
        4 => (at(), texts()).prop_map(|(at, text)| FileEdit::Bytes(at, text)),
        2 => (path(), nodes()).prop_map(|(path, node)| FileEdit::Put(path, node)),
        1 => (at(), modes()).prop_map(|(at, mode)| FileEdit::Mode(at, mode)),
        1 => (at(), 0..2_u32).prop_map(|(at, owner)| FileEdit::Owner(at, owner)),
        1 => (at(), 1_u64..9).prop_map(|(at, time)| FileEdit::Touch(at, 1_000_000 * time)),
        1 => (at(), select(&[None, Some("x"), Some("y")][..])).prop_map(|(at, value)| FileEdit::Xattr(at, value)),
        1 => at().prop_map(FileEdit::Remove),
        2 => (at(), path()).prop_map(|(at, path)| FileEdit::Rename(at, path)),
        1 => (at(), path()).prop_map(|(at, path)| FileEdit::Hardlink(at, path)),
    ]
}

impl Edit {
    pub(crate) fn apply(&self, world: &mut World) {
        let steps_of = |world: &mut World, stage: &Index| {
            let stage = stage.index(world.stages.len());
            std::mem::take(&mut world.stages[stage].steps)
        };
        match self {
            Self::File(edit) => edit.apply(&mut world.files),
            Self::Extra(edit) => edit.apply(&mut world.extra),
            Self::BuildArg(name, Some(value)) => drop(world.build_args.insert(name, value)),
            Self::BuildArg(name, None) => drop(world.build_args.remove(name)),
            Self::Global(name, Some(value)) => drop(world.globals.insert(name, value)),
            Self::Global(name, None) => drop(world.globals.remove(name)),
            Self::Ignore(lines) => world.ignore.clone_from(lines),
            Self::Base => world.base = (world.base + 1) % BASES,
            Self::Anew(_) => {}
            Self::Insert(stage, at, _)
            | Self::Replace(stage, at, _)
            | Self::Remove(stage, at)
            | Self::Swap(stage, at) => {
                let mut steps = steps_of(world, stage);
                self.change(&mut steps, *at);
                let stage = stage.index(world.stages.len());
                world.stages[stage].steps = steps;
            }
        }
    }

    fn change(&self, steps: &mut Vec<Step>, at: Index) {
        if let Self::Insert(_, _, step) = self {
            steps.insert(at.index(steps.len() + 1), step.clone());
            return;
        }
        if steps.is_empty() {
            return;
        }
        let at = at.index(steps.len());
        match self {
            Self::Replace(_, _, step) => steps[at] = step.clone(),
            Self::Remove(..) => drop(steps.remove(at)),
            Self::Swap(..) if at + 1 < steps.len() => steps.swap(at, at + 1),
            _ => {}
        }
    }
}

impl FileEdit {
    fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Put(path, node) => put(tree, path, node.clone()),
            Self::Bytes(at, text) => change(tree, *at, |file| file.text = text),
            Self::Mode(at, mode) => change(tree, *at, |file| file.mode = *mode),
            Self::Owner(at, owner) => change(tree, *at, |file| file.owner = *owner),
            Self::Touch(at, seconds) => change(tree, *at, |file| file.seconds = *seconds),
            Self::Xattr(at, value) => change(tree, *at, |file| file.xattr = *value),
            Self::Remove(at) => {
                if let Some(path) = pick(tree, *at, |_| true) {
                    remove(tree, &path);
                }
            }
            Self::Rename(at, to) => {
                if let Some(path) = pick(tree, *at, is_file)
                    && path != *to
                    && let Some(Node::File(file)) = tree.get(&path).cloned()
                {
                    remove(tree, &path);
                    put(tree, to, Node::File(file));
                }
            }
            Self::Hardlink(at, to) => {
                if let Some(path) = pick(tree, *at, is_file) {
                    put(tree, to, Node::Hardlink(path));
                }
            }
        }
    }
}

fn is_file(node: &Node) -> bool {
    matches!(node, Node::File(_))
}

fn pick(tree: &Tree, at: Index, wanted: impl Fn(&Node) -> bool) -> Option<String> {
    let paths: Vec<&String> = tree
        .iter()
        .filter(|(_, node)| wanted(node))
        .map(|(path, _)| path)
        .collect();
    (!paths.is_empty()).then(|| paths[at.index(paths.len())].clone())
}

fn change(tree: &mut Tree, at: Index, how: impl FnOnce(&mut File)) {
    if let Some(path) = pick(tree, at, is_file)
        && let Some(Node::File(file)) = tree.get_mut(&path)
    {
        how(file);
    }
}
