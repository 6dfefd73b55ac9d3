//! What steps get of the machine: agents, devices, entitlements.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rstest::rstest;

use crate::support::{Caller, Lab, note_skipped};

#[rstest]
fn the_socket_of_an_agent_has_the_owner_and_mode_that_the_mount_asks_for(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    if Command::new("ssh-agent").arg("-h").output().is_err() {
        note_skipped("agents", "they need openssh-client");
        return;
    }
    let project = lab.project(
        "FROM busybox\n\
         RUN --mount=type=ssh,mode=741,uid=100,gid=102 [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = '100 102 c1e1' ]\n\
         RUN --mount=type=ssh [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = '0 0 c180' ] && [ $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0 ]\n\
         RUN [ ! -e /run/buildkit ]\n\
         ENV SSH_AUTH_SOCK=/mine\n\
         RUN --mount=type=ssh,target=/agent [ $SSH_AUTH_SOCK = /mine ] && [ -S /agent ]\n",
    );
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(project.dir.join("key"))
        .output()
        .expect("ssh-keygen is there");
    assert!(made.status.success());
    // Readable for whoever builds; others would be refused by ssh-add.
    project.mode("key", 0o644);
    let ssh = format!("default={}", project.dir.join("key").display());
    lab.build(&project, &["--ssh", &ssh]);
}

#[test]
fn an_agent_that_is_required_and_not_given_is_an_error() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN --mount=type=ssh,required true\n");
    lab.try_build(&project, &[])
        .failure()
        .says("unset ssh forward key default");
    let optional = lab.project("FROM busybox\nRUN --mount=type=ssh [ -z \"$SSH_AUTH_SOCK\" ] || [ ! -e \"$SSH_AUTH_SOCK\" ]\n");
    lab.build(&optional, &[]);
}

/// A description of devices that goes with the test.
struct Description(PathBuf);

impl Description {
    fn new(vendor: &str) -> Self {
        let directory = PathBuf::from("/var/run/cdi");
        fs::create_dir_all(&directory).expect("root may");
        let path = directory.join(format!("rbuild-{vendor}.yaml"));
        let text = format!(
            "cdiVersion: \"0.6.0\"\nkind: \"{vendor}.example/device\"\ndevices:\n\
             - name: foo\n  annotations:\n    org.mobyproject.buildkit.device.class: class1\n  containerEdits:\n    env:\n    - FOO=injected\n    \
             deviceNodes:\n    - path: /dev/mynull\n      hostPath: /dev/null\n\
             - name: bar\n  annotations:\n    org.mobyproject.buildkit.device.autoallow: true\n  containerEdits:\n    env:\n    - BAR=injected\n"
        );
        fs::write(&path, text).expect("root may");
        Self(path)
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // It is in a directory that a reboot empties.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_device_is_there_for_the_step_that_names_it_and_only_where_that_is_allowed() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let _description = Description::new("steps");
    let project = lab.project(
        "FROM busybox\n\
         RUN --device=steps.example/device=foo [ $FOO = injected ] && [ -c /dev/mynull ] && echo x > /dev/mynull\n\
         RUN --device=steps.example/device=class1 [ $FOO = injected ] && [ -z \"$BAR\" ]\n\
         RUN --device=steps.example/device [ $BAR = injected ] && [ -z \"$FOO\" ]\n\
         RUN --device=steps.example/device=* [ $BAR = injected ] && [ $FOO = injected ]\n\
         RUN --device=steps.example/device=none true\n\
         RUN [ -z \"$FOO\" ] && [ ! -e /dev/mynull ]\n",
    );
    lab.try_build(&project, &[])
        .failure()
        .says("device steps.example/device=foo is requested by the build but not allowed");
    lab.build(&project, &["--allow", "device=steps.example/device"]);
    lab.build(&project, &["--no-cache", "--allow", "device"]);
    let granted =
        lab.project("FROM busybox\nRUN --device=steps.example/device=bar [ $BAR = injected ]\n");
    lab.build(&granted, &[]);
}

#[test]
fn a_required_device_that_nobody_describes_is_an_error() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN --device=nobody.example/x=y,required true\n");
    lab.try_build(&project, &["--allow", "device"])
        .failure()
        .says("required device \"nobody.example/x=y\" is not registered");
}

#[test]
fn what_reaches_beyond_the_sandbox_is_an_entitlement() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    for (flag, entitlement) in [
        ("--security=insecure", "security.insecure"),
        ("--network=host", "network.host"),
    ] {
        let project = lab.project(&format!("FROM busybox\nRUN {flag} true\n"));
        lab.try_build(&project, &[])
            .failure()
            .says(&format!("entitlement {entitlement} is not allowed"));
        lab.build(&project, &["--allow", entitlement]);
    }
}

/// A lone number is an account like a name, and groups come with it; a group that is written comes alone.
#[rstest]
fn a_user_has_the_groups_that_the_image_gives_it(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(
        "FROM busybox\n\
         RUN mkdir -p /etc && printf 'root:x:0:0::/root:/bin/sh\\napp:x:1001:1001::/:/bin/sh\\n' > /etc/passwd && printf 'root:x:0:\\nwheel:x:10:root\\napp:x:1001:\\nmore:x:1002:app\\n' > /etc/group\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '0:0/0 10' ]\n\
         USER app\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '1001:1001/1001 1002' ]\n\
         USER 1001\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '1001:1001/1001 1002' ]\n\
         USER 1001:app\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '1001:1001/1001' ]\n\
         USER app:more\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '1001:1002/1002' ]\n\
         USER 1234\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '1234:0/0' ]\n\
         USER 1042:1043\n\
         RUN [ \"$(id -u):$(id -g)/$(id -G)\" = '1042:1043/1043' ]\n",
    );
    lab.build(&project, &[]);
}

#[test]
fn an_insecure_step_has_the_devices_of_the_machine_and_others_do_not() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let Some(name) = ["fuse", "loop-control", "kmsg"]
        .into_iter()
        .find(|name| PathBuf::from("/dev").join(name).exists())
    else {
        note_skipped("devices of insecure steps", "this machine has none to show");
        return;
    };
    let project = lab.project(&format!(
        "FROM busybox\nRUN [ ! -e /dev/{name} ]\nRUN --security=insecure [ -c /dev/{name} ]\n"
    ));
    lab.build(&project, &["--allow", "security.insecure"]);
}
