//! EXPOSE: `[ip:][host-port:]port[-port][/protocol]`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use rbuild_dockerfile::Word;

use super::{Layer, Outcome, Step};
use crate::go::quote;
use crate::lint::rules;
use crate::{go, words};

/// About what `65535/tcp` takes in the config and the history.
const EXPOSED_PORT_BYTES: usize = 32;

impl Step<'_, '_, '_> {
    /// The words are sorted as written, then expanded, then split at blanks: the only instruction that does so.
    pub(super) fn expose(&mut self, written: &[Word]) -> Outcome<()> {
        let mut written: Vec<&Word> = written.iter().collect();
        written.sort_by(|a, b| a.value.cmp(&b.value));
        let mut exposed = Vec::new();
        for word in written {
            let expanded = rbuild_dockerfile::expand_words(
                &word.value,
                self.stage.build.escape,
                &self.stage.state.env,
            )
            .map_err(|reason| words::mistake(&reason, &word.value, self.place(word.span)))?;
            for text in &expanded.words {
                let port = parse(text)
                    .map_err(|reason| self.mistake("invalid-port", reason, word.span))?;
                if port.binding == Binding::Host {
                    self.warn(rules::expose_invalid_format(text, word.span));
                }
                if port.protocol != port.protocol.to_lowercase() {
                    self.warn(rules::expose_proto_casing(text, word.span));
                }
                let protocol = port.protocol.to_lowercase();
                self.spend(port.ports.len() * EXPOSED_PORT_BYTES, word.span)?;
                exposed.extend(port.ports.map(|number| format!("{number}/{protocol}")));
            }
        }
        self.commit(format!("EXPOSE {}", go::list(&exposed)), Layer::None);
        self.state().config.exposed_ports.extend(exposed);
        Ok(())
    }
}

/// What one word of EXPOSE says.
struct Port {
    ports: RangeInclusive<u16>,
    /// As written; `tcp` if absent.
    protocol: String,
    binding: Binding,
}

/// Whether a word also says how to publish the port, which EXPOSE cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    None,
    Host,
}

fn parse(text: &str) -> Result<Port, String> {
    let mut fields = text.rsplitn(3, ':');
    let container = fields.next().unwrap_or_default();
    let host_port = fields.next().unwrap_or_default();
    let address = fields.next().unwrap_or_default();
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    if container.is_empty() {
        return Err(format!("invalid port: {}: no port specified", quote(text)));
    }
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    if !["tcp", "udp", "sctp"].contains(&protocol.to_lowercase().as_str()) {
        return Err(format!(
            "invalid port: {}: invalid proto: {protocol}",
            quote(text)
        ));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
        .unwrap_or(address);
    if !address.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    let numbers = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    if !host_port.is_empty() {
        check_host_range(host_port, container, &numbers)?;
    }
    Ok(Port {
        ports: numbers,
        protocol: protocol.to_owned(),
        binding: if address.is_empty() && host_port.is_empty() {
            Binding::None
        } else {
            Binding::Host
        },
    })
}

fn check_host_range(
    host_port: &str,
    container: &str,
    ports: &RangeInclusive<u16>,
) -> Result<(), String> {
    let host = range(host_port).ok_or_else(|| format!("invalid hostPort: {host_port}"))?;
    let is_range = ports.end() != ports.start();
    if is_range && ports.end() - ports.start() != host.end() - host.start() {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host_port}"
        ));
    }
    Ok(())
}

/// `80` or `80-82`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |digits: &str| {
        let unsigned = digits.strip_prefix('+').unwrap_or(digits);
        let is_plain = unsigned.bytes().all(|digit| digit.is_ascii_digit());
        is_plain.then(|| unsigned.parse::<u16>().ok()).flatten()
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_have_address_host_port_range_and_protocol() {
        for (text, first, last) in [
            ("80", 80, 80),
            ("80-82/udp", 80, 82),
            ("127.0.0.1:80:81", 81, 81),
            ("[2001:4860:0:2001::68]::333", 333, 333),
            ("::1:80:80", 80, 80),
            ("+80", 80, 80),
            ("80-80/UDP", 80, 80),
            ("::::80", 80, 80),
            ("1234-1235:3333-3334/tcp", 3333, 3334),
        ] {
            let port = parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert_eq!(port.ports, first..=last, "{text}");
        }
        for bad in [
            "localhost:1:1",
            "",
            "/tcp",
            "80/icmp",
            "82-80",
            "1-2:1-3",
            "1-3:1-2",
            "a",
            "70000",
            "80-",
            "1-2-3",
            "-1",
            "8 0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
