//! Published ports: what `-p` says, and what became of it.
//!
//! ```text
//! -p 80                     any free port → 80/tcp
//! -p 8080:80                0.0.0.0:8080 and [::]:8080 → 80/tcp
//! -p 127.0.0.1:8000-8002:80-82/udp
//! ```

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NetworkError;

/// How a port is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of a container, as `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl FromStr for Port {
    type Err = NetworkError;

    /// Reads `80`, `80/tcp` or `80/udp`.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (numbers, protocol) = with_protocol("port", text)?;
        match numbers.parse() {
            Ok(number) if number > 0 => Ok(Self { number, protocol }),
            _ => Err(NetworkError::value(
                "port",
                text,
                "it is a number between 1 and 65535",
            )),
        }
    }
}

/// One `-p`, for one port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The host's address to listen on; all of them if it is not given.
    pub address: Option<IpAddr>,
    /// The host's ports, of which the first free one is taken; any free one if none is given.
    pub host: Option<(u16, u16)>,
    /// The container's.
    pub port: Port,
}

/// A port that is published: what listens where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The container's.
    pub port: Port,
    /// The host's address.
    pub address: IpAddr,
    /// The host's.
    pub host: u16,
}

impl Publish {
    /// Reads `-p`: `[[address:][host]:]container[/protocol]`, ports or ranges of ports; an IPv6 address stands in
    /// brackets.
    pub fn parse(text: &str) -> Result<Vec<Self>, NetworkError> {
        let fail = |reason: &str| NetworkError::value("--publish", text, reason);
        let (rest, protocol) = with_protocol("--publish", text)?;
        let (rest, container) = match rest.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), container),
            None => (None, rest),
        };
        let container = range(container).ok_or_else(|| fail("invalid containerPort"))?;
        let (address, host) = match rest {
            None => (None, ""),
            Some(rest) if rest.ends_with(']') => return Err(fail("a host port is missing")),
            Some(rest) => match rest.rsplit_once(':') {
                Some((address, host)) => (Some(address), host),
                None => (None, rest),
            },
        };
        let address = match address.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(ip(text).ok_or_else(|| fail("invalid IP address"))?),
        };
        let host = match host {
            "" => None,
            // Which one does not matter.
            "0" if container.0 == container.1 => None,
            text => Some(range(text).ok_or_else(|| fail("invalid hostPort"))?),
        };
        let count = container.1 - container.0;
        let place = |index: u16| match host {
            None => Ok(None),
            // One port of the container takes the first of the range that is free.
            Some(host) if count == 0 => Ok(Some(host)),
            Some((first, last)) if last - first == count => {
                Ok(Some((first + index, first + index)))
            }
            Some(_) => Err(fail(
                "invalid ranges specified for container and host Ports: they differ in length",
            )),
        };
        (0..=count)
            .map(|index| {
                Ok(Self {
                    address,
                    host: place(index)?,
                    port: Port {
                        number: container.0 + index,
                        protocol,
                    },
                })
            })
            .collect()
    }
}

/// The text before the protocol, and that; TCP where none is named.
fn with_protocol<'a>(
    option: &'static str,
    text: &'a str,
) -> Result<(&'a str, Protocol), NetworkError> {
    let Some((rest, protocol)) = text.split_once('/') else {
        return Ok((text, Protocol::Tcp));
    };
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Ok((rest, Protocol::Tcp)),
        "udp" => Ok((rest, Protocol::Udp)),
        _ => Err(NetworkError::value(
            option,
            text,
            "the protocol is tcp or udp",
        )),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

fn ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None if text.contains(':') => None,
        None if text == "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Publish {
        let mut all = Publish::parse(text).expect(text);
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn ports_are_read_as_docker_writes_them() {
        let plain = one("8080:80");
        assert_eq!((plain.address, plain.host), (None, Some((8080, 8080))));
        assert_eq!(plain.port.to_string(), "80/tcp");
        assert_eq!(one("80").host, None);
        let local = one("127.0.0.1::53/udp");
        assert_eq!(local.address, Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(
            (local.host, local.port.to_string()),
            (None, "53/udp".to_owned())
        );
        // Any that is free, said in another way.
        for text in ["0:80", "127.0.0.1:0:80"] {
            assert_eq!(one(text).host, None, "{text}");
        }
        assert_eq!(one("127.0.0.1:0:80").address, local.address);
        assert_eq!(one("[::1]:8080:80").address, "::1".parse().ok());
        assert_eq!(one("8000-8010:80").host, Some((8000, 8010)));
        let three = Publish::parse("8000-8002:80-82").expect("well-formed");
        assert_eq!(three.len(), 3);
        assert_eq!(
            (three[2].host, three[2].port.number),
            (Some((8002, 8002)), 82)
        );
    }

    #[test]
    fn what_is_no_port_is_refused() {
        let bad = [
            "",
            "x",
            "0",
            "80:0",
            "0:80-81",
            "70000:80",
            "80-90:70-71",
            "9-8",
            "80/sctp",
            "1.2.3:80:80",
            "::1:80:80",
            "[::1]:80",
            "a:80",
        ];
        for text in bad {
            assert!(Publish::parse(text).is_err(), "{text}");
        }
    }
}
