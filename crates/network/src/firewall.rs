//! What the host's packet filter has to know of a network, told by the program that the host has: `iptables-restore`
//! (all rules in one go), else `nft`.
//!
//! Rules belong to a network, not to a container: they come with its bridge and go with it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::catalog::{Network, Reach};
use crate::{NetworkError, programs};

/// What all of our bridges' names begin with.
const OURS: &str = "rb";

/// A program that sets rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Firewall {
    Iptables(PathBuf),
    Nft(PathBuf),
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

impl Firewall {
    /// The one that is installed.
    pub(crate) fn find() -> Option<Self> {
        programs::find("iptables-restore")
            .map(Self::Iptables)
            .or_else(|| programs::find("nft").map(Self::Nft))
    }

    /// Lets the network's packets through, changes their senders' addresses on the way out, and keeps other networks out.
    pub(crate) fn add(&self, network: &Network) -> Result<(), NetworkError> {
        self.change(network, Change::Add)
    }

    /// Takes that back.
    pub(crate) fn remove(&self, network: &Network) -> Result<(), NetworkError> {
        self.change(network, Change::Remove)
    }

    fn change(&self, network: &Network, change: Change) -> Result<(), NetworkError> {
        let (program, arguments, text) = match self {
            Self::Iptables(program) => {
                (program, ["--noflush", "--wait"], iptables(network, change))
            }
            Self::Nft(program) => (program, ["-f", "-"], nft(network, change)),
        };
        let action = format!("set rules with {}", program.display());
        feed(Command::new(program).args(arguments), &text).map_err(NetworkError::step(action))
    }
}

fn feed(command: &mut Command, text: &str) -> io::Result<()> {
    let mut child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that ends early says why.
        let _ = input.write_all(text.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(told.trim().to_owned()))
}

fn chain(network: &Network) -> String {
    format!("RBUILD-{}", network.id.short())
}

fn iptables(network: &Network, change: Change) -> String {
    let (chain, bridge, subnet) = (chain(network), network.interface(), network.subnet);
    let verb = match change {
        Change::Add => "-I",
        Change::Remove => "-D",
    };
    let mut text = format!("*filter\n:{chain} - [0:0]\n");
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = text.write_fmt(words);
        text.push('\n');
    };
    line(format_args!("{verb} FORWARD -i {bridge} -j {chain}"));
    line(format_args!("{verb} FORWARD -o {bridge} -j {chain}"));
    if change == Change::Add {
        line(format_args!("-A {chain} -i {bridge} -o {bridge} -j ACCEPT"));
        if network.reach == Reach::Outside {
            line(format_args!("-A {chain} -i {bridge} -o {OURS}+ -j DROP"));
            line(format_args!("-A {chain} -i {bridge} -j ACCEPT"));
            line(format_args!(
                "-A {chain} -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
            ));
        }
        line(format_args!("-A {chain} -j DROP"));
    } else {
        line(format_args!("-X {chain}"));
    }
    line(format_args!("COMMIT"));
    if network.reach == Reach::Outside {
        line(format_args!("*nat"));
        line(format_args!(
            "{verb} POSTROUTING -s {subnet} ! -o {bridge} -j MASQUERADE"
        ));
        line(format_args!("COMMIT"));
    }
    text
}

fn nft(network: &Network, change: Change) -> String {
    let (chain, bridge, subnet) = (chain(network), network.interface(), network.subnet);
    // Added first: removing what is not there would fail.
    let mut text = format!("add table ip {chain}\ndelete table ip {chain}\n");
    if change == Change::Remove {
        return text;
    }
    let (out, masquerade) = match network.reach {
        Reach::Internal => (String::new(), String::new()),
        Reach::Outside => (
            format!(
                "iifname \"{bridge}\" oifname \"{OURS}*\" drop\n\
                 iifname \"{bridge}\" accept\n\
                 oifname \"{bridge}\" ct state related,established accept\n"
            ),
            format!(
                "chain out {{\ntype nat hook postrouting priority 100;\n\
                 ip saddr {subnet} oifname != \"{bridge}\" masquerade\n}}\n"
            ),
        ),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "table ip {chain} {{\nchain forward {{\ntype filter hook forward priority 0;\n\
         iifname \"{bridge}\" oifname \"{bridge}\" accept\n{out}\
         iifname \"{bridge}\" drop\noifname \"{bridge}\" drop\n}}\n{masquerade}}}\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::time::SystemTime;

    use super::*;
    use crate::{Networks, NewNetwork, namespace};

    fn ruleset() -> io::Result<String> {
        let nft = programs::find("nft").ok_or(io::ErrorKind::NotFound)?;
        let output = Command::new(nft).args(["list", "ruleset"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn both_programs_take_our_rules_and_give_them_back() {
        let Ok(place) = namespace::create() else {
            eprintln!("skipped: only root may make a network namespace");
            return;
        };
        let directory = tempfile::tempdir().expect("a place");
        let networks = Networks::alone(directory.path());
        let firewalls = [
            ("iptables-restore", Firewall::Iptables as fn(_) -> _),
            ("nft", Firewall::Nft),
        ];
        for (index, reach) in [Reach::Outside, Reach::Internal].into_iter().enumerate() {
            let new = NewNetwork {
                name: format!("n{index}"),
                reach,
                ..NewNetwork::default()
            };
            let seed = [index as u8; 32];
            let network = networks.create(&new, seed, SystemTime::UNIX_EPOCH);
            let network = network.expect("made");
            for (name, firewall) in &firewalls {
                let firewall = firewall(programs::find(name).expect("installed"));
                let told = namespace::inside(place.as_fd(), || {
                    firewall.add(&network).map_err(io::Error::other)?;
                    let there = ruleset()?;
                    firewall.remove(&network).map_err(io::Error::other)?;
                    Ok((there, ruleset()?))
                });
                let (there, gone) = told.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                let masked = there.contains("masquerade");
                assert_eq!(masked, reach == Reach::Outside, "{name}: {there}");
                assert!(there.contains(network.id.short()), "{name}: {there}");
                assert!(!gone.contains(network.id.short()), "{name}: {gone}");
            }
        }
    }
}
