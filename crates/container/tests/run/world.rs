//! A store and a layer with busybox in it, gone at the end of the test.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rbuild_store::{Container, Store};

use crate::program;

pub(crate) struct World {
    directory: tempfile::TempDir,
}

fn busybox() -> PathBuf {
    PathBuf::from("/bin/busybox")
}

pub(crate) fn has_busybox() -> bool {
    busybox().exists()
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().expect("a directory can be made"),
        };
        let layer = world.layer();
        for directory in ["bin", "etc", "tmp", "home"] {
            std::fs::create_dir_all(layer.join(directory)).expect("a directory can be made");
        }
        std::fs::copy(busybox(), layer.join("bin/busybox")).expect("busybox can be copied");
        for applet in [
            "sh", "cat", "sleep", "id", "pwd", "env", "echo", "hostname", "tty", "touch", "stty",
        ] {
            std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet))
                .expect("a link can be made");
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n";
        std::fs::write(layer.join("etc/passwd"), passwd).expect("a file can be written");
        std::fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1000:\n").expect("likewise");
        world
    }

    pub(crate) fn layer(&self) -> PathBuf {
        self.directory.path().join("layer")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(program::ARGUMENT);
        command
            .args([self.path("store"), self.layer()])
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::null())
            .output()
            .expect("the program starts")
    }

    /// Starts and leaves running, with all streams as pipes.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().expect("the program starts")
    }

    pub(crate) fn containers(&self) -> Vec<Container> {
        let store = Store::open(&self.path("store")).expect("the store can be opened");
        store.containers().expect("the store can be read")
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
