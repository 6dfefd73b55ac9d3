//! What a container's own world is on request: its first process, its kernel parameters.

use rstest::rstest;

use crate::containers::lab;
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
