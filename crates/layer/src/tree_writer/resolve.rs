//! Names as archives and instructions give them → real paths inside the tree.

use super::tree::Tree;
use super::{Node, TreeWriter, missing_target};
use crate::error::{LayerError, Result};
use crate::index::entry::{EntryKind, Opacity};
use crate::index::path::{join, split};

/// As many symbolic links as the kernel follows in one path.
const MAX_LINKS: u32 = 40;

/// Longer paths are refused: deeper than anything that can be used, short enough to remember by the million.
const MAX_PATH_BYTES: usize = 64 * 1024;

/// `path` inside the root: relative, no empty names, `.` or `..`; what leads above the root stays there.
pub(super) fn clean(path: &[u8]) -> Result<Vec<u8>> {
    if path.len() > MAX_PATH_BYTES {
        return Err(LayerError::entry(&path[..256], "its path is too long"));
    }
    if path.contains(&0) {
        return Err(LayerError::entry(path, "its path holds a zero byte"));
    }
    let mut clean = Vec::with_capacity(path.len());
    for name in path.split(|&byte| byte == b'/') {
        push(&mut clean, name);
    }
    Ok(clean)
}

/// Appends one name as it was written.
fn push(path: &mut Vec<u8>, name: &[u8]) {
    match name {
        b"" | b"." => {}
        b".." => path.truncate(split(path).0.len()),
        name => {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
    }
}

impl TreeWriter {
    /// The real directory that the clean `path` leads to: symbolic links are followed inside the tree,
    /// missing directories made.
    pub(super) fn real_directory(&self, tree: &mut Tree, path: &[u8]) -> Result<Vec<u8>> {
        // Nearly always a directory that is there.
        if path.is_empty()
            || matches!(
                tree.get(path),
                Some(Node {
                    kind: EntryKind::Directory { .. },
                    ..
                })
            )
        {
            return Ok(path.to_vec());
        }
        let mut links = 0;
        let mut pending: Vec<Vec<u8>> = names(path);
        let mut real = Vec::new();
        while let Some(name) = pending.pop() {
            if name == b".." {
                real.truncate(split(&real).0.len());
                continue;
            }
            let next = join(&real, &name);
            match tree.get(&next).map(|node| &node.kind) {
                Some(EntryKind::Directory { .. }) => real = next,
                None => {
                    self.imply(tree, &next, Opacity::Merged)?;
                    real = next;
                }
                Some(EntryKind::Whiteout) => {
                    self.remove(tree, &next)?;
                    self.imply(tree, &next, Opacity::Opaque)?;
                    real = next;
                }
                Some(EntryKind::Symlink { target }) => {
                    links += 1;
                    follow(path, target, links, &mut real, &mut pending)?;
                }
                Some(_) => {
                    return Err(LayerError::entry(path, "a parent of it is not a directory"));
                }
            }
        }
        Ok(real)
    }

    /// The real path and the node of the clean `path`, which was written before; the last name is not
    /// followed.
    pub(super) fn find(&self, path: &[u8]) -> Result<(Vec<u8>, Node)> {
        let tree = self.tree();
        if let Some(node) = tree.get(path) {
            return Ok((path.to_vec(), node.clone()));
        }
        let mut links = 0;
        let mut pending = names(path);
        let mut real = Vec::new();
        while let Some(name) = pending.pop() {
            if name == b".." {
                real.truncate(split(&real).0.len());
                continue;
            }
            let next = join(&real, &name);
            match tree.get(&next) {
                None => return Err(missing_target(path)),
                Some(node) if pending.is_empty() => return Ok((next, node.clone())),
                Some(Node {
                    kind: EntryKind::Symlink { target },
                    ..
                }) => {
                    links += 1;
                    follow(path, target, links, &mut real, &mut pending)?;
                }
                Some(_) => real = next,
            }
        }
        Err(missing_target(path))
    }
}

/// Goes on at a link's target: relative to the directory that holds the link, or to the tree's root.
fn follow(
    path: &[u8],
    target: &[u8],
    links: u32,
    real: &mut Vec<u8>,
    pending: &mut Vec<Vec<u8>>,
) -> Result<()> {
    if links > MAX_LINKS {
        return Err(LayerError::entry(
            path,
            "it leads through too many symbolic links",
        ));
    }
    if target.starts_with(b"/") {
        real.clear();
    }
    pending.extend(names(target));
    Ok(())
}

/// The names in a path, last first.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .rev()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_above_the_root() -> Result<()> {
        for (given, expected) in [
            ("/etc/passwd", "etc/passwd"),
            ("../../etc", "etc"),
            ("a/../../b", "b"),
            ("./a//b/./c/", "a/b/c"),
            ("..", ""),
            ("./", ""),
        ] {
            assert_eq!(clean(given.as_bytes())?, expected.as_bytes(), "{given}");
        }
        Ok(())
    }
}
