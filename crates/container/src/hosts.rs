//! /etc/hosts and /etc/resolv.conf as a container sees them.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use rbuild_network::{Endpoint, Resolver};

use crate::NetworkRecord;
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
    /// The name servers that are asked from private networks.
    #[serde(default)]
    pub servers: Vec<IpAddr>,
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

/// What the files are made of, besides the user's options.
pub(crate) struct NameFiles<'a> {
    pub(crate) host: &'a HostFiles,
    /// Where the container is, if it has a network of its own.
    pub(crate) network: Option<&'a NetworkRecord>,
}

const LOOPBACK: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// /etc/hosts: the host's own where its network is shared, then the names that the user adds, then the container's.
pub(crate) fn hosts(options: &Options, names: &NameFiles<'_>, hostname: &str) -> String {
    let mut text = match (&options.network, &names.host.hosts) {
        (NetworkMode::Host, Some(own)) => own.clone(),
        _ => LOOPBACK.to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let places = names.network.map_or(&[][..], |network| &network.endpoints);
    let gateway = places
        .first()
        .map_or(IpAddr::from([127, 0, 0, 1]), |place| place.gateway.into());
    let added = options.add_hosts.iter();
    let lines = added.map(|add| (add.address(gateway), add.name.as_str()));
    let mut own: Vec<_> = places
        .iter()
        .map(|place| (place.address.to_string(), hostname))
        .collect();
    if own.is_empty() {
        own.push(("127.0.0.1".to_owned(), hostname));
    }
    for (address, name) in lines.chain(own) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// The line of /etc/hosts by which a container knows itself on a network.
pub(crate) fn host_line(place: &Endpoint, hostname: &str) -> String {
    format!("{}\t{hostname}", place.address)
}

/// The name servers that are asked for a container: those of `--dns`, else the host's.
pub(crate) fn name_servers(options: &Options, host: &HostFiles) -> Vec<IpAddr> {
    if !options.dns.is_empty() {
        let given = options.dns.iter();
        return given.filter_map(|text| text.parse().ok()).collect();
    }
    if !host.servers.is_empty() {
        return host.servers.clone();
    }
    rbuild_network::name_servers(host.resolv_conf.as_deref().unwrap_or_default())
}

/// /etc/resolv.conf: the host's, with what `--dns` and its companions say in the place of its own lines of that kind. On
/// a network of its own the container cannot ask what listens on the host's loopback; if names are our business, it asks
/// us.
pub(crate) fn resolv_conf(options: &Options, names: &NameFiles<'_>) -> Option<String> {
    let own = names.host.resolv_conf.as_deref()?;
    let (mut servers, mut further) = (options.dns.clone(), options.dns_options.clone());
    match names.network.map(|network| network.resolver) {
        Some(Resolver::Own(address)) => {
            servers = vec![address.to_string()];
            if further.is_empty() {
                // Names without a dot are names, too.
                further.push("ndots:0".to_owned());
            }
        }
        Some(Resolver::Host) if servers.is_empty() => {
            let of_host = name_servers(options, names.host).into_iter();
            let reachable = of_host.filter(|server| !server.is_loopback());
            servers = reachable.map(|server| server.to_string()).collect();
        }
        _ => {}
    }
    let kinds = [
        ("nameserver", servers.as_slice(), Form::LineEach),
        ("search", options.dns_search.as_slice(), Form::OneLine),
        ("options", further.as_slice(), Form::OneLine),
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
    use crate::AddHost;

    #[test]
    fn names_of_the_host_network_stay_and_new_ones_follow() {
        let host = HostFiles {
            hosts: Some("10.0.0.7 build".to_owned()),
            resolv_conf: None,
            servers: Vec::new(),
        };
        let names = NameFiles {
            host: &host,
            network: None,
        };
        let mut options = Options {
            add_hosts: vec![AddHost::parse("db:10.0.0.9").expect("well-formed")],
            ..Options::default()
        };
        assert_eq!(
            hosts(&options, &names, "abc"),
            "10.0.0.7 build\n10.0.0.9\tdb\n127.0.0.1\tabc\n"
        );
        options.network = NetworkMode::None;
        assert!(!hosts(&options, &names, "abc").contains("10.0.0.7"));
    }

    #[test]
    fn name_servers_take_the_place_of_the_hosts_own() {
        let host = HostFiles {
            hosts: None,
            resolv_conf: Some("nameserver 10.0.0.1\nsearch corp\n".to_owned()),
            servers: Vec::new(),
        };
        let options = Options {
            dns: vec!["9.9.9.9".into(), "1.1.1.1".into()],
            ..Options::default()
        };
        let names = NameFiles {
            host: &host,
            network: None,
        };
        assert_eq!(
            resolv_conf(&options, &names).as_deref(),
            Some("search corp\nnameserver 9.9.9.9\nnameserver 1.1.1.1\n")
        );
    }

    fn record(resolver: &str) -> NetworkRecord {
        let text = format!(
            r#"{{"version":1,"endpoints":[{{"network":"app","id":"07","address":"10.5.0.2","prefix":24,
            "gateway":"10.5.0.1","reach":"outside","mac":[2,66,10,5,0,2],"aliases":[]}}],"published":[],"resolver":{resolver}}}"#
        );
        serde_json::from_str(&text).expect("well-formed")
    }

    #[test]
    fn on_a_network_of_its_own_a_container_has_its_address_and_not_the_hosts_names() {
        let host = HostFiles {
            hosts: Some("10.0.0.7 build".to_owned()),
            resolv_conf: Some("nameserver 127.0.0.53\nnameserver 10.0.0.1\n".to_owned()),
            servers: Vec::new(),
        };
        let options = Options {
            network: NetworkMode::Private,
            add_hosts: vec![AddHost::parse("up:host-gateway").expect("well-formed")],
            ..Options::default()
        };
        let network = record(r#""host""#);
        let names = NameFiles {
            host: &host,
            network: Some(&network),
        };
        let text = hosts(&options, &names, "abc");
        assert!(text.ends_with("10.5.0.1\tup\n10.5.0.2\tabc\n"), "{text}");
        assert!(!text.contains("build"));
        let text = resolv_conf(&options, &names).expect("it has one");
        assert_eq!(text, "nameserver 10.0.0.1\n");
        let network = record(r#"{"own":"127.0.0.11"}"#);
        let names = NameFiles {
            host: &host,
            network: Some(&network),
        };
        let text = resolv_conf(&options, &names).expect("it has one");
        assert_eq!(text, "nameserver 127.0.0.11\noptions ndots:0\n");
    }
}
