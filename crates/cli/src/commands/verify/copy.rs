//! A copy of a directory that holds the same and looks as different as a checkout elsewhere does: other inodes, another
//! order, times of now.

use std::fs::FileType;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Copies the directory `from` to the new directory `to`. What is neither file nor directory nor link is left out, and so is
/// the directory `without`: the store, which the copy lies in.
pub(super) fn copy(from: &Path, to: &Path, without: &Path) -> anyhow::Result<()> {
    let identity = |path: &Path| {
        let stat = std::fs::symlink_metadata(path);
        stat.map(|stat| (stat.dev(), stat.ino()))
            .with_context(|| format!("failed to look at {}", path.display()))
    };
    let without = identity(&without.canonicalize()?)?;
    copy_directory(from, to, &|path| Ok(identity(path)? != without))
}

fn copy_directory(
    from: &Path,
    to: &Path,
    counts: &impl Fn(&Path) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let entry = |name: &str, path: &Path| format!("failed to {name} {}", path.display());
    std::fs::create_dir(to).with_context(|| entry("create", to))?;
    for (name, kind) in entries(from).with_context(|| entry("read", from))? {
        let (source, target) = (from.join(&name), to.join(&name));
        if kind.is_dir() {
            if counts(&source)? {
                copy_directory(&source, &target, counts)?;
            }
        } else if kind.is_symlink() {
            let link = std::fs::read_link(&source).with_context(|| entry("read", &source))?;
            symlink(link, &target).with_context(|| entry("create", &target))?;
        } else if kind.is_file() {
            std::fs::copy(&source, &target).with_context(|| entry("copy", &source))?;
        }
    }
    let mode = std::fs::metadata(from)?.permissions();
    std::fs::set_permissions(to, mode).with_context(|| entry("create", to))
}

/// The entries of a directory, the last name first.
fn entries(directory: &Path) -> std::io::Result<Vec<(PathBuf, FileType)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        all.push((PathBuf::from(entry.file_name()), entry.file_type()?));
    }
    all.sort_by(|one, other| other.0.cmp(&one.0));
    Ok(all)
}
