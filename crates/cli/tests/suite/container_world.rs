//! What a container's own world is on request: its first process, its kernel parameters.

use std::process::Command;

use rstest::rstest;

use crate::containers::lab;
use crate::networks_default::alone;
use crate::support::Caller;

#[rstest]
fn with_an_init_the_command_ends_by_its_signals_and_what_it_leaves_is_reaped(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    // Without one, `sleep` would be process 1, which TERM does not end.
    let sleep = [
        "run", "-d", "--init", "--name", "one", "app", "sleep", "600",
    ];
    lab.rbuild(&sleep).success();
    lab.rbuild(&["stop", "-t", "300", "one"]).success();
    assert_eq!(lab.rbuild(&["wait", "one"]).success().stdout, "143\n");

    let script = "(sh -c 'sleep 0.05 & echo left' &); sleep 0.3; \
                  cat /proc/[0-9]*/status | grep -c '^State:.Z'; [ $$ != 1 ] && exit 5";
    let told = lab.rbuild(&["run", "--rm", "--init", "app", "sh", "-c", script]);
    assert_eq!(told.stdout, "left\n0\n", "{told}");
    assert_eq!(told.status.code(), Some(5), "{told}");

    let nowhere = lab.rbuild(&["run", "--rm", "--init", "app", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(127), "{nowhere}");
    nowhere.says("nowhere");
    lab.rbuild(&["rm", "one"]).success();
    lab.assert_nothing_left();
}

#[test]
fn an_init_hands_nothing_of_the_host_to_the_command() {
    let Some(lab) = lab(Caller::Root) else { return };
    let script = "cat /proc/1/exe 2>/dev/null | wc -c; ls /proc/1/fd 2>/dev/null | wc -l; ls /proc/self/fd | wc -l";
    let told = lab.rbuild(&[
        "run", "--rm", "--init", "-u", "root", "app", "sh", "-c", script,
    ]);
    // Process 1 has the three of the command, and hears by two more; the command has its three, and what it lists.
    assert_eq!(told.success().stdout, "0\n5\n4\n");
}

#[rstest]
fn kernel_parameters_are_the_containers_own(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let name = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let before = std::fs::read_to_string(name).expect("the kernel has it");
    let parameter = "net.ipv4.ip_unprivileged_port_start=79";
    let options = ["run", "--rm", "--network", "none", "--sysctl", parameter];
    let told = lab.rbuild(&[&options[..], &["app", "cat", name]].concat());
    assert_eq!(told.success().stdout, "79\n");
    let after = std::fs::read_to_string(name).expect("the kernel has it");
    assert_eq!(before, after);

    let on_host = ["run", "--rm", "--network", "host", "--sysctl", parameter];
    lab.rbuild(&[&on_host[..], &["app", "true"]].concat())
        .says("it is not allowed on the host's network");
    let of_all = ["run", "--rm", "--sysctl", "kernel.panic=1", "app", "true"];
    lab.rbuild(&of_all).says("it belongs to the whole machine");
}

#[test]
fn a_network_that_cannot_be_kept_apart_from_others_is_refused_and_ports_are_published_all_the_same()
{
    let Some(lab) = lab(Caller::Root) else { return };
    alone();
    lab.rbuild(&["network", "create", "web"]).success();
    // As on a machine that has no program for the packet filter.
    let without = |arguments: &[&str]| {
        let command = lab.command(arguments);
        let hidden = "mount -t tmpfs none /usr/sbin && mount --bind /usr/sbin /sbin && exec \"$@\"";
        let mut outer = Command::new("unshare");
        outer.args(["-m", "sh", "-c", hidden, "sh"]);
        outer.arg(command.get_program()).args(command.get_args());
        outer.env_clear();
        for (name, value) in command.get_envs() {
            outer.envs(value.map(|value| (name, value)));
        }
        outer.output().expect("unshare is there")
    };
    let refused = without(&["run", "--rm", "--network", "web", "app", "true"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("neither iptables nor nft is installed"),
        "{told}"
    );
    let ports = ["run", "--rm", "-p", "80", "app", "cat", "/proc/net/dev"];
    let published = without(&ports);
    let shown = String::from_utf8_lossy(&published.stdout);
    assert!(published.status.success(), "{published:?}");
    assert!(shown.contains("lo:") && !shown.contains("eth0:"), "{shown}");
    lab.rbuild(&["network", "rm", "web"]).success();
}
