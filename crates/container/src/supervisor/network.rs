//! A container that runs comes to a network or leaves one.

use std::io::{Read as _, Seek as _, Write as _};
use std::{fs, io};

use rbuild_network::Endpoint;
use rbuild_store::Store;
use rbuild_sys::openat2;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat};

use super::Supervisor;
use super::life::Life;
use crate::hosts::{NameFiles, host_line, resolv_conf};
use crate::network_change::{NetworkChange, keep};
use crate::spec::hostname;
use crate::{ContainerError, NetworkRecord};

impl Supervisor {
    pub(super) fn change_network(&mut self, change: &NetworkChange) -> Result<(), ContainerError> {
        let before = self.network.record().cloned();
        if !self.network.change(change, &self.directory)? {
            return Ok(());
        }
        if let NetworkChange::Rename(_) = change {
            return Ok(());
        }
        let store = Store::open(&self.root)?;
        keep(&store, &self.id, change)?;
        change.note(self.id.short(), &mut self.config.options)?;
        self.rewrite_names(before.as_ref())
            .map_err(ContainerError::Names)
    }

    /// Has the container's own files tell where it is now. Between two runs there are none.
    fn rewrite_names(&self, before: Option<&NetworkRecord>) -> io::Result<()> {
        if !matches!(self.life, Life::Running(_)) {
            return Ok(());
        }
        let hostname = hostname(&self.config.options, &self.id);
        let lines = |record: Option<&NetworkRecord>| -> Vec<String> {
            let places = record.map_or(&[][..], |record| record.endpoints.as_slice());
            let line = |place: &Endpoint| host_line(place, &hostname);
            places.iter().map(line).collect()
        };
        let after = self.network.record();
        let (old, new) = (lines(before), lines(after));
        self.rewrite("etc/hosts", |text| {
            let kept = text.lines().filter(|line| {
                let gone = old.iter().any(|one| one == line);
                !gone || new.iter().any(|one| one == line)
            });
            let added = new.iter().filter(|line| !old.contains(line));
            kept.chain(added.map(String::as_str))
                .flat_map(|line| [line, "\n"])
                .collect()
        })?;
        if before.map(|record| record.resolver) == after.map(|record| record.resolver) {
            return Ok(());
        }
        let names = NameFiles {
            host: &self.host,
            network: after,
        };
        match resolv_conf(&self.config.options, &names) {
            Some(text) => self.rewrite("etc/resolv.conf", |_| text),
            None => Ok(()),
        }
    }

    /// Changes a file that was made for the container; one that the user mounts there is the user's.
    fn rewrite(&self, path: &str, change: impl FnOnce(&str) -> String) -> io::Result<()> {
        let mounted = self.config.options.volumes.iter();
        if mounted
            .map(|volume| volume.target.as_path())
            .any(|target| target.strip_prefix("/").is_ok_and(|target| target == path))
        {
            return Ok(());
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let root = self.root()?;
        let Ok(file) = openat2(&root, path, flags, Mode::empty(), resolve) else {
            // The container has put something else there.
            return Ok(());
        };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let mut file = fs::File::from(file);
        let mut bytes = Vec::new();
        (&file).take(LARGEST_BYTES + 1).read_to_end(&mut bytes)?;
        let text = match String::from_utf8(bytes) {
            Ok(text) if text.len() as u64 <= LARGEST_BYTES => change(&text),
            // The container has written something else there.
            _ => return Ok(()),
        };
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(text.as_bytes())
    }
}

/// A larger file is none of names.
const LARGEST_BYTES: u64 = 1 << 20;
