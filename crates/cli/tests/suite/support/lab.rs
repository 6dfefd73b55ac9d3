//! A place for one test.
//!
//! ```text
//! rbuild-e2e-XXXX/root       $RBUILD_ROOT
//!                 home       $HOME
//!                 out        the working directory, where results go
//!                 project-N  directories to build
//!                 config.toml
//!                 etc bin images   what a made-up user sees instead of the machine's (see Caller)
//! ```

use std::cell::Cell;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::base_images::{BaseImage, images};
use super::caller::{Caller, am_root};
use super::command::Running;
use super::layout::Layout;
use super::outcome::Outcome;
use super::project::Project;
use super::tree::Tree;

/// How long the work that follows a command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place for one test; what it left running or mounted fails the test in the end.
pub(crate) struct Lab {
    dir: TempDir,
    caller: Caller,
    images: PathBuf,
    bases: Vec<BaseImage>,
    counter: Cell<usize>,
}

impl Lab {
    /// A place for `caller` with busybox; `None` where the tests cannot become that caller.
    pub(crate) fn new(caller: Caller) -> Option<Self> {
        Self::with_bases(caller, &[BaseImage::Busybox])
    }

    /// A place with these base images.
    pub(crate) fn with_bases(caller: Caller, bases: &[BaseImage]) -> Option<Self> {
        if !caller.available() {
            return None;
        }
        for base in bases {
            base.layout();
        }
        let dir = tempfile::Builder::new()
            .prefix("rbuild-e2e-")
            .tempdir()
            .expect("a temporary directory");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))
            .expect("our own");
        caller.settle(dir.path());
        let lab = Self {
            images: images(),
            dir,
            caller,
            bases: bases.to_vec(),
            counter: Cell::new(0),
        };
        for folder in ["root", "home", "out"] {
            lab.own_folder(folder);
        }
        lab.config("");
        Some(lab)
    }

    /// Makes a folder that belongs to the caller.
    pub(crate) fn own_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).expect("a new folder");
        if let Some(user) = self.caller.user() {
            chown(&path, Some(user), Some(user)).expect("root may");
        }
        path
    }

    /// Writes the configuration file.
    pub(crate) fn config(&self, text: &str) {
        std::fs::write(self.path("config.toml"), text).expect("a written file");
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `$RBUILD_ROOT`.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// A new directory to build, with this Dockerfile.
    pub(crate) fn project(&self, dockerfile: &str) -> Project {
        let project = Project::new(
            self.path(&format!("project-{}", self.next())),
            self.caller.user(),
        );
        project.dockerfile(dockerfile);
        project
    }

    fn next(&self) -> usize {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    /// The binary with arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.caller.command(self.dir.path(), &self.images);
        command
            .args(arguments)
            .current_dir(self.path("out"))
            .env_clear();
        for name in ["PATH", "TMPDIR", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("RBUILD_ROOT", self.root())
            .env("RBUILD_CONFIG", self.path("config.toml"));
        command
    }

    /// Runs the binary.
    pub(crate) fn rbuild(&self, arguments: &[&str]) -> Outcome {
        Running::start(&mut self.command(arguments)).wait()
    }

    /// Runs the binary, which reads `input`.
    pub(crate) fn rbuild_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        Running::with_input(&mut self.command(arguments), input.as_bytes()).wait()
    }

    /// `rbuild build` with plain progress and the base images.
    pub(crate) fn build_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["build", "--progress=plain"]);
        for base in &self.bases {
            command.args(["--build-context", &self.base(*base)]);
        }
        command.args(arguments);
        command
    }

    /// The value of `--build-context` for a base image.
    pub(crate) fn base(&self, base: BaseImage) -> String {
        let layout = self
            .caller
            .images(self.dir.path(), &self.images)
            .join(base.folder());
        format!(
            "{}=oci-layout://{}:{}",
            base.name(),
            layout.display(),
            base.tag()
        )
    }

    /// Builds a project, whatever comes of it.
    pub(crate) fn try_build(&self, project: &Project, arguments: &[&str]) -> Outcome {
        self.start_build(project, arguments).wait()
    }

    /// Starts to build a project.
    pub(crate) fn start_build(&self, project: &Project, arguments: &[&str]) -> Running {
        Running::start(self.build_command(arguments).arg(&project.dir))
    }

    /// Builds a project, which must succeed.
    #[track_caller]
    pub(crate) fn build(&self, project: &Project, arguments: &[&str]) -> Outcome {
        self.try_build(project, arguments).success()
    }

    /// Builds a project into a tar, and reads it.
    #[track_caller]
    pub(crate) fn tree(&self, project: &Project, arguments: &[&str]) -> Tree {
        let path = self.path(&format!("out/{}.tar", self.next()));
        let output = format!("type=tar,dest={}", path.display());
        self.build(project, &[&["-o", &output], arguments].concat());
        Tree::read(&path)
    }

    /// Builds a project into an OCI layout directory.
    #[track_caller]
    pub(crate) fn layout(&self, project: &Project, arguments: &[&str]) -> Layout {
        let path = self.path(&format!("out/layout-{}", self.next()));
        let output = format!("type=oci,tar=false,dest={}", path.display());
        self.build(project, &[&["-o", &output], arguments].concat());
        Layout::new(&path)
    }

    /// Nothing is mounted or runs any more; what tidies up after a command has a moment to end.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = self.left_behind();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind: {left:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processes and mounts that still have to do with this place.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let name = self
            .dir
            .path()
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        left_behind(&name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_nothing_left();
        }
        // Who still writes would be in the way of removing it all.
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end && !self.left_behind().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !am_root() {
            // Files of subordinate ids are for the namespace's root to remove.
            let _ = Command::new("unshare")
                .args(["--map-root-user", "--map-auto", "rm", "-rf"])
                .arg(self.dir.path())
                .output();
        }
    }
}

/// Seconds that no other test sleeps: a step that sleeps so long can be found among all processes.
pub(crate) fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id() % 100_000 * 100 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("9{number:07}")
}

/// The command lines of running processes that have `mark` in them; what was just killed has a moment to go.
pub(crate) fn processes_with(mark: &str) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        let found: Vec<String> = std::fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .map(|process| text(&process.path().join("cmdline")).replace('\0', " "))
            .filter(|line| line.contains(mark))
            .collect();
        if found.is_empty() || Instant::now() > end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Mounts on this machine, and processes with mounts, arguments, environment or directory, that have `name` in them.
fn left_behind(name: &str) -> Vec<String> {
    let mut found: Vec<String> = text(Path::new("/proc/self/mountinfo"))
        .lines()
        .filter(|line| line.contains(name))
        .map(str::to_owned)
        .collect();
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let path = process.path();
        let files = ["cmdline", "environ", "mountinfo"];
        if !path.join("cmdline").exists() {
            continue;
        }
        let hit = files
            .iter()
            .find(|file| text(&path.join(file)).contains(name));
        if let Some(file) = hit {
            found.push(format!(
                "{} ({file}): {}",
                path.display(),
                text(&path.join("cmdline")).replace('\0', " ")
            ));
        }
    }
    found
}

fn text(path: &Path) -> String {
    // A process may be gone, or not ours to look at.
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
