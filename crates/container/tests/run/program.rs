//! `rbuild run` in small: `--be-run STORE LAYER [options] COMMAND…`.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rbuild_container::{
    Attachment, Bond, Cleanup, DetachKeys, HostFiles, Image, Options, Outcome, Proxy, RootAccess,
    Seed, Streams, Tmpfs, Typing, Volume, run,
};
use rbuild_image::RuntimeConfig;
use rbuild_store::Store;

pub(crate) const ARGUMENT: &str = "--be-run";

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let (store, layer) = (Path::new(&arguments[0]), PathBuf::from(&arguments[1]));
    let mut config = RuntimeConfig::default();
    let options = read(&arguments[2..], &mut config);
    rbuild_sys::unshare_mounts().expect("root may have mounts of its own");
    let store = Store::open(store).expect("the store can be opened");
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel has random bytes");
    let image = Image {
        name: "busybox",
        manifest: None,
        config: &config,
        layers: &[],
        directories: &[layer],
    };
    let files = HostFiles::default();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams = Streams {
        stdin: stdin.as_fd(),
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
    };
    let attachment = Attachment {
        streams,
        input: Typing::Passed,
        signals: Proxy::Passed,
        keys: &DetachKeys::default(),
        tie: Bond::Firm,
    };
    match run(&store, image, &options, Seed(seed), &files, attachment) {
        Ok(Outcome::Exited(code)) => {
            ExitCode::from(u8::try_from(code).expect("a status has eight bits"))
        }
        Ok(Outcome::Left) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn read(arguments: &[String], config: &mut RuntimeConfig) -> Options {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().expect("the option has a value").clone();
        match argument.as_str() {
            "-i" => options.interactive = true,
            "-t" => options.tty = true,
            "--rm" => options.cleanup = Cleanup::Remove,
            "--read-only" => options.root_access = RootAccess::ReadOnly,
            "-e" => options.env.push(value()),
            "-u" => options.user = Some(value()),
            "-w" => options.workdir = Some(value()),
            "-v" => options
                .volumes
                .push(Volume::parse(&value()).expect("well-formed")),
            "--tmpfs" => options
                .tmpfs
                .push(Tmpfs::parse(&value()).expect("well-formed")),
            "--name" => options.name = Some(value()),
            "--image-volume" => {
                config
                    .volumes
                    .insert(value(), std::collections::BTreeMap::new());
            }
            command => options.args.push(command.to_owned()),
        }
    }
    options
}
