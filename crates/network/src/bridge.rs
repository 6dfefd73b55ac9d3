//! A network's bridge: there as long as a container is on it.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;

use crate::catalog::{Network, Networks, Reach};
use crate::firewall::Firewall;
use crate::household::{Ground, Home};
use crate::lock::{self, Lock};
use crate::members::{Mac, Member};
use crate::netlink::{Netlink, Pair, index_of};
use crate::pool::Routes;
use crate::{NetworkError, NetworkId, keeper, namespace};

/// Held while a range of addresses is looked for and taken: stores know nothing of each other's networks.
const RANGES: &str = "/run/rbuild-networks.lock";
/// What the mark of a bridge says that has all that belongs to it.
const COMPLETE: &[u8] = b"complete";
/// Whether this machine passes packets on.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes sure that the bridge is there. The network is locked, and its dead are buried; whether somebody is on it does not
/// matter. What is known of its addresses may have changed afterwards. `outside` is where its packets come out.
pub(crate) fn bring_up(
    networks: &Networks,
    network: &mut Network,
    outside: &Routes,
) -> Result<(), NetworkError> {
    let mark = networks.up_mark(&network.id);
    let left = fs::read(&mark).ok();
    if index_of(&network.interface()).is_ok() {
        if left.as_deref() == Some(COMPLETE) {
            return Ok(());
        }
        // Somebody was killed in the middle of it.
        take_down(networks, network)?;
    }
    let _ranges = ranges()?;
    settle(networks, network, outside)?;
    let written =
        |contents: &[u8]| fs::write(&mark, contents).map_err(NetworkError::file("write", &mark));
    written(b"")?;
    let made = beside(|| add(network), || add_rules(network, left.is_some()))
        .and_then(|()| written(COMPLETE));
    if made.is_err() {
        // Why it cannot be had says more than why it cannot be taken away.
        let _ = take_down(networks, network);
    }
    made
}

/// Has it elsewhere where its range is somebody else's by now.
fn settle(
    networks: &Networks,
    network: &mut Network,
    outside: &Routes,
) -> Result<(), NetworkError> {
    let here = Routes::here();
    if network.chosen_subnet {
        // Whoever chose it may hide what is outside.
        let overlap = |with| NetworkError::Overlap {
            name: network.name.clone(),
            with,
        };
        return here
            .taken(network.subnet)
            .map_or(Ok(()), |with| Err(overlap(with)));
    }
    let all = here.and(outside);
    if all.taken(network.subnet).is_some() {
        let others = networks.list()?;
        network.move_to(all.free(&network.name, &others)?);
        networks.write(network)?;
    }
    Ok(())
}

/// Does both at the same time: interfaces and rules each keep us waiting, but not for each other. Of two failures, the
/// first one's is told.
fn beside<T: Send>(
    one: impl FnOnce() -> Result<T, NetworkError>,
    other: impl FnOnce() -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let done = one();
        done.and(other.join().expect("it does not panic"))
    })
}

/// Only one process looks for a range at a time. Who may not write there is alone in a namespace.
fn ranges() -> Result<Option<Lock>, NetworkError> {
    match lock::take(RANGES.as_ref()) {
        Ok(lock) => Ok(Some(lock)),
        Err(_) if !rbuild_sys::is_initial_user_namespace() => Ok(None),
        Err(error) => Err(error),
    }
}

fn add_rules(network: &Network, left: bool) -> Result<(), NetworkError> {
    let Some(firewall) = Firewall::find() else {
        return Err(NetworkError::NoFirewall {
            name: network.name.clone(),
        });
    };
    if left {
        // What somebody who was killed has left would stay behind ours; there may be nothing.
        let _ = firewall.remove(network);
    }
    firewall.add(network)?;
    if network.reach == Reach::Outside {
        forward()?;
    }
    Ok(())
}

/// Has packets passed on, as every bridge for containers needs.
fn forward() -> Result<(), NetworkError> {
    let is_on = fs::read(FORWARDING).is_ok_and(|value| value.starts_with(b"1"));
    if is_on {
        return Ok(());
    }
    fs::write(FORWARDING, b"1").map_err(NetworkError::step("switch on IP forwarding"))
}

fn add(network: &Network) -> Result<(), NetworkError> {
    let interface = network.interface();
    let step = |action: &str| NetworkError::step(format!("{action} {interface}"));
    let netlink = Netlink::open().map_err(NetworkError::step("open a netlink socket"))?;
    let mac = Mac::of(network.gateway);
    netlink
        .add_bridge(&interface, mac)
        .map_err(step("make the bridge"))?;
    let index = index_of(&interface).map_err(step("find the bridge"))?;
    netlink
        .add_address(index, network.gateway, network.subnet.prefix())
        .map_err(step("give an address to the bridge"))?;
    netlink
        .bring_up(index)
        .map_err(step("switch on the bridge"))
}

/// Removes the bridge, which is on this ground, if nobody is on it, and nobody keeps it. The network is locked.
pub(crate) fn take_down_if_empty(
    networks: &Networks,
    network: &Network,
    ground: &Ground,
) -> Result<(), NetworkError> {
    if ground.ends_by_itself() {
        return Ok(());
    }
    if keeper::is_there(networks, &network.id) {
        return Ok(());
    }
    if networks.members(&network.id)?.is_empty() {
        return take_down(networks, network);
    }
    Ok(())
}

pub(crate) fn take_down(networks: &Networks, network: &Network) -> Result<(), NetworkError> {
    remove(network)?;
    let mark = networks.up_mark(&network.id);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::file("remove", mark)(error))
        }
        _ => Ok(()),
    }
}

/// Removes bridge and rules, whatever there is of them.
pub(crate) fn remove(network: &Network) -> Result<(), NetworkError> {
    let interface = network.interface();
    let remove_bridge = || {
        if index_of(&interface).is_err() {
            return Ok(());
        }
        Netlink::open()
            .and_then(|netlink| netlink.delete(&interface))
            .map_err(NetworkError::step(format!("remove the bridge {interface}")))
    };
    let remove_rules = || {
        if let Some(firewall) = Firewall::find() {
            // Somebody may have flushed them all, and without rights there are none.
            let _ = firewall.remove(network);
        }
        Ok(())
    };
    beside(remove_bridge, remove_rules)
}

/// Removes the bridges that supervisors who were killed have left. Costs next to nothing where there are none.
pub fn sweep(networks: &Networks) -> Result<(), NetworkError> {
    if networks.home != Home::Here {
        // A household's end with it.
        return Ok(());
    }
    for network in networks.list()? {
        if networks.up_mark(&network.id).exists() && networks.members(&network.id)?.is_empty() {
            let _lock = networks.lock(&network.id)?;
            networks.bury(&network.id)?;
            if networks.up_mark(&network.id).exists() {
                take_down_if_empty(networks, &network, &Ground::Here)?;
            }
        }
    }
    Ok(())
}

/// The name of a container's interface on the host, which has to be another one for each of its networks.
pub(crate) fn outside_name(container: &str, network: &NetworkId) -> String {
    let (container, network) = (container.get(..7), network.as_str().get(..5));
    format!("rv{}{}", container.unwrap_or("x"), network.unwrap_or("x"))
}

/// Puts a container, in its namespace, on a bridge that is up.
pub(crate) fn plug(
    network: &Network,
    member: &Member,
    namespace: BorrowedFd<'_>,
    inside: &str,
    route: Route,
) -> Result<(), NetworkError> {
    let netlink = Netlink::open().map_err(NetworkError::step("open a netlink socket"))?;
    let bridge = index_of(&network.interface()).map_err(NetworkError::step("find the bridge"))?;
    let outside = outside_name(&member.container, &network.id);
    let pair = Pair {
        outside: &outside,
        bridge,
        inside,
        mac: member.mac,
        namespace,
    };
    let made = match netlink.add_pair(&pair) {
        // That of a supervisor which was killed a moment ago.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // The kernel may just be removing it itself.
            let _ = netlink.delete(&outside);
            netlink.add_pair(&pair)
        }
        other => other,
    };
    made.map_err(NetworkError::step(format!(
        "connect {inside} with the bridge"
    )))?;
    let configured = namespace::inside(namespace, || {
        let netlink = Netlink::open()?;
        let index = index_of(inside)?;
        netlink.add_address(index, member.address, network.subnet.prefix())?;
        netlink.bring_up(index)?;
        match route {
            Route::Default => netlink.add_default_route(index, network.gateway),
            Route::None => Ok(()),
        }
    });
    configured.map_err(NetworkError::step(format!("configure {inside}")))
}

/// Has all that goes elsewhere go through a network that the container is on already.
pub(crate) fn lead_out(
    network: &Network,
    namespace: BorrowedFd<'_>,
    inside: &str,
) -> Result<(), NetworkError> {
    let done = namespace::inside(namespace, || {
        Netlink::open()?.add_default_route(index_of(inside)?, network.gateway)
    });
    done.map_err(NetworkError::step(format!("lead out through {inside}")))
}

/// Whether all that goes elsewhere goes through this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Default,
    None,
}

/// What becomes of a container's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unplugged {
    /// It is removed, which takes the kernel some 20 ms.
    Removed,
    /// It is on no bridge any more; the kernel removes it with its namespace.
    Released,
}

/// Takes a container off a bridge.
pub(crate) fn unplug(
    network: &NetworkId,
    container: &str,
    how: Unplugged,
) -> Result<(), NetworkError> {
    let outside = outside_name(container, network);
    let Ok(index) = index_of(&outside) else {
        // The kernel was faster: its namespace is gone.
        return Ok(());
    };
    let done = Netlink::open().and_then(|netlink| match how {
        Unplugged::Removed => netlink.delete(&outside),
        Unplugged::Released => netlink.release(index),
    });
    match done {
        Err(error) if error.raw_os_error() != Some(nix::libc::ENODEV) => {
            Err(NetworkError::step(format!("remove {outside}"))(error))
        }
        _ => Ok(()),
    }
}
