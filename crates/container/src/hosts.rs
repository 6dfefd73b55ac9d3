//! /etc/hosts and /etc/resolv.conf as a container sees them.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::options::{NetworkMode, Options};

/// Where a container's supervisor finds the host's files as they were when it was started.
const FILE: &str = "host.json";

/// The host's files, which only the caller reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFiles {
    /// /etc/hosts; `None` where there is none.
    pub hosts: Option<String>,
    /// /etc/resolv.conf; `None` where there is none.
    pub resolv_conf: Option<String>,
}

impl HostFiles {
    /// Leaves them to the supervisor of the container in `directory`.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        std::fs::write(directory.join(FILE), serde_json::to_vec(self)?)
    }

    /// Those that were left.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(directory.join(FILE))?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

const LOOPBACK: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// /etc/hosts: the host's own where its network is shared, then the names that the user adds, then the container's.
pub(crate) fn hosts(options: &Options, host: &HostFiles, hostname: &str) -> String {
    let mut text = match (options.network, &host.hosts) {
        (NetworkMode::Host, Some(own)) => own.clone(),
        _ => LOOPBACK.to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let own = ("127.0.0.1", hostname);
    let added = options.add_hosts.iter();
    let lines = added.map(|add| (add.address.as_str(), add.name.as_str()));
    for (address, name) in lines.chain([own]) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// /etc/resolv.conf: the host's, with what `--dns` and its companions say in the place of its own lines of that kind.
pub(crate) fn resolv_conf(options: &Options, host: &HostFiles) -> Option<String> {
    let own = host.resolv_conf.as_deref()?;
    let kinds = [
        ("nameserver", options.dns.as_slice(), Form::LineEach),
        ("search", options.dns_search.as_slice(), Form::OneLine),
        ("options", options.dns_options.as_slice(), Form::OneLine),
    ];
    let replaced = |line: &str| {
        let key = line.split_whitespace().next().unwrap_or_default();
        let key = if key == "domain" { "search" } else { key };
        kinds
            .iter()
            .any(|(kind, values, _)| *kind == key && !values.is_empty())
    };
    let mut text = String::new();
    let kept = own.lines().filter(|line| !replaced(line));
    let given = kinds.iter().flat_map(|(kind, values, form)| match form {
        _ if values.is_empty() => Vec::new(),
        Form::OneLine if *values == ["."] => Vec::new(),
        Form::OneLine => vec![format!("{kind} {}", values.join(" "))],
        Form::LineEach => values
            .iter()
            .map(|value| format!("{kind} {value}"))
            .collect(),
    });
    for line in kept.map(str::to_owned).chain(given) {
        text.push_str(&line);
        text.push('\n');
    }
    Some(text)
}

/// How several values of a kind are written.
#[derive(Clone, Copy)]
enum Form {
    LineEach,
    OneLine,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::AddHost;

    #[test]
    fn names_of_the_host_network_stay_and_new_ones_follow() {
        let host = HostFiles {
            hosts: Some("10.0.0.7 build".to_owned()),
            resolv_conf: None,
        };
        let mut options = Options {
            add_hosts: vec![AddHost::parse("db:10.0.0.9").expect("well-formed")],
            ..Options::default()
        };
        assert_eq!(
            hosts(&options, &host, "abc"),
            "10.0.0.7 build\n10.0.0.9\tdb\n127.0.0.1\tabc\n"
        );
        options.network = NetworkMode::None;
        assert!(!hosts(&options, &host, "abc").contains("10.0.0.7"));
    }

    #[test]
    fn name_servers_take_the_place_of_the_hosts_own() {
        let host = HostFiles {
            hosts: None,
            resolv_conf: Some("nameserver 10.0.0.1\nsearch corp\n".to_owned()),
        };
        let options = Options {
            dns: vec!["9.9.9.9".into(), "1.1.1.1".into()],
            ..Options::default()
        };
        assert_eq!(
            resolv_conf(&options, &host).as_deref(),
            Some("search corp\nnameserver 9.9.9.9\nnameserver 1.1.1.1\n")
        );
    }
}
