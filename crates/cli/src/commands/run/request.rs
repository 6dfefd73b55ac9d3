//! What is meant by the arguments of `run`: every text parsed.

use anyhow::{Context as _, bail};
use rbuild_container::{
    AddHost, Cleanup, ContainerError, Device, FirstProcess, IpcMode, LogLimits, Logging,
    MountOption, Options, PidMode, RestartPolicy, RootAccess, Security, Sharing, Sysctl, Tmpfs,
    Ulimit, Volume, parse_env_file, volumes_from,
};

use rbuild_dockerfile::parse_duration;
use rbuild_image::Healthcheck;

use super::networks;
use super::options::ContainerArgs;
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

/// The container that was asked for.
pub(super) fn read(app: &App, args: &ContainerArgs) -> anyhow::Result<Options> {
    options(app, args).map_err(worded)
}

/// Messages of the libraries follow "failed to".
fn worded(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<ContainerError>() {
        Some(known) => anyhow::anyhow!("failed to {}", chain(known)),
        None => error,
    }
}

fn options(app: &App, args: &ContainerArgs) -> anyhow::Result<Options> {
    let mut options = Options {
        args: args.command().to_vec(),
        entrypoint: args.entrypoint.clone(),
        name: args.name.clone(),
        hostname: args.hostname.clone(),
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        volumes: all(&args.volumes, |text| Volume::parse(&from_here(text)?))?,
        tmpfs: all(&args.tmpfs, Tmpfs::parse)?,
        dns: args.dns.clone(),
        dns_search: args.dns_search.clone(),
        dns_options: args.dns_options.clone(),
        add_hosts: all(&args.add_hosts, AddHost::parse)?,
        ulimits: all(&args.ulimits, Ulimit::parse)?,
        shm_bytes: args.shm_size.as_deref().map(bytes).transpose()?,
        labels: labels(args)?,
        stop_signal: args.stop_signal.clone(),
        stop_timeout: args.stop_timeout,
        restart: RestartPolicy::parse(&args.restart)?,
        log: log_limits(&args.log_options)?,
        logging: Logging::parse(&args.log_driver)?,
        limits: args.limits.read()?,
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        groups: args.groups.clone(),
        oom_score: args.oom_score_adj,
        devices: all(&args.devices, Device::parse)?,
        interactive: args.interactive,
        tty: args.tty,
        health: health(args)?,
        sysctls: all(&args.sysctls, Sysctl::parse)?,
        pid: PidMode::parse(&args.pid)?,
        ipc: IpcMode::parse(&args.ipc)?,
        uts: Sharing::parse("--uts", &args.uts)?,
        cgroupns: Sharing::parse("--cgroupns", &args.cgroupns)?,
        userns: app.users.of_container(&args.userns)?,
        ..Options::default()
    };
    for text in &args.mounts {
        match MountOption::parse(&mount_from_here(text)?)? {
            MountOption::Volume(volume) => {
                // -v makes a directory of what is missing; this does not.
                if let Some(source) = volume.source.as_ref().filter(|path| !path.exists()) {
                    bail!("--mount {text:?}: {} does not exist", source.display());
                }
                options.volumes.push(volume);
            }
            MountOption::Tmpfs(tmpfs) => options.tmpfs.push(tmpfs),
        }
    }
    for text in &args.security_options {
        options.add_security_option(text)?;
    }
    if args.read_only {
        options.root_access = RootAccess::ReadOnly;
    }
    if args.privileged {
        options.security = Security::Privileged;
    }
    if args.init {
        options.first = FirstProcess::Init;
    }
    if args.rm {
        options.cleanup = Cleanup::Remove;
    }
    for text in &args.volumes_from {
        let more = volumes_from(app.store()?, text, &options)?;
        options.volumes.extend(more);
    }
    networks::add(app, args, &mut options)?;
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

/// Those of files first, so that others win.
fn labels(args: &ContainerArgs) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for path in &args.label_files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read --label-file {}", path.display()))?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(lines.map(label_pair));
    }
    all.extend(args.labels.iter().map(|label| label_pair(label)));
    Ok(all)
}

/// What goes before the image's HEALTHCHECK.
fn health(args: &ContainerArgs) -> anyhow::Result<Healthcheck> {
    let time = |option: &str, text: &Option<String>| match text {
        None => Ok(0),
        Some(text) => parse_duration(text).with_context(|| format!("invalid {option} {text:?}")),
    };
    let test = match &args.health_cmd {
        _ if args.no_healthcheck => vec!["NONE".to_owned()],
        Some(command) => vec!["CMD-SHELL".to_owned(), command.clone()],
        None => Vec::new(),
    };
    Ok(Healthcheck {
        test,
        interval: time("--health-interval", &args.health_interval)?,
        timeout: time("--health-timeout", &args.health_timeout)?,
        start_period: time("--health-start-period", &args.health_start_period)?,
        start_interval: time("--health-start-interval", &args.health_start_interval)?,
        retries: args.health_retries.unwrap_or_default().into(),
    })
}

/// `--log-opt max-size=10m --log-opt max-file=3`, as docker's json-file has them.
fn log_limits(texts: &[String]) -> anyhow::Result<LogLimits> {
    let mut limits = LogLimits::default();
    for text in texts {
        match text.split_once('=') {
            Some(("max-size", size)) => limits.max_bytes = bytes(size)?,
            Some(("max-file", count)) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                limits.max_files =
                    count.with_context(|| format!("--log-opt {text:?}: it is a number"))?;
            }
            _ => bail!("--log-opt {text:?}: there are max-size=SIZE and max-file=NUMBER"),
        }
    }
    Ok(limits)
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

/// As [`from_here`] for `--mount type=bind,source=./data,…`.
fn mount_from_here(text: &str) -> Result<String, ContainerError> {
    let field = |field: &str| match field.split_once('=') {
        Some((name @ ("source" | "src"), path)) if path.starts_with('.') => {
            let path = std::path::absolute(path).map_err(ContainerError::Attach)?;
            Ok(format!("{name}={}", path.display()))
        }
        _ => Ok(field.to_owned()),
    };
    let fields: Result<Vec<String>, ContainerError> = text.split(',').map(field).collect();
    Ok(fields?.join(","))
}

/// `NAME` alone has an empty value.
fn label_pair(label: &str) -> String {
    if label.contains('=') {
        label.to_owned()
    } else {
        format!("{label}=")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(words: &[&str]) -> ContainerArgs {
        let words = ["rbuild", "run"].iter().chain(words);
        match Cli::try_parse_from(words).expect("well-formed").command {
            Command::Run(args) => args.container,
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
    fn relative_volumes_are_taken_from_here() {
        let here = std::env::current_dir().expect("a directory");
        let expected = format!("{}:/data", here.join("x").display());
        assert_eq!(from_here("./x:/data").expect("absolute"), expected);
        assert_eq!(from_here("/x:/data").expect("as it is"), "/x:/data");
        let mount = mount_from_here("type=bind,source=./x,target=/d").expect("absolute");
        assert_eq!(
            mount,
            format!("type=bind,source={},target=/d", here.join("x").display())
        );
    }
}
