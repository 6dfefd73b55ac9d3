//! Which networks a container is on, and what is published of it.

use anyhow::bail;
use rbuild_container::{Exposed, NetworkMode, Options, Sysctl};
use rbuild_network::{DEFAULT_NETWORK, Membership, Networks, Publish, Reach, way_out};

use super::options::ContainerArgs;
use crate::app::App;
use crate::commands::network::{known, worded};
use crate::render::{Board, Voice};

/// Adds what `args` say of networks and ports.
pub(super) fn add(app: &App, args: &ContainerArgs, options: &mut Options) -> anyhow::Result<()> {
    for text in &args.publish {
        options.ports.extend(Publish::parse(text).map_err(worded)?);
    }
    for text in &args.expose {
        options.expose.push(text.parse().map_err(worded)?);
    }
    if args.publish_all {
        options.exposed = Exposed::Published;
    }
    let publishes = args.publish_all || !args.publish.is_empty();
    let named = named(app, args);
    // What nobody would notice on the host's network may be there, where there is no other.
    let insists = publishes || options.sysctls.iter().any(Sysctl::is_of_network);
    options.network = mode(&named, insists)?;
    match &options.network {
        NetworkMode::Default => options.networks = memberships(app, args, &named)?,
        NetworkMode::Private => {
            options.networks = memberships(app, args, &named)?;
            warn_of_no_way_out(app, &options.networks)?;
        }
        _ if args.ip.is_some() || !args.network_aliases.is_empty() => {
            bail!("--ip and --network-alias need a network of their own (rbuild network create)")
        }
        NetworkMode::Container(_) if publishes => {
            bail!("conflicting options: port publishing and the container type network mode")
        }
        NetworkMode::Host if publishes => {
            let warning = "WARNING: Published ports are discarded when using host network mode";
            Board::new(Voice::Stderr).say(warning);
        }
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => {}
    }
    Ok(())
}

/// A normal user's networks lead out by a program, where there is one.
fn warn_of_no_way_out(app: &App, memberships: &[Membership]) -> anyhow::Result<()> {
    if rbuild_sys::is_initial_user_namespace() {
        return Ok(());
    }
    let Err(reason) = way_out() else {
        return Ok(());
    };
    let networks = Networks::new(app.store()?.root());
    let leads_out = |one: &Membership| {
        let network = networks.find(&one.network);
        network.is_ok_and(|network| network.reach == Reach::Outside)
    };
    if memberships.iter().any(leads_out) {
        Board::new(Voice::Stderr).say(&format!(
            "WARNING: Nothing leads out of this container: {reason}"
        ));
    }
    Ok(())
}

/// The networks that are named, on the command line or else in the configuration.
fn named(app: &App, args: &ContainerArgs) -> Vec<String> {
    match args.networks.as_slice() {
        [] => {}
        [one] if one == "default" => {}
        names => return names.to_vec(),
    }
    let publishes = args.publish_all || !args.publish.is_empty();
    let configured = app.networks.of_containers();
    // Ports can be published of private networks only.
    let fits = configured.filter(|name| !publishes || !["host", "none"].contains(name));
    fits.map(str::to_owned).into_iter().collect()
}

fn mode(named: &[String], insists: bool) -> anyhow::Result<NetworkMode> {
    match named {
        [] if insists => Ok(NetworkMode::Private),
        [] => Ok(NetworkMode::Default),
        [one] => Ok(NetworkMode::parse(one)?),
        several => {
            for name in several {
                if NetworkMode::parse(name)? != NetworkMode::Private {
                    bail!("conflicting options: --network {name} goes with no other network");
                }
            }
            Ok(NetworkMode::Private)
        }
    }
}

fn memberships(
    app: &App,
    args: &ContainerArgs,
    given: &[String],
) -> anyhow::Result<Vec<Membership>> {
    let mut named: Vec<&str> = given.iter().map(String::as_str).collect();
    if named.is_empty() {
        named.push(DEFAULT_NETWORK);
    }
    let networks = Networks::new(app.store()?.root());
    let mut memberships: Vec<Membership> = Vec::new();
    for name in named {
        let network = known(app, &networks, name)?;
        if network.is_default() && args.ip.is_some() {
            bail!("user specified IP address is supported on user defined networks only");
        }
        if network.is_default() && !args.network_aliases.is_empty() {
            bail!("network-scoped aliases are only supported for user-defined networks");
        }
        if memberships.iter().any(|one| one.network == network.name) {
            bail!("network {} is named twice", network.name);
        }
        memberships.push(Membership {
            network: network.name,
            address: args.ip.filter(|_| memberships.is_empty()),
            aliases: args.network_aliases.clone(),
        });
    }
    Ok(memberships)
}
