//! What a layer's directory holds, read plainly: nothing of the code under test is asked.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

const OPAQUE: &str = "trusted.overlay.opaque";

/// One line for each name, sorted: type, mode, owner, bytes, extended attributes, names that share a file; no times.
pub(crate) fn dump(directory: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    let mut shared = HashMap::new();
    below(directory, "", &mut lines, &mut shared)?;
    Ok(lines.join("\n"))
}

fn below(
    directory: &Path,
    prefix: &str,
    lines: &mut Vec<String>,
    shared: &mut HashMap<u64, String>,
) -> io::Result<()> {
    let mut children: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let at = child.path();
        let path = format!("{prefix}/{}", child.file_name().to_string_lossy());
        let meta = fs::symlink_metadata(&at)?;
        let kind = meta.file_type();
        let what = if kind.is_dir() {
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("to {}", fs::read_link(&at)?.display())
        } else if kind.is_file() {
            let bytes = fs::read(&at)?;
            let first = shared.entry(meta.ino()).or_insert_with(|| path.clone());
            let text = String::from_utf8(bytes)
                .unwrap_or_else(|error| format!("{:?}", blake3::hash(error.as_bytes())));
            format!("file {first} {text:?}")
        } else if kind.is_char_device() && meta.rdev() == 0 {
            "gone".to_owned()
        } else {
            format!("{kind:?} {}", meta.rdev())
        };
        let mode = if kind.is_symlink() {
            0
        } else {
            meta.mode() & 0o7777
        };
        lines.push(format!(
            "{path} {mode:o} {}:{} {what}{}",
            meta.uid(),
            meta.gid(),
            xattrs(&at)?
        ));
        if kind.is_dir() {
            below(&at, &path, lines, shared)?;
        }
    }
    Ok(())
}

fn xattrs(at: &Path) -> io::Result<String> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(at, &mut names)?;
    let mut found = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = String::from_utf8_lossy(name).into_owned();
        if name.starts_with("trusted.overlay.") && name != OPAQUE {
            continue;
        }
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(at, name.as_str(), &mut value)?;
        value.truncate(length);
        let value = std::ffi::OsStr::from_bytes(&value)
            .to_string_lossy()
            .into_owned();
        found.push(format!(" {name}={value:?}"));
    }
    found.sort();
    Ok(found.concat())
}
