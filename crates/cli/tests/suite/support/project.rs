//! A directory to build.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A directory to build; what is written to it can be read by all.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) dir: PathBuf,
}

impl Project {
    pub(crate) fn new(dir: PathBuf) -> Self {
        std::fs::create_dir(&dir).expect("a new folder");
        open_up(&dir, 0o755);
        Self { dir }
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
                open_up(&parent, 0o755);
            }
        }
        std::fs::write(&full, content).expect("a written file");
        open_up(&full, 0o644);
        self
    }

    /// Sets a file's mode.
    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        open_up(&self.dir.join(path), mode);
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

fn open_up(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}
