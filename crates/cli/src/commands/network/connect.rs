//! `rbuild network connect` and `disconnect`.

use std::net::Ipv4Addr;

use anyhow::bail;
use rbuild_container::{ContainerError, connect_network, disconnect_network};
use rbuild_network::{Membership, Networks};

use super::known;
use crate::app::App;
use crate::commands::several::{one, worded};
use crate::refused::{Refusal, Refused, Table, option};

/// What was typed after `network connect`.
#[derive(Debug, clap::Args)]
pub(super) struct Joining {
    /// Name or ID of the network
    network: String,
    /// Name or ID of the container
    container: String,
    /// The container's address there
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// Another name by which it is found there
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,
    #[command(flatten)]
    refused: Refused<OfConnect>,
}

const ADDRESSES: &str =
    "private networks have IPv4 addresses, from which those of interfaces follow";

/// Options that are refused.
#[derive(Debug)]
struct OfConnect;

impl Table for OfConnect {
    const REFUSED: &'static [Refusal] = &[
        option("driver-opt", "bridges have no options of a container"),
        option(
            "gw-priority",
            "the way out leads through the first network that has one",
        ),
        option("ip6", ADDRESSES),
        option(
            "link",
            "containers of one network know each other by name: give --alias",
        ),
        option("link-local-ip", ADDRESSES),
    ];
}

/// What was typed after `network disconnect`.
#[derive(Debug, clap::Args)]
pub(super) struct Leaving {
    /// Name or ID of the network
    network: String,
    /// Name or ID of the container
    container: String,
    /// A container that is gone is fine, and what it left of the network is removed
    #[arg(short, long)]
    force: bool,
}

/// Connects.
pub(super) fn connect(app: &App, joining: &Joining) -> anyhow::Result<()> {
    let store = app.store()?;
    let container = one(store, &joining.container)?;
    if let "host" | "none" = joining.network.as_str() {
        bail!(
            "container cannot be connected to {}: it is no network that can be joined or left",
            joining.network
        );
    }
    let network = known(app, &Networks::new(store.root()), &joining.network)?;
    if network.is_default() && joining.ip.is_some() {
        bail!("user specified IP address is supported on user defined networks only");
    }
    if network.is_default() && !joining.aliases.is_empty() {
        bail!("network-scoped aliases are only supported for user-defined networks");
    }
    if let Some(address) = joining.ip.filter(|ip| !network.subnet.is_host(*ip)) {
        bail!(
            "{address} is none of the addresses of network {} ({})",
            network.name,
            network.subnet
        );
    }
    let membership = Membership {
        network: network.name,
        address: joining.ip,
        aliases: joining.aliases.clone(),
    };
    connect_network(store, &container, &membership).map_err(worded)
}

/// Disconnects.
pub(super) fn disconnect(app: &App, leaving: &Leaving) -> anyhow::Result<()> {
    let store = app.store()?;
    let networks = Networks::new(store.root());
    let found = rbuild_container::find(store, &leaving.container);
    if leaving.force && matches!(found, Err(ContainerError::Missing { .. })) {
        return rbuild_network::sweep(&networks).map_err(super::worded);
    }
    let container = one(store, &leaving.container)?;
    let network = known(app, &networks, &leaving.network)?;
    disconnect_network(store, &container, &network.name).map_err(worded)
}
