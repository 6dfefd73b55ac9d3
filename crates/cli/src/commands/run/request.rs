//! What is meant by the arguments of `run`: every text parsed.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, bail};
use rbuild_container::{
    AddHost, Cleanup, ContainerError, NetworkMode, Options, RootAccess, Security, Tmpfs, Ulimit,
    Volume, parse_env_file,
};

use super::Args;
use crate::app::App;
use crate::commands::build::bytes;
use crate::failure::chain;

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PullPolicy {
    /// Before every run.
    Always,
    /// If it is not here.
    Missing,
    /// Not at all.
    Never,
}

/// A container that was asked for.
pub(super) struct Request {
    pub(super) options: Options,
    /// /etc/resolv.conf.
    pub(super) resolv_conf: String,
}

impl Request {
    pub(super) fn new(app: &App, args: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            options: options(app, args).map_err(worded)?,
            resolv_conf: resolv_conf(&app.environment.resolv_conf(), args)?,
        })
    }
}

/// Messages of the libraries follow "failed to".
fn worded(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<ContainerError>() {
        Some(known) => anyhow::anyhow!("failed to {}", chain(known)),
        None => error,
    }
}

fn options(app: &App, args: &Args) -> anyhow::Result<Options> {
    let mut options = Options {
        args: args.command().to_vec(),
        entrypoint: args.entrypoint.clone(),
        name: args.name.clone(),
        hostname: args.hostname.clone(),
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        volumes: all(&args.volumes, |text| Volume::parse(&from_here(text)?))?,
        tmpfs: all(&args.tmpfs, Tmpfs::parse)?,
        add_hosts: all(&args.add_hosts, AddHost::parse)?,
        network: NetworkMode::parse(&args.network)?,
        ulimits: all(&args.ulimits, Ulimit::parse)?,
        shm_bytes: args.shm_size.as_deref().map(bytes).transpose()?,
        labels: args.labels.iter().map(|label| label_pair(label)).collect(),
        stop_signal: args.stop_signal.clone(),
        interactive: args.interactive,
        tty: args.tty,
        ..Options::default()
    };
    if args.read_only {
        options.root_access = RootAccess::ReadOnly;
    }
    if args.privileged {
        options.security = Security::Privileged;
    }
    if args.rm {
        options.cleanup = Cleanup::Remove;
    }
    let environment = app.environment;
    let source = |name: &str| environment.text(name);
    for path in &args.env_files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read --env-file {}", path.display()))?;
        options.env.extend(parse_env_file(&text, &source)?);
    }
    for variable in &args.env {
        options.add_env(variable, &source)?;
    }
    Ok(options)
}

fn all<T>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, ContainerError>,
) -> Result<Vec<T>, ContainerError> {
    texts.iter().map(|text| parse(text)).collect()
}

/// `./data:/data` with the directory that `.` is, as docker has it.
fn from_here(text: &str) -> Result<String, ContainerError> {
    let relative = text == "." || text.starts_with("./") || text.starts_with("../");
    if !relative && !text.starts_with(".:") {
        return Ok(text.to_owned());
    }
    let (source, rest) = text.split_once(':').unwrap_or((text, ""));
    let source = std::path::absolute(source).map_err(ContainerError::Attach)?;
    Ok(format!("{}:{rest}", source.display()))
}

/// `NAME` alone has an empty value.
fn label_pair(label: &str) -> String {
    if label.contains('=') {
        label.to_owned()
    } else {
        format!("{label}=")
    }
}

/// The host's file, with what `--dns` and its companions say in the place of its own lines of that kind.
fn resolv_conf(host: &str, args: &Args) -> anyhow::Result<String> {
    for server in &args.dns {
        if server.parse::<IpAddr>().is_err() {
            bail!("--dns {server:?}: it is an IP address");
        }
    }
    let kinds = [
        ("nameserver", args.dns.as_slice(), Form::LineEach),
        ("search", args.dns_search.as_slice(), Form::OneLine),
        ("options", args.dns_options.as_slice(), Form::OneLine),
    ];
    let replaced = |line: &str| {
        let key = line.split_whitespace().next().unwrap_or_default();
        let key = if key == "domain" { "search" } else { key };
        kinds
            .iter()
            .any(|(kind, values, _)| *kind == key && !values.is_empty())
    };
    let mut text = String::new();
    for line in host.lines().filter(|line| !replaced(line)) {
        let _ = writeln!(text, "{line}");
    }
    for (kind, values, form) in kinds {
        match form {
            _ if values.is_empty() => {}
            Form::OneLine if values == ["."] => {}
            Form::OneLine => {
                let _ = writeln!(text, "{kind} {}", values.join(" "));
            }
            Form::LineEach => {
                for value in values {
                    let _ = writeln!(text, "{kind} {value}");
                }
            }
        }
    }
    Ok(text)
}

/// How several values of a kind are written.
#[derive(Clone, Copy)]
enum Form {
    LineEach,
    OneLine,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(words: &[&str]) -> Box<Args> {
        let words = ["rbuild", "run"].iter().chain(words);
        match Cli::try_parse_from(words).expect("well-formed").command {
            Command::Run(args) => args,
            _ => panic!("run was typed"),
        }
    }

    #[test]
    fn what_stands_after_the_image_belongs_to_the_container() {
        let args = args(&["--rm", "-it", "busybox", "ls", "-l", "--rm", "--", "-t"]);
        assert_eq!(args.image(), "busybox");
        assert_eq!(args.command(), ["ls", "-l", "--rm", "--", "-t"]);
        assert!(args.rm && args.interactive && args.tty);
    }

    #[test]
    fn an_option_after_the_image_is_not_ours_whatever_it_looks_like() {
        let args = args(&["--entrypoint", "sh", "app", "-c", "exit 3", "--rm"]);
        assert_eq!(args.command(), ["-c", "exit 3", "--rm"]);
        assert!(!args.rm && args.check().is_ok());
    }

    #[test]
    fn an_unknown_option_is_not_taken_for_the_image() {
        for word in ["--nope", "-x", "-ix"] {
            let error = args(&[word, "busybox"]).check().expect_err(word);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn unsupported_options_are_refused_by_name() {
        let args = args(&["-d", "-p", "80:80", "--memory=1g", "busybox"]);
        let words = args.unsupported.check().expect_err("refused").to_string();
        for name in ["--detach", "--publish", "--memory"] {
            assert!(words.contains(name), "{words}");
        }
        assert!(super::super::Unsupported::default().check().is_ok());
    }

    #[test]
    fn name_servers_take_the_place_of_the_hosts_own() {
        let args = args(&["--dns", "9.9.9.9", "--dns", "1.1.1.1", "busybox"]);
        let host = "nameserver 10.0.0.1\nsearch corp\n";
        assert_eq!(
            resolv_conf(host, &args).expect("addresses"),
            "search corp\nnameserver 9.9.9.9\nnameserver 1.1.1.1\n"
        );
    }

    #[test]
    fn relative_volumes_are_taken_from_here() {
        let here = std::env::current_dir().expect("a directory");
        let expected = format!("{}:/data", here.join("x").display());
        assert_eq!(from_here("./x:/data").expect("absolute"), expected);
        assert_eq!(from_here("/x:/data").expect("as it is"), "/x:/data");
    }
}
