//! Which ranges of addresses are free.

use std::net::Ipv4Addr;

use crate::catalog::Network;
use crate::{NetworkError, Subnet};

/// The host's routes, where everybody can read them.
const ROUTES: &str = "/proc/thread-self/net/route";

/// The ranges that are tried, in docker's order: 172.17 to 172.31, then parts of 192.168, then of 10.89 and on.
fn candidates() -> impl Iterator<Item = Subnet> {
    let large = (17..32).map(|second| Subnet::around(Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..16).map(|part| Subnet::around(Ipv4Addr::new(192, 168, part * 16, 0), 20));
    let last = (89..=255).map(|second| Subnet::around(Ipv4Addr::new(10, second, 0, 0), 16));
    large.chain(small).chain(last)
}

/// What is routed from a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Vec<(Subnet, String)>);

impl Routes {
    /// From that of the calling thread.
    pub(crate) fn here() -> Self {
        Self(parse(&std::fs::read_to_string(ROUTES).unwrap_or_default()))
    }

    /// From there, too.
    pub(crate) fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Which interface has addresses of `subnet`.
    pub(crate) fn taken(&self, subnet: Subnet) -> Option<String> {
        let (range, interface) = self.0.iter().find(|(range, _)| range.overlaps(subnet))?;
        Some(format!("{interface} ({range})"))
    }

    /// The first range that nobody there has, nor one of the networks `known`.
    pub(crate) fn free(&self, name: &str, known: &[Network]) -> Result<Subnet, NetworkError> {
        candidates()
            .find(|subnet| {
                let is_known = known.iter().any(|network| network.subnet.overlaps(*subnet));
                !is_known && self.taken(*subnet).is_none()
            })
            .ok_or_else(|| NetworkError::NoSubnet {
                name: name.to_owned(),
            })
    }
}

/// Fails if somebody has addresses of `subnet`.
pub(crate) fn refuse_overlap(
    name: &str,
    subnet: Subnet,
    known: &[Network],
) -> Result<(), NetworkError> {
    let network = known.iter().find(|network| network.subnet.overlaps(subnet));
    let with = match network {
        Some(network) => Some(format!("network {} ({})", network.name, network.subnet)),
        None => Routes::here().taken(subnet),
    };
    match with {
        None => Ok(()),
        Some(with) => Err(NetworkError::Overlap {
            name: name.to_owned(),
            with,
        }),
    }
}

/// Lines of interface, destination, gateway, …, mask (field 7); numbers are hexadecimal, in the machine's byte order.
fn parse(table: &str) -> Vec<(Subnet, String)> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_be);
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (destination, mask) = (number(fields.get(1)?)?, number(fields.get(7)?)?);
            let prefix = u8::try_from(mask.count_ones()).ok()?;
            let range = Subnet::around(Ipv4Addr::from(destination), prefix);
            (prefix > 0).then(|| (range, fields[0].to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_the_host_are_read() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let ranges = parse(table);
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges[0].0.to_string(), "192.0.2.0/24");
        assert_eq!(ranges[0].1, "eth0");
    }

    #[test]
    fn a_free_range_is_free_on_both_sides() {
        let side = |range: Subnet| Routes(vec![(range, "eth0".to_owned())]);
        let mut all = candidates();
        let mut next = || all.next().expect("there are many");
        let (first, second, third) = (next(), next(), next());
        let both = side(first).and(&side(second));
        assert_eq!(both.free("app", &[]).expect("some are left"), third);
        assert_eq!(both.taken(third), None);
        assert!(both.taken(second).is_some_and(|with| with.contains("eth0")));
    }

    #[test]
    fn there_are_many_ranges_and_none_is_offered_twice() {
        let all: Vec<Subnet> = candidates().collect();
        assert!(all.len() > 100);
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| !one.overlaps(*other)));
        }
    }
}
