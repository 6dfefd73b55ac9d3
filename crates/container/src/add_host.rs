//! `--add-host`: lines of /etc/hosts.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ContainerError;

/// What stands for the host's address, whichever that is.
const HOST_GATEWAY: &str = "host-gateway";

/// A line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddHost {
    /// The name.
    pub name: String,
    /// Its address, or `host-gateway`.
    pub address: String,
}

impl AddHost {
    /// The address, where `host-gateway` stands for the host as it is reached at `gateway`.
    pub fn address(&self, gateway: IpAddr) -> String {
        if self.address == HOST_GATEWAY {
            return gateway.to_string();
        }
        self.address.clone()
    }

    /// Reads `--add-host`: `name:address` or `name=address`; an IPv6 address may stand in brackets.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| ContainerError::option("--add-host", text, reason);
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(|| fail("it is name:address"))?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(fail("the name is empty or has white space"));
        }
        if address != HOST_GATEWAY && address.parse::<IpAddr>().is_err() {
            return Err(fail("what stands after the name is no IP address"));
        }
        Ok(Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }
}
