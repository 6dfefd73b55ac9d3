//! What is asked of a new network, and whether that can be.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::{NetworkError, Reach, Subnet};

/// What the user asks of a new network.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// `--subnet`; one that is free if it is not given.
    pub subnet: Option<Subnet>,
    /// `--gateway`; the first address if it is not given.
    pub gateway: Option<Ipv4Addr>,
    /// `--ip-range`: where containers get their addresses from.
    pub ip_range: Option<Subnet>,
    /// `--internal`.
    pub reach: Reach,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `-o`.
    pub options: BTreeMap<String, String>,
}

/// The host's address on it.
pub(crate) fn gateway(new: &NewNetwork, subnet: Subnet) -> Result<Ipv4Addr, NetworkError> {
    let fail = |option, value: String, reason| Err(NetworkError::value(option, value, reason));
    if let Some(range) = new.ip_range
        && (range.prefix() < subnet.prefix() || !subnet.overlaps(range))
    {
        return fail(
            "--ip-range",
            range.to_string(),
            "it is no part of the subnet",
        );
    }
    match new.gateway {
        _ if new.subnet.is_none() && (new.gateway.is_some() || new.ip_range.is_some()) => fail(
            "--subnet",
            String::new(),
            "a gateway or a range needs it to be given",
        ),
        Some(gateway) if !subnet.is_host(gateway) => fail(
            "--gateway",
            gateway.to_string(),
            "it is no address of the subnet",
        ),
        Some(gateway) => Ok(gateway),
        None => Ok(subnet
            .hosts()
            .next()
            .expect("a subnet has at least two addresses")),
    }
}

/// Refuses what is no name of a network.
pub(crate) fn check_name(name: &str) -> Result<(), NetworkError> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let fits = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && fits && name.len() <= 128 {
        return Ok(());
    }
    Err(NetworkError::value(
        "network name",
        name,
        "it has letters, digits, '_', '.' and '-', and begins with a letter or digit",
    ))
}
