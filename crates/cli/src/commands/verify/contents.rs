//! What is in a layer: its files in the order of the tar, and the bytes of a few of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use rbuild_image::{Digest, Digester};
use tar::{Archive, Entry};

/// Bytes of a file that are looked at to say where it differs.
const MAX_COMPARED_BYTES: u64 = 4 << 20;

/// The files of a layer.
pub(super) struct Contents {
    pub(super) files: BTreeMap<String, Facts>,
    /// Their paths, in order.
    pub(super) order: Vec<String>,
}

/// A file but for its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    kind: &'static str,
    mode: u32,
    owner: (u64, u64),
    modified: String,
    link: String,
    device: String,
    attributes: String,
    size: u64,
    pub(super) digest: Digest,
}

impl Contents {
    /// Reads the tar of a layer.
    pub(super) fn read(tar: impl Read) -> anyhow::Result<Self> {
        let mut contents = Self {
            files: BTreeMap::new(),
            order: Vec::new(),
        };
        for entry in Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = path(&entry);
            contents.order.push(path.clone());
            contents.files.insert(path, Facts::of(&mut entry)?);
        }
        Ok(contents)
    }
}

impl Facts {
    fn of(entry: &mut Entry<'_, impl Read>) -> anyhow::Result<Self> {
        let (mut times, mut attributes) = (None, Vec::new());
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                let value = String::from_utf8_lossy(extension.value_bytes()).into_owned();
                match extension.key() {
                    Ok("mtime") => times = Some(value),
                    Ok(key) if key.starts_with("SCHILY.xattr.") => {
                        attributes.push(format!("{key}={value:?}"));
                    }
                    _ => {}
                }
            }
        }
        attributes.sort();
        let header = entry.header();
        let modified = match times {
            Some(exact) => exact,
            None => header.mtime()?.to_string(),
        };
        let link = entry.link_name_bytes().unwrap_or_default();
        let device = match (header.device_major()?, header.device_minor()?) {
            (Some(major), Some(minor)) => format!("{major}:{minor}"),
            _ => String::new(),
        };
        let mut facts = Self {
            kind: kind(header.entry_type()),
            mode: header.mode()?,
            owner: (header.uid()?, header.gid()?),
            modified,
            link: String::from_utf8_lossy(&link).into_owned(),
            device,
            attributes: attributes.join(" "),
            size: entry.size(),
            digest: Digest::sha256_of(&[]),
        };
        let mut digester = Digester::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match entry.read(&mut buffer)? {
                0 => break,
                read => digester.update(&buffer[..read]),
            }
        }
        facts.digest = digester.finish();
        Ok(facts)
    }

    /// What differs besides the bytes: `mode 755 against 644`.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut all = Vec::new();
        let mut note = |what: &str, one: String, other: String| {
            if one != other {
                all.push(format!("{what} {one} against {other}"));
            }
        };
        let owner = |facts: &Self| format!("{}:{}", facts.owner.0, facts.owner.1);
        note("type", self.kind.to_owned(), other.kind.to_owned());
        note(
            "mode",
            format!("{:o}", self.mode),
            format!("{:o}", other.mode),
        );
        note("owner", owner(self), owner(other));
        note("link", self.link.clone(), other.link.clone());
        note("device", self.device.clone(), other.device.clone());
        note(
            "attributes",
            self.attributes.clone(),
            other.attributes.clone(),
        );
        note("modified", self.modified.clone(), other.modified.clone());
        if self.size != other.size {
            note("size", self.size.to_string(), other.size.to_string());
        }
        all
    }
}

fn kind(kind: tar::EntryType) -> &'static str {
    match kind {
        tar::EntryType::Regular | tar::EntryType::Continuous => "file",
        tar::EntryType::Directory => "directory",
        tar::EntryType::Symlink => "symbolic link",
        tar::EntryType::Link => "hard link",
        tar::EntryType::Char | tar::EntryType::Block => "device",
        tar::EntryType::Fifo => "pipe",
        _ => "something else",
    }
}

fn path(entry: &Entry<'_, impl Read>) -> String {
    String::from_utf8_lossy(&entry.path_bytes())
        .trim_end_matches('/')
        .to_owned()
}

/// The bytes of these files, of each as many as are compared.
pub(super) fn bytes(
    tar: impl Read,
    wanted: &BTreeSet<String>,
) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in Archive::new(tar).entries()? {
        let entry = entry?;
        let path = path(&entry);
        if wanted.contains(&path) {
            let mut bytes = Vec::new();
            entry.take(MAX_COMPARED_BYTES).read_to_end(&mut bytes)?;
            found.insert(path, bytes);
        }
    }
    Ok(found)
}
