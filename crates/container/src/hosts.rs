//! /etc/hosts and /etc/resolv.conf as a container sees them.

use std::fmt::Write as _;

use crate::options::{NetworkMode, Options};

/// The host's files, which only the caller reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// /etc/hosts; `None` where there is none.
    pub hosts: Option<String>,
    /// /etc/resolv.conf; `None` where there is none.
    pub resolv_conf: Option<String>,
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
}
