//! The files of an image, as `--output type=tar` gives them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: u64,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    /// Another name of this path.
    Hardlink(String),
    Other,
}

/// Paths without slashes at either end, and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Node>);

impl Tree {
    /// Reads a tar.
    pub(crate) fn read(path: &Path) -> Self {
        let file = std::fs::File::open(path).expect("a tar");
        let mut archive = tar::Archive::new(file);
        let mut nodes = BTreeMap::new();
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let path = String::from_utf8_lossy(&entry.path_bytes())
                .trim_matches('/')
                .to_owned();
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            nodes.insert(path, Node::read(&mut entry));
        }
        Self(nodes)
    }

    /// What is at a path.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> &Node {
        self.0
            .get(path)
            .unwrap_or_else(|| panic!("{path} is not among {:?}", self.paths()))
    }

    /// A file's text; hard links are followed.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        match &self.get(path).kind {
            Kind::File(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Kind::Hardlink(target) => self.text(target),
            other => panic!("{path} is {other:?}"),
        }
    }

    /// Whether there is something at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// All paths.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The paths below a folder, relative to it.
    pub(crate) fn below(&self, folder: &str) -> Vec<&str> {
        let prefix = format!("{folder}/");
        self.0
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix))
            .collect()
    }
}

impl Node {
    fn read(entry: &mut tar::Entry<'_, impl std::io::Read>) -> Self {
        let mut xattrs = BTreeMap::new();
        if let Ok(Some(extensions)) = entry.pax_extensions() {
            for extension in extensions.flatten() {
                if let Some(name) = extension
                    .key()
                    .ok()
                    .and_then(|key| key.strip_prefix("SCHILY.xattr."))
                {
                    xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
                }
            }
        }
        let link = entry
            .link_name_bytes()
            .map(|name| String::from_utf8_lossy(&name).into_owned())
            .unwrap_or_default();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).expect("a whole entry");
                Kind::File(bytes)
            }
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink(link),
            tar::EntryType::Link => Kind::Hardlink(link.trim_matches('/').to_owned()),
            _ => Kind::Other,
        };
        let header = entry.header();
        Self {
            kind,
            mode: header.mode().expect("a mode") & 0o7777,
            uid: header.uid().expect("an owner"),
            gid: header.gid().expect("a group"),
            mtime: header.mtime().expect("a time"),
            xattrs,
        }
    }
}
