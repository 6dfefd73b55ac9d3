//! Options and image → what the sandbox runs. Pure.

use std::ffi::OsString;
use std::path::PathBuf;

use rbuild_image::RuntimeConfig;
use rbuild_sandbox::{
    Access, AppArmor, DEFAULT_PATH, DEFAULT_PROFILE, DEFAULT_SHM_BYTES, First, KernelPaths, Mount,
    Network, NewPrivileges, Process, Rlimit, Root, Seccomp, Spec, has_default_profile,
    rlimit_number,
};

use crate::environment::merge;
use crate::hosts::{NameFiles, hosts, resolv_conf};
use crate::namespaces::Sharing;
use crate::options::{
    FirstProcess, NetworkMode, Options, Privileges, RootAccess, Security, SystemCalls, UNCONFINED,
};
use crate::sysctl::Sysctl;
use crate::{ContainerError, ContainerId};

/// Where a container lives: what is not a matter of its options or its image.
pub(crate) struct Surroundings<'a> {
    pub(crate) id: &'a ContainerId,
    pub(crate) root: Root,
    pub(crate) scaffold: PathBuf,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) names: &'a NameFiles<'a>,
}

/// The specification of the container's first process and its world.
pub(crate) fn specification(
    options: &Options,
    image: &RuntimeConfig,
    surroundings: Surroundings<'_>,
) -> Result<Spec, ContainerError> {
    let Surroundings {
        id,
        root,
        scaffold,
        mounts,
        names,
    } = surroundings;
    let hostname = hostname(options, id);
    let mut spec = Spec::new(root, scaffold, Vec::new());
    spec.process = process(options, image, id)?;
    spec.hosts = Some(hosts(options, names, &hostname));
    spec.hostname = hostname;
    spec.resolv_conf = resolv_conf(options, names);
    spec.mounts = mounts;
    spec.network = match options.network {
        NetworkMode::Host => Network::Host,
        NetworkMode::None => Network::None,
        // The namespace is the one thing that the sandbox is handed.
        NetworkMode::Private | NetworkMode::Default | NetworkMode::Container(_) => Network::Join(0),
    };
    spec.root_access = match options.root_access {
        RootAccess::ReadWrite => Access::ReadWrite,
        RootAccess::ReadOnly => Access::ReadOnly,
    };
    spec.shm_bytes = options.shm_bytes.unwrap_or(DEFAULT_SHM_BYTES);
    spec.sysctls = options.sysctls.iter().map(Sysctl::setting).collect();
    if options.security == Security::Privileged {
        spec.kernel_paths = KernelPaths::Open;
    }
    Ok(spec)
}

/// The name that a container has of itself.
pub(crate) fn hostname(options: &Options, id: &ContainerId) -> String {
    match &options.hostname {
        Some(name) => name.clone(),
        None if options.uts == Sharing::Host => {
            let names = rustix::system::uname();
            names.nodename().to_string_lossy().into_owned()
        }
        None => id.short().to_owned(),
    }
}

/// A process of the container: its first one, or one that is added to it.
pub(crate) fn process(
    options: &Options,
    image: &RuntimeConfig,
    id: &ContainerId,
) -> Result<Process, ContainerError> {
    let args = command_line(options, image)?;
    let mut process = Process::new(args.into_iter().map(OsString::from).collect());
    let env = environment(options, image, &hostname(options, id));
    process.env = env.into_iter().map(OsString::from).collect();
    process.cwd = working_directory(options, image);
    process.user = options.user.clone().unwrap_or_else(|| image.user.clone());
    process.rlimits = options.ulimits.iter().filter_map(rlimit).collect();
    process.capabilities = options.capabilities();
    process.groups.clone_from(&options.groups);
    process.oom_score = options.oom_score;
    let is_privileged = options.security == Security::Privileged;
    process.apparmor = apparmor(options);
    if options.system_calls == SystemCalls::Unconfined || is_privileged {
        process.seccomp = Seccomp::Unconfined;
    }
    if options.first == FirstProcess::Init {
        process.first = First::Reaper;
    }
    if options.new_privileges == Privileges::Denied {
        process.new_privileges = NewPrivileges::Denied;
    }
    Ok(process)
}

fn apparmor(options: &Options) -> AppArmor {
    match &options.apparmor {
        Some(name) if name == UNCONFINED => AppArmor::Unconfined,
        Some(name) => AppArmor::Profile(name.clone()),
        None if options.security == Security::Privileged => AppArmor::Unconfined,
        None => AppArmor::Default,
    }
}

/// The `AppArmor` profile that a container with these options comes under here; empty where there is none.
pub fn apparmor_profile(options: &Options) -> String {
    match apparmor(options) {
        AppArmor::Unconfined => UNCONFINED.to_owned(),
        AppArmor::Profile(name) => name,
        AppArmor::Default if has_default_profile() => DEFAULT_PROFILE.to_owned(),
        AppArmor::Default => String::new(),
    }
}

/// What runs: ENTRYPOINT and CMD of the image, as far as the user does not replace them. An entrypoint of the user's
/// clears the image's CMD.
pub fn command_line(
    options: &Options,
    image: &RuntimeConfig,
) -> Result<Vec<String>, ContainerError> {
    let none: &[String] = &[];
    let image_entrypoint = image.entrypoint.as_deref().unwrap_or(none);
    let image_cmd = image.cmd.as_deref().unwrap_or(none);
    let given: Vec<String>;
    let (entrypoint, default_cmd) = match options.entrypoint.as_deref() {
        None => (image_entrypoint, image_cmd),
        Some("") => (none, none),
        Some(program) => {
            given = vec![program.to_owned()];
            (given.as_slice(), none)
        }
    };
    let cmd = if options.args.is_empty() {
        default_cmd
    } else {
        &options.args
    };
    let args = [entrypoint, cmd].concat();
    if args.first().is_none_or(String::is_empty) {
        return Err(ContainerError::NoCommand);
    }
    Ok(args)
}

fn environment(options: &Options, image: &RuntimeConfig, hostname: &str) -> Vec<String> {
    let mut defaults = vec![
        format!("PATH={DEFAULT_PATH}"),
        format!("HOSTNAME={hostname}"),
    ];
    if options.tty {
        defaults.push("TERM=xterm".to_owned());
    }
    let image = image.env.as_deref().unwrap_or_default();
    merge([defaults.as_slice(), image, &options.env])
}

fn working_directory(options: &Options, image: &RuntimeConfig) -> PathBuf {
    let chosen = options.workdir.as_deref().unwrap_or(&image.working_dir);
    // An image may have a relative or empty one; both start at the root.
    PathBuf::from("/").join(chosen)
}

fn rlimit(limit: &crate::Ulimit) -> Option<Rlimit> {
    Some(Rlimit {
        resource: rlimit_number(&limit.name)?,
        soft: limit.soft,
        hard: limit.hard,
    })
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
