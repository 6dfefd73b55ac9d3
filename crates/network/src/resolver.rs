//! Which name servers are asked from a private network.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// How a container finds names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolver {
    /// It asks the host's name servers itself.
    Host,
    /// It asks us, at this address.
    Own(Ipv4Addr),
}

impl Resolver {
    /// /etc/resolv.conf of a private network whose host has `own`, and asks `servers`: from there, what listens on the
    /// host's loopback cannot be reached.
    pub fn file(self, own: &str, servers: &[IpAddr]) -> String {
        let asked: Vec<IpAddr> = match self {
            Self::Own(address) => vec![address.into()],
            Self::Host => {
                let reachable = servers.iter().filter(|server| !server.is_loopback());
                reachable.copied().collect()
            }
        };
        let kept = own.lines().filter(|line| server_of(line).is_none());
        let asked = asked.iter().map(|server| format!("nameserver {server}"));
        let mut text = String::new();
        for line in kept.map(str::to_owned).chain(asked) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// The name servers that the text of an /etc/resolv.conf names.
pub fn name_servers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(server_of);
    servers.filter_map(|text| text.parse().ok()).collect()
}

fn server_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next()? == "nameserver").then(|| words.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_asked_from_a_private_network_is_not_named_there() {
        let own = "search corp\nnameserver 127.0.0.53\nnameserver 10.0.0.1\noptions edns0\n";
        let servers = name_servers(own);
        assert_eq!(servers.len(), 2);
        assert_eq!(
            Resolver::Host.file(own, &servers),
            "search corp\noptions edns0\nnameserver 10.0.0.1\n"
        );
        let ours = Resolver::Own(Ipv4Addr::new(127, 0, 0, 11));
        assert_eq!(
            ours.file(own, &servers),
            "search corp\noptions edns0\nnameserver 127.0.0.11\n"
        );
    }
}
