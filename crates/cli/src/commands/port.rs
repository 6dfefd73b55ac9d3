//! `rbuild port`: what is published of a container.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use rbuild_container::{NetworkMode, NetworkRecord, StoredConfig, exposed_ports, network_record};
use rbuild_network::{Port, Published};

use super::network::worded;
use super::several::one;
use crate::app::App;
use crate::render;

// What was typed after `rbuild port`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// Only this port, as 80/tcp
    port: Option<String>,
}

/// Prints where the container's ports can be reached.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let container = one(store, &args.container)?;
    let published = network_record(store, &container).map_or_else(Vec::new, |one| one.published);
    let mut text = String::new();
    if let Some(wanted) = &args.port {
        let port: Port = wanted.parse().map_err(worded)?;
        for one in published.iter().filter(|one| one.port == port) {
            let _ = writeln!(text, "{}", place(one));
        }
        if text.is_empty() {
            anyhow::bail!("no public port '{port}' published for {}", container.name);
        }
    } else {
        for one in sorted(&published) {
            let _ = writeln!(text, "{} -> {}", one.port, place(&one));
        }
    }
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The host's side of it.
fn place(one: &Published) -> SocketAddr {
    SocketAddr::new(one.address, one.host)
}

fn sorted(published: &[Published]) -> Vec<Published> {
    let mut all = published.to_vec();
    all.sort_by_key(|one| (one.port, one.address, one.host));
    all
}

/// The column PORTS of `ps`: `0.0.0.0:8080->80/tcp`, and `80/tcp` for what is exposed only.
pub(super) fn column(config: &StoredConfig, record: Option<&NetworkRecord>) -> String {
    let published = record.map_or(&[][..], |record| &record.published);
    let mut words: Vec<(Port, String)> = sorted(published)
        .iter()
        .map(|one| (one.port, format!("{}->{}", place(one), one.port)))
        .collect();
    if matches!(config.options.network, NetworkMode::Private) {
        for port in exposed_ports(config) {
            if !published.iter().any(|one| one.port == port) {
                words.push((port, port.to_string()));
            }
        }
    }
    words.sort_by_key(|(port, _)| *port);
    let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
    words.join(", ")
}
