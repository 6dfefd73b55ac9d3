//! What a container finds when it begins, property by property: those that a runtime is validated by
//! (opencontainers/runtime-tools), and what Docker's engine asks of its runtime.
//!
//! Each row is looked at by a line of shell in one container, which tells what it found in one line.

use rstest::rstest;

use crate::escapes::Fence;
use crate::support::Lab;

/// A property, the line that looks at it, and what there has to be for root, for root with users of its own, and for a
/// normal user.
struct Row(&'static str, &'static str, [&'static str; 3]);

const fn same(property: &'static str, script: &'static str, found: &'static str) -> Row {
    Row(property, script, [found; 3])
}

/// Types of files, numbers of devices, modes and owners.
const DEVICES: &str =
    "cd /dev; stat -c '%n %F %t,%T %a' null zero full random urandom tty pts/ptmx | tr '\\n' ';'";
/// Before the first pipe: which descriptors the shell was given (10 is what it keeps while it redirects). Then a function that tells the type and the sorted options
/// of what is mounted at a place.
const PROLOGUE: &str = "ls /proc/1/fd > /dev/shm/descriptors; at() { \
    awk -v at=$1 '$5 == at { print $6; sub(/^.* - /, \"\"); print \" \" $1 }' /proc/self/mountinfo | \
    tr , '\\n' | grep -v relatime | sort | tr '\\n' ' '; echo; };\n";

/// A container that asks for nothing.
const USUAL: &[Row] = &[
    same(
        "arguments",
        "tr '\\0' '\\n' < /proc/1/cmdline | head -n 2",
        "sh -c",
    ),
    same(
        "environment",
        "tr '\\0' '\\n' < /proc/1/environ | sed 's/^HOSTNAME=.*/HOSTNAME/' | sort | tr '\\n' ' '",
        "HOME=/root HOSTNAME PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    same("directory", "readlink /proc/1/cwd", "/"),
    same("user and groups", "id -u; id -g; id -G", "0 0 0 10"),
    same("mask of modes", "umask", "0022"),
    same(
        "number, session, group, terminal",
        "awk '{ print $1, $5, $6, $7 }' /proc/1/stat",
        "1 1 1 0",
    ),
    same("descriptors", "grep -vx 10 /dev/shm/descriptors", "0 1 2"),
    same("standard input", "readlink /proc/1/fd/0", "/dev/null"),
    same(
        "signals ignored, blocked, pending",
        "awk '/^Sig(Ign|Blk|Pnd)/ { print $2 }' /proc/self/status | sort -u",
        "0000000000000000",
    ),
    same(
        "capabilities",
        "awk '/^Cap/ { print $2 }' /proc/1/status",
        "0000000000000000 00000000a80425fb 00000000a80425fb 00000000a80425fb 0000000000000000",
    ),
    same(
        "new privileges, filter",
        "awk '/^(NoNewPrivs|Seccomp):/ { print $2 }' /proc/1/status",
        "0 2",
    ),
    same(
        "worth when memory runs out",
        "cat /proc/1/oom_score_adj",
        "0",
    ),
    Row(
        "users",
        "awk '{ print ($1 == 0 ? \"from 0\" : \"\"), ($2 == 0 ? \"those of the host\" : \"others\") }' /proc/self/uid_map | head -n 1",
        ["from 0 those of the host", "from 0 others", "from 0 others"],
    ),
    same("processes", "cat /proc/[0-9]*/comm | grep -c rbuild", "0"),
    same(
        "host name",
        "hostname | cmp - /etc/hostname && grep -qw \"$(hostname)\" /etc/hosts && echo known",
        "known",
    ),
    same("root", "touch /written; ls -d /written", "/written"),
    same(
        "nothing propagates",
        "grep -c -e ' shared:' -e ' master:' -e ' propagate_from:' /proc/self/mountinfo",
        "0",
    ),
    same("/proc", "at /proc", "proc nodev noexec nosuid rw"),
    same("/dev", "at /dev", "tmpfs nodev nosuid rw"),
    same(
        "/dev/pts",
        "at /dev/pts; stat -c %a /dev/pts/ptmx",
        "devpts noexec nosuid rw 666",
    ),
    same(
        "/dev/shm",
        "at /dev/shm; stat -c %a /dev/shm; df -k /dev/shm | awk 'END { print $2 }'",
        "tmpfs nodev noexec nosuid rw 1777 65536",
    ),
    same(
        "/dev/mqueue",
        "at /dev/mqueue",
        "mqueue nodev noexec nosuid rw",
    ),
    same("/sys", "at /sys", "sysfs nodev noexec nosuid ro"),
    same(
        "/sys cannot be changed",
        "awk '$5 ~ \"^/sys\" && $6 !~ /^ro,/ && $4 != \"/dev/null\" && $4 != \"/null\"' /proc/self/mountinfo; \
        touch /sys/kernel/x /sys/fs/cgroup/x 2>&1 | grep -c Read-only",
        "2",
    ),
    same(
        "control groups begin here",
        "grep -vc ':/$' /proc/self/cgroup",
        "0",
    ),
    same(
        "devices",
        DEVICES,
        "null character special file 1,3 666;zero character special file 1,5 666;full character special file 1,7 666;\
         random character special file 1,8 666;urandom character special file 1,9 666;tty character special file 5,0 666;\
         pts/ptmx character special file 5,2 666;",
    ),
    same(
        "devices do their work",
        "echo x > /dev/null; head -c 2 /dev/zero | od -An -tx1 | xargs echo; head -c 3 /dev/urandom | wc -c; \
        (echo x > /dev/full) 2>&1 | grep -c 'No space'",
        "00 00 3 1",
    ),
    same(
        "no other devices",
        "cd /dev; ls | tr '\\n' ' '",
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
    ),
    same(
        "links",
        "for name in fd stdin stdout stderr ptmx core; do readlink /dev/$name; done",
        "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx /proc/kcore",
    ),
    same(
        "masked files",
        "cd /proc; for file in interrupts kcore keys latency_stats sched_debug timer_list timer_stats; \
        do [ ! -e $file ] || { wc -c < $file; } 2> /dev/null; done | sort -u",
        "0",
    ),
    same(
        "masked directories",
        "for place in /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap; \
        do ls -A $place 2> /dev/null; touch $place/x 2> /dev/null && echo written; done; echo empty",
        "empty",
    ),
    same(
        "read-only paths",
        "cd /proc; for place in bus fs irq sys sysrq-trigger; \
        do [ ! -e $place ] || at /proc/$place; done | sort -u",
        "proc nodev noexec nosuid ro",
    ),
    same(
        "kernel parameters",
        "for file in kernel/hostname kernel/core_pattern net/ipv4/ip_forward vm/drop_caches; \
        do (echo 1 > /proc/sys/$file) 2>&1 | grep -c 'Read-only'; done | sort -u",
        "1",
    ),
    same(
        "names",
        "stat -c '%n %a %u' /etc/hosts /etc/hostname; grep -q localhost /etc/hosts && echo >> /etc/hosts && echo written",
        "/etc/hosts 644 0 /etc/hostname 644 0 written",
    ),
];

/// What the second container asks for.
const OPTIONS_OF_RUN: &[&str] = &[
    "--hostname",
    "conditions.example",
    "--network",
    "none",
    "--read-only",
    "-w",
    "/work/deep",
    "-e",
    "NAME=a b=c",
    "-u",
    "1000:1001",
    "--group-add",
    "2001",
    "--group-add",
    "2002",
    "--cap-drop",
    "CHOWN",
    "--cap-add",
    "SYS_PTRACE",
    "--ulimit",
    "nofile=512:1024",
    "--ulimit",
    "core=0",
    "--ulimit",
    "stack=1048576:2097152",
    "--security-opt",
    "no-new-privileges",
    "--oom-score-adj",
    "300",
    "--shm-size",
    "2m",
    "--tmpfs",
    "/scratch:size=1m,mode=1750",
    "--tmpfs",
    "/programs:exec,uid=7",
    "--sysctl",
    "net.ipv4.ip_forward=1",
    "--sysctl",
    "kernel.msgmax=4096",
    "-v",
    "kept:/kept",
    "-v",
    "kept:/seen:ro",
];

const ASKED: &[Row] = &[
    same(
        "environment",
        "tr '\\0' '\\n' < /proc/1/environ | grep NAME | sort",
        "HOSTNAME=conditions.example NAME=a b=c",
    ),
    same("directory", "pwd; stat -c %u .", "/work/deep 0"),
    same(
        "user and groups",
        "id -u; id -g; id -G",
        "1000 1001 1001 2001 2002",
    ),
    same("home", "sh -c 'echo $HOME'", "/"),
    same(
        "capabilities",
        "awk '/^Cap/ { print $2 }' /proc/1/status",
        "0000000000000000 0000000000000000 0000000000000000 00000000a80c25fa 0000000000000000",
    ),
    same(
        "new privileges",
        "awk '/^NoNewPrivs:/ { print $2 }' /proc/1/status",
        "1",
    ),
    same(
        "limits",
        "awk '/Max (open files|core file size)/ { print $(NF - 2), $(NF - 1) } /Max stack/ { print $4, $5 }' /proc/1/limits",
        "1048576 2097152 0 0 512 1024",
    ),
    same(
        "worth when memory runs out",
        "cat /proc/1/oom_score_adj",
        "300",
    ),
    same(
        "host name",
        "hostname; cat /etc/hostname",
        "conditions.example conditions.example",
    ),
    same(
        "root",
        "touch /written /work/deep/written 2>&1 | grep -c Read-only",
        "2",
    ),
    same(
        "/dev/shm",
        "echo x > /dev/shm/x; df -k /dev/shm | awk 'END { print $2 }'",
        "2048",
    ),
    same(
        "tmpfs",
        "at /scratch; stat -c %a /scratch; df -k /scratch | awk 'END { print $2 }'",
        "tmpfs nodev noexec nosuid rw 1750 1024",
    ),
    same(
        "tmpfs for programs",
        "at /programs; stat -c %u /programs",
        "tmpfs nodev nosuid rw 7",
    ),
    same(
        "volumes",
        "for place in seen kept; do at /$place | grep nodev | grep -ow r[ow]; done; touch /seen/x 2>&1 | grep -c Read-only",
        "ro rw 1",
    ),
    same(
        "kernel parameters",
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax",
        "1 4096",
    ),
    same(
        "interfaces",
        "cd /proc/sys/net/ipv4; ls /sys/class/net; ip -o addr | grep -c ' 127.0.0.1/8 '; cat ip_unprivileged_port_start ping_group_range | tr '\\t' ' '",
        "lo 1 0 0 65535",
    ),
];

/// What a container with `options` tells of each row.
fn compare(lab: &Lab, fence: Fence, options: &[&str], rows: &[Row]) {
    let mut script = PROLOGUE.to_owned();
    for Row(property, look, _) in rows {
        // In a process of its own: rows may change their directory.
        let line = format!(
            "printf '%s\\t' '{property}'; ({look}) 2>&1 | tr '\\n' ' ' | sed 's/  */ /g; s/^ //; s/ $//'; echo;\n"
        );
        script.push_str(&line);
    }
    let mut run = vec!["run", "--rm"];
    if fence == Fence::RootWithUsersOfItsOwn {
        run.extend(["--userns", "auto"]);
    }
    run.extend(options);
    run.extend(["app", "sh", "-c", &script]);
    let told = lab.rbuild(&run).success().stdout;
    let wrong: Vec<String> = rows
        .iter()
        .zip(told.lines())
        .filter_map(|(Row(property, _, expected), line)| {
            let found = line.split_once('\t').map_or(line, |(_, found)| found);
            let expected = expected[fence as usize];
            (found != expected).then(|| format!("{property}: {found:?} instead of {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{fence:?}: {wrong:#?}");
    assert_eq!(told.lines().count(), rows.len(), "{told}");
}

#[rstest]
fn a_container_begins_with_what_a_runtime_promises(
    #[values(Fence::Root, Fence::RootWithUsersOfItsOwn, Fence::User)] fence: Fence,
) {
    let Some(lab) = Lab::new(fence.caller()) else {
        return;
    };
    let accounts = "RUN echo root:x:0:0:root:/root:/bin/sh > /etc/passwd && printf 'root:x:0:\\nwheel:x:10:root\\n' > /etc/group";
    lab.build(
        &lab.project(&format!("FROM busybox\n{accounts}\n")),
        &["-t", "app"],
    );
    compare(&lab, fence, &["--network", "host"], USUAL);
    compare(&lab, fence, OPTIONS_OF_RUN, ASKED);
    lab.assert_nothing_left();
}
