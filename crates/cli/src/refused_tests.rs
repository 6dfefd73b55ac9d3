//! Each option of docker's, verb by verb, is known here, and what is not supported is refused by name.

use clap::{Arg, Command, CommandFactory as _};

use crate::args::Cli;

/// docker's verbs with their options, a letter before the colon, as of version 28 of its client.
const DOCKERS: &[(&str, &str)] = &[
    ("attach", "detach-keys no-stdin sig-proxy"),
    ("commit", "a:author c:change m:message p:pause"),
    ("cp", "a:archive L:follow-link q:quiet"),
    (
        "create",
        "add-host annotation a:attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c:cpu-shares cpus cpuset-cpus cpuset-mems device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-option dns-search domainname entrypoint e:env env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help h:hostname init i:interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory l:label label-file link link-local-ip log-driver log-opt mac-address m:memory memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged p:publish P:publish-all pull q:quiet read-only restart rm runtime security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs t:tty ulimit use-api-socket u:user userns uts v:volume volume-driver volumes-from w:workdir",
    ),
    ("diff", ""),
    (
        "exec",
        "d:detach detach-keys e:env env-file i:interactive privileged t:tty u:user w:workdir",
    ),
    ("export", "o:output"),
    ("history", "format H:human no-trunc platform q:quiet"),
    (
        "images",
        "a:all digests f:filter format no-trunc q:quiet tree",
    ),
    ("import", "c:change m:message platform"),
    ("info", "f:format"),
    ("inspect", "f:format s:size type"),
    ("kill", "s:signal"),
    ("load", "i:input platform q:quiet"),
    ("login", "p:password password-stdin u:username"),
    ("logout", ""),
    ("logs", "details f:follow since n:tail t:timestamps until"),
    ("pause", ""),
    ("port", ""),
    (
        "ps",
        "a:all f:filter format n:last l:latest no-trunc q:quiet s:size",
    ),
    ("pull", "a:all-tags disable-content-trust platform q:quiet"),
    ("push", "a:all-tags disable-content-trust platform q:quiet"),
    ("rename", ""),
    ("restart", "s:signal t:timeout"),
    ("rm", "f:force l:link v:volumes"),
    ("rmi", "f:force no-prune platform"),
    (
        "run",
        "add-host annotation a:attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c:cpu-shares cpus cpuset-cpus cpuset-mems d:detach detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-option dns-search domainname entrypoint e:env env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help h:hostname init i:interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory l:label label-file link link-local-ip log-driver log-opt mac-address m:memory memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged p:publish P:publish-all pull q:quiet read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs t:tty ulimit use-api-socket u:user userns uts v:volume volume-driver volumes-from w:workdir",
    ),
    ("save", "o:output platform"),
    (
        "start",
        "a:attach checkpoint checkpoint-dir detach-keys i:interactive",
    ),
    ("stats", "a:all format no-stream no-trunc"),
    ("stop", "s:signal t:timeout"),
    ("tag", ""),
    ("top", ""),
    ("unpause", ""),
    (
        "update",
        "blkio-weight cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c:cpu-shares cpus cpuset-cpus cpuset-mems m:memory memory-reservation memory-swap pids-limit restart",
    ),
    ("version", "f:format"),
    ("wait", ""),
    ("container attach", "detach-keys no-stdin sig-proxy"),
    ("container commit", "a:author c:change m:message p:pause"),
    ("container cp", "a:archive L:follow-link q:quiet"),
    (
        "container create",
        "add-host annotation a:attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c:cpu-shares cpus cpuset-cpus cpuset-mems device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-option dns-search domainname entrypoint e:env env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help h:hostname init i:interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory l:label label-file link link-local-ip log-driver log-opt mac-address m:memory memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged p:publish P:publish-all pull q:quiet read-only restart rm runtime security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs t:tty ulimit use-api-socket u:user userns uts v:volume volume-driver volumes-from w:workdir",
    ),
    ("container diff", ""),
    (
        "container exec",
        "d:detach detach-keys e:env env-file i:interactive privileged t:tty u:user w:workdir",
    ),
    ("container export", "o:output"),
    ("container inspect", "f:format s:size"),
    ("container kill", "s:signal"),
    (
        "container logs",
        "details f:follow since n:tail t:timestamps until",
    ),
    (
        "container ls",
        "a:all f:filter format n:last l:latest no-trunc q:quiet s:size",
    ),
    ("container pause", ""),
    ("container port", ""),
    ("container prune", "filter f:force"),
    ("container rename", ""),
    ("container restart", "s:signal t:timeout"),
    ("container rm", "f:force l:link v:volumes"),
    (
        "container run",
        "add-host annotation a:attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c:cpu-shares cpus cpuset-cpus cpuset-mems d:detach detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-option dns-search domainname entrypoint e:env env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help h:hostname init i:interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory l:label label-file link link-local-ip log-driver log-opt mac-address m:memory memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged p:publish P:publish-all pull q:quiet read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs t:tty ulimit use-api-socket u:user userns uts v:volume volume-driver volumes-from w:workdir",
    ),
    (
        "container start",
        "a:attach checkpoint checkpoint-dir detach-keys i:interactive",
    ),
    ("container stats", "a:all format no-stream no-trunc"),
    ("container stop", "s:signal t:timeout"),
    ("container top", ""),
    ("container unpause", ""),
    (
        "container update",
        "blkio-weight cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c:cpu-shares cpus cpuset-cpus cpuset-mems m:memory memory-reservation memory-swap pids-limit restart",
    ),
    ("container wait", ""),
    ("image history", "format H:human no-trunc platform q:quiet"),
    ("image import", "c:change m:message platform"),
    ("image inspect", "f:format platform"),
    ("image load", "i:input platform q:quiet"),
    (
        "image ls",
        "a:all digests f:filter format no-trunc q:quiet tree",
    ),
    ("image prune", "a:all filter f:force"),
    (
        "image pull",
        "a:all-tags disable-content-trust platform q:quiet",
    ),
    (
        "image push",
        "a:all-tags disable-content-trust platform q:quiet",
    ),
    ("image rm", "f:force no-prune platform"),
    ("image save", "o:output platform"),
    ("image tag", ""),
    (
        "network connect",
        "alias driver-opt gw-priority ip ip6 link link-local-ip",
    ),
    (
        "network create",
        "attachable aux-address config-from config-only d:driver gateway ingress internal ip-range ipam-driver ipam-opt ipv4 ipv6 label o:opt scope subnet",
    ),
    ("network disconnect", "f:force"),
    ("network inspect", "f:format v:verbose"),
    ("network ls", "f:filter format no-trunc q:quiet"),
    ("network prune", "filter f:force"),
    ("network rm", "f:force"),
    (
        "volume create",
        "availability d:driver group label limit-bytes o:opt required-bytes scope secret sharing topology-preferred topology-required type",
    ),
    ("volume inspect", "f:format"),
    ("volume ls", "cluster f:filter format q:quiet"),
    ("volume prune", "a:all filter f:force"),
    ("volume rm", "f:force"),
    ("system df", "format v:verbose"),
    ("system info", "f:format"),
    ("system prune", "a:all filter f:force volumes"),
    ("builder prune", "a:all filter f:force keep-storage"),
];

/// A verb with all of its options.
fn verb(words: &str) -> Command {
    let mut found = Cli::command();
    for word in words.split(' ') {
        let inner = found.find_subcommand(word);
        let mut inner = inner
            .unwrap_or_else(|| panic!("there is no {words}"))
            .clone();
        inner.build();
        found = inner;
    }
    found
}

#[test]
fn each_option_of_each_verb_of_dockers_is_known() {
    let mut unknown = Vec::new();
    for (words, options) in DOCKERS {
        let verb = verb(words);
        for option in options.split_whitespace() {
            let (letter, long) = option.rsplit_once(':').unwrap_or(("", option));
            let is_meant = |arg: &&Arg| {
                arg.get_long() == Some(long)
                    || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
            };
            let known = verb.get_arguments().find(is_meant);
            let letters = known
                .and_then(Arg::get_short_and_visible_aliases)
                .unwrap_or_default();
            if known.is_none() || !letter.chars().all(|letter| letters.contains(&letter)) {
                unknown.push(format!("{words} {option}"));
            }
        }
    }
    assert_eq!(unknown, [""; 0]);
}

/// Options that are accepted without being shown, with the values that ask for what is done anyway.
const ACCEPTED: &[&str] = &["disable-content-trust", "no-prune", "ipv4", "ipv6"];

#[test]
fn a_refused_flag_that_is_switched_off_is_none() {
    let read = |line: &[&str]| crate::args::read(line.iter().map(Into::into).collect());
    assert!(read(&["rbuild", "rm", "--link=false", "one"]).is_ok());
    assert!(read(&["rbuild", "volume", "ls", "--cluster=0"]).is_ok());
    for typed in [&["--link=true"][..], &["--link", "--link"], &["--link"]] {
        let told = read(&[&["rbuild", "rm", "one"], typed].concat()).expect_err("refused");
        let told = told.message();
        assert!(told.contains("--link is refused: "), "{told}");
    }
}

#[test]
fn nothing_that_nobody_asked_for_goes_with_what_asks_first() {
    let line = ["rbuild", "system", "prune", "--volumes", "--automatic"];
    let told = crate::args::read(line.iter().map(Into::into).collect());
    let told = told.expect_err("they contradict each other").message();
    assert!(told.contains("cannot be used with"), "{told}");
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_with_a_reason() {
    for (words, options) in DOCKERS {
        let verb = verb(words);
        for option in options.split_whitespace() {
            let long = option.rsplit(':').next().unwrap_or_default();
            let known = verb
                .get_arguments()
                .find(|arg| arg.get_long() == Some(long));
            let hidden = known.filter(|arg| arg.is_hide_set() && !ACCEPTED.contains(&long));
            let Some(arg) = hidden else { continue };
            let option = format!("--{long}");
            let mut line = vec!["rbuild"];
            line.extend(words.split(' '));
            line.push(&option);
            line.extend(arg.get_action().takes_values().then_some("-1"));
            let names = verb.get_positionals().filter(|name| name.is_required_set());
            line.extend(names.map(|_| "one"));
            let told = crate::args::read(line.iter().map(Into::into).collect());
            let told = told.expect_err(words).message();
            let reason = told.strip_prefix(&format!("error: {option} is refused: "));
            assert!(
                reason.is_some_and(|reason| reason.trim().len() > 10),
                "{line:?}: {told}"
            );
        }
    }
}
