//! `rbuild network`: networks that containers find each other on.

mod connect;
mod describe;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::bail;
use rbuild_network::{DEFAULT_NETWORK, Network, NetworkError, Networks, NewNetwork, Reach, Subnet};
use serde_json::Value;

pub(super) use self::describe::{bindings, settings};
use super::format::Format;
use super::history::{cell, column};
use super::inspect::indented;
use super::prune::Chosen;
use crate::app::App;
use crate::failure::{all_of, chain};
use crate::refused::{Refusal, Refused, Table, flag, option};
use crate::render;

// What was typed after `rbuild network`.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
enum Verb {
    /// Make a network
    Create(New),
    /// List networks
    #[command(alias = "list")]
    Ls {
        /// Only IDs
        #[arg(short, long)]
        quiet: bool,
        /// Complete IDs
        #[arg(long)]
        no_trunc: bool,
        /// Only networks that fit: name=PATTERN, id=PATTERN, driver=DRIVER, label=KEY[=VALUE], type=custom|builtin,
        /// scope=local, dangling=true|false
        #[arg(short, long = "filter", value_name = "FILTER")]
        filters: Vec<String>,
        /// json, or a template such as '{{.Name}}'
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Put a container on a network: at once if it runs, else when it starts
    Connect(connect::Joining),
    /// Take a container off a network
    Disconnect(connect::Leaving),
    /// Remove networks that no container is on
    #[command(alias = "remove")]
    Rm {
        /// Names or IDs
        #[arg(required = true)]
        names: Vec<String>,
        /// Those that are not there are fine
        #[arg(short, long)]
        force: bool,
    },
    /// Show everything about networks, as JSON
    Inspect {
        /// Names or IDs
        #[arg(required = true)]
        names: Vec<String>,
        /// json, or a template
        #[arg(short, long, value_name = "FORMAT")]
        format: Option<String>,
        /// More, where there is more
        #[arg(short, long)]
        verbose: bool,
    },
    /// Remove all networks that no container is on
    Prune {
        /// Do not ask
        #[arg(short, long)]
        force: bool,
        /// Only what fits: until=24h, label=NAME[=VALUE], label!=NAME[=VALUE]
        #[arg(long = "filter", value_name = "FILTER")]
        filters: Vec<String>,
    },
}

// A network that is to be.
#[derive(Debug, clap::Args)]
struct New {
    /// Its name
    name: String,
    /// Its addresses, as 172.28.0.0/16
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// The host's address on it
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Ipv4Addr>,
    /// Where containers get their addresses from: a part of the subnet
    #[arg(long, value_name = "SUBNET")]
    ip_range: Option<String>,
    /// Addresses of IPv6
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    ipv6: Option<bool>,
    /// Containers reach each other, and nothing else
    #[arg(long)]
    internal: bool,
    /// Label: NAME[=VALUE]
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// bridge
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge")]
    driver: String,
    /// Accepted for docker's sake: containers can always be connected
    #[arg(long)]
    attachable: bool,
    /// Option of the driver: NAME=VALUE
    #[arg(short, long = "opt", value_name = "OPTION")]
    options: Vec<String>,
    /// Addresses of IPv4
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    ipv4: Option<bool>,
    #[command(flatten)]
    refused: Refused<OfCreate>,
}

const SWARM: &str = "networks are of this machine alone";
const SOURCES: &str = "a network is described by its own options";
const ADDRESSES: &str =
    "addresses are given one by one, the lowest that is free: give --ip-range to keep others out";

/// Options that are refused.
#[derive(Debug)]
struct OfCreate;

impl Table for OfCreate {
    const REFUSED: &'static [Refusal] = &[
        option("aux-address", ADDRESSES),
        option("config-from", SOURCES),
        flag("config-only", SOURCES),
        flag("ingress", SWARM),
        option("ipam-driver", ADDRESSES),
        option("ipam-opt", ADDRESSES),
        option("scope", SWARM),
    ];
}

/// Does it.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Create(new) => create(app, new)?,
        Verb::Ls {
            quiet,
            no_trunc,
            filters,
            format,
        } => {
            let length = if *no_trunc {
                describe::Ids::Whole
            } else {
                describe::Ids::Short
            };
            let text = list(app, *quiet, length, filters, format.as_deref())?;
            render::out(&text)?;
        }
        Verb::Connect(joining) => connect::connect(app, joining)?,
        Verb::Disconnect(leaving) => connect::disconnect(app, leaving)?,
        Verb::Rm { names, force } => remove(app, names, *force)?,
        Verb::Inspect { names, format, .. } => inspect(app, names, format.as_deref())?,
        Verb::Prune { force, filters } => prune(app, *force, filters)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The networks of the store, with the one that is always there.
fn all(app: &App) -> anyhow::Result<(Networks, Vec<Network>)> {
    let networks = Networks::new(app.store()?.root());
    known(app, &networks, DEFAULT_NETWORK)?;
    let list = networks.list().map_err(worded)?;
    Ok((networks, list))
}

/// The network of this name or id.
pub(super) fn known(app: &App, networks: &Networks, name: &str) -> anyhow::Result<Network> {
    if name == DEFAULT_NETWORK || name == "default" {
        let seed = super::run::seed()?.0;
        let made = networks.default_network(seed, app.environment.now());
        return made.map_err(worded);
    }
    networks.find(name).map_err(worded)
}

/// The library's messages follow "failed to"; what is not there is told in docker's words.
#[allow(clippy::needless_pass_by_value, reason = "as map_err has it")]
pub(super) fn worded(error: NetworkError) -> anyhow::Error {
    match &error {
        NetworkError::Missing { name } => anyhow::anyhow!("network {name} not found"),
        _ => anyhow::anyhow!("failed to {}", chain(&error)),
    }
}

fn create(app: &App, new: &New) -> anyhow::Result<()> {
    if new.driver != "bridge" {
        bail!(
            "network driver {:?} is not supported: there is bridge",
            new.driver
        );
    }
    if new.ipv4 == Some(false) {
        bail!("--ipv4=false is not supported: private networks have IPv4 addresses");
    }
    if new.ipv6 == Some(true) {
        bail!("--ipv6 is not supported: private networks have IPv4 addresses only");
    }
    let subnet = |text: &Option<String>| text.as_deref().map(str::parse::<Subnet>).transpose();
    let wanted = NewNetwork {
        name: new.name.clone(),
        subnet: subnet(&new.subnet).map_err(worded)?,
        gateway: new.gateway,
        ip_range: subnet(&new.ip_range).map_err(worded)?,
        reach: if new.internal {
            Reach::Internal
        } else {
            Reach::Outside
        },
        labels: pairs(&new.labels),
        options: pairs(&new.options),
    };
    let networks = Networks::new(app.store()?.root());
    let seed = super::run::seed()?.0;
    let made = networks
        .create(&wanted, seed, app.environment.now())
        .map_err(worded)?;
    render::out(&format!("{}\n", made.id.as_str()))?;
    Ok(())
}

fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}

fn list(
    app: &App,
    quiet: bool,
    ids: describe::Ids,
    filters: &[String],
    format: Option<&str>,
) -> anyhow::Result<String> {
    let format = format.map(Format::parse).transpose()?;
    let filters = describe::filters(filters)?;
    let (home, networks) = all(app)?;
    let fits = |row: &Value| {
        let name = cell(row, "Name");
        let network = networks.iter().find(|network| network.name == name);
        let members = network.map(|network| home.members(&network.id));
        let used = match members.transpose().map_err(worded)? {
            Some(members) if members.is_empty() => describe::Use::Unused,
            _ => describe::Use::Used,
        };
        anyhow::Ok(describe::fits(&filters, row, network, used))
    };
    let mut rows = Vec::new();
    for row in describe::rows(&networks, ids) {
        if fits(&row)? {
            rows.push(row);
        }
    }
    Ok(match format {
        _ if quiet => column(&rows, "ID"),
        Some(format) => format.render(&rows)?,
        None => {
            let mut table = render::Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
            for row in &rows {
                table.row(["ID", "Name", "Driver", "Scope"].map(|field| cell(row, field)));
            }
            table.render()
        }
    })
}

fn remove(app: &App, names: &[String], force: bool) -> anyhow::Result<()> {
    let networks = Networks::new(app.store()?.root());
    rbuild_network::sweep(&networks).map_err(worded)?;
    let mut failures = Vec::new();
    for name in names {
        match networks.remove(name) {
            Ok(()) => render::out(&format!("{name}\n"))?,
            Err(NetworkError::Missing { .. }) if force => {}
            Err(error) => failures.push(worded(error).to_string()),
        }
    }
    all_of(&failures)
}

fn inspect(app: &App, names: &[String], format: Option<&str>) -> anyhow::Result<()> {
    let format = format.map(Format::parse).transpose()?;
    let (networks, _) = all(app)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match document(app, &networks, name) {
            Ok(value) => found.push(value),
            Err(error) => failures.push(chain(error.as_ref())),
        }
    }
    render::out(&match format {
        Some(format) => format.render(&found)?,
        None => format!("{}\n", indented(&Value::Array(found))?),
    })?;
    all_of(&failures)
}

fn document(app: &App, networks: &Networks, name: &str) -> anyhow::Result<Value> {
    match describe::builtin(name) {
        Some(value) => Ok(value),
        None => describe::network(networks, &known(app, networks, name)?),
    }
}

/// What there is to tell of a network; `None` if there is none of this name or id.
pub(super) fn find(app: &App, name: &str) -> anyhow::Result<Option<Value>> {
    let networks = Networks::new(app.store()?.root());
    let missing = matches!(networks.find(name), Err(NetworkError::Missing { .. }));
    if missing && name != DEFAULT_NETWORK && describe::builtin(name).is_none() {
        return Ok(None);
    }
    document(app, &networks, name).map(Some)
}

fn prune(app: &App, force: bool, filters: &[String]) -> anyhow::Result<()> {
    let chosen = Chosen::parse(filters, app.environment.now())?;
    if !force {
        if !std::io::stdin().is_terminal() {
            bail!(
                "network prune asks before it removes, and there is no terminal to ask on: give -f"
            );
        }
        if !super::prune::confirmed(
            "WARNING! This will remove all networks that no container is on.\nAre you sure you want to continue? [y/N] ",
        )? {
            return Ok(());
        }
    }
    let networks = Networks::new(app.store()?.root());
    rbuild_network::sweep(&networks).map_err(worded)?;
    let mut text = String::new();
    for network in networks.list().map_err(worded)? {
        if !chosen.fits(Some(network.created), Some(&network.labels)) {
            continue;
        }
        match networks.remove(&network.name) {
            Ok(()) => {
                text.push_str(&network.name);
                text.push('\n');
            }
            Err(NetworkError::InUse { .. } | NetworkError::Predefined { .. }) => {}
            Err(error) => return Err(worded(error)),
        }
    }
    if !text.is_empty() {
        render::out(&format!("Deleted Networks:\n{text}\n"))?;
    }
    Ok(())
}
