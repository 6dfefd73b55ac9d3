//! Ranges of IPv4 addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NetworkError;

/// A range of addresses, as `172.18.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

/// The longest prefix that leaves room for a gateway and a container.
const LONGEST_PREFIX: u8 = 30;

impl Subnet {
    /// The range of `prefix` fixed bits that has `address` in it.
    pub(crate) fn around(address: Ipv4Addr, prefix: u8) -> Self {
        let base = Ipv4Addr::from(u32::from(address) & mask(prefix));
        Self { base, prefix }
    }

    /// The number of fixed bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` is one of its own.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.base)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// The addresses that can be somebody's: neither the first, which is the range's name, nor the last, which is all.
    pub(crate) fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let first = u32::from(self.base);
        let last = first | !mask(self.prefix);
        (first.saturating_add(1)..last).map(Ipv4Addr::from)
    }

    /// Whether `address` can be somebody's.
    pub fn is_host(self, address: Ipv4Addr) -> bool {
        let number = u32::from(address);
        let first = u32::from(self.base);
        self.contains(address) && number != first && number != first | !mask(self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let fail = |reason| NetworkError::value("--subnet", text, reason);
        let (address, prefix) = text
            .split_once('/')
            .ok_or_else(|| fail("it is ADDRESS/BITS, as 172.28.0.0/16"))?;
        if address.contains(':') {
            return Err(fail("private networks have IPv4 addresses only"));
        }
        let address = address
            .parse()
            .map_err(|_| fail("it has no IPv4 address"))?;
        let prefix: u8 = prefix
            .parse()
            .map_err(|_| fail("it has no number of bits"))?;
        if !(8..=LONGEST_PREFIX).contains(&prefix) {
            return Err(fail("it has between 8 and 30 bits"));
        }
        Ok(Self::around(address, prefix))
    }
}

impl TryFrom<String> for Subnet {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("well-formed")
    }

    #[test]
    fn a_range_has_all_addresses_but_its_first_and_last() {
        let small = subnet("10.1.2.7/29");
        assert_eq!(small.to_string(), "10.1.2.0/29");
        let hosts: Vec<_> = small.hosts().collect();
        assert_eq!(hosts.len(), 6);
        assert_eq!(hosts[0], Ipv4Addr::new(10, 1, 2, 1));
        assert!(small.is_host(hosts[5]) && !small.is_host(Ipv4Addr::new(10, 1, 2, 7)));
        assert!(!small.contains(Ipv4Addr::new(10, 1, 2, 8)));
    }

    #[test]
    fn ranges_overlap_whichever_is_the_wider_one() {
        let wide = subnet("172.16.0.0/12");
        assert!(wide.overlaps(subnet("172.20.0.0/16")));
        assert!(subnet("172.20.0.0/16").overlaps(wide));
        assert!(!subnet("172.20.0.0/16").overlaps(subnet("172.21.0.0/16")));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in [
            "10.0.0.0",
            "10.0.0.0/31",
            "10.0.0.0/4",
            "fd00::/64",
            "x/16",
            "10.0.0.0/x",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }
}
