//! A directory to build.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// A directory to build; what is written to it can be read by all.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) dir: PathBuf,
    /// Whose the files are, where it is not the tests' own user.
    owner: Option<u32>,
}

impl Project {
    pub(crate) fn new(dir: PathBuf, owner: Option<u32>) -> Self {
        std::fs::create_dir(&dir).expect("a new folder");
        let project = Self { dir, owner };
        project.settle(&project.dir, 0o755);
        project
    }

    fn settle(&self, path: &Path, mode: u32) {
        if self.owner.is_some() {
            chown(path, self.owner, self.owner).expect("root may");
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
    }

    /// Writes its Dockerfile.
    pub(crate) fn dockerfile(&self, text: &str) -> &Self {
        self.file("Dockerfile", text)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let full = self.dir.join(path);
        let mut parents: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents.iter().map(|parent| self.dir.join(parent)) {
            if !parent.exists() {
                std::fs::create_dir(&parent).expect("a new folder");
                self.settle(&parent, 0o755);
            }
        }
        std::fs::write(&full, content).expect("a written file");
        self.settle(&full, 0o644);
        self
    }

    /// Sets a file's mode.
    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        self.settle(&self.dir.join(path), mode);
        self
    }

    /// Makes a symlink.
    pub(crate) fn symlink(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.dir.join(path)).expect("a new symlink");
        self
    }

    /// Gives a file another modification time.
    pub(crate) fn touch(&self, path: &str) -> &Self {
        let file = std::fs::File::options()
            .read(true)
            .open(self.dir.join(path))
            .expect("a file");
        let time =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
        file.set_modified(time).expect("our own file");
        self
    }
}
