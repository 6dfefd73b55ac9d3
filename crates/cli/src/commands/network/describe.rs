//! Networks in docker's words.

use std::collections::BTreeMap;

use rbuild_container::{NetworkMode, NetworkRecord, StoredConfig, exposed_ports, network_record};
use rbuild_network::{Endpoint, Network, Networks, Publish, Reach};
use rbuild_store::{Container, Store};
use serde_json::{Map, Value, json};

use super::worded;
use crate::commands::documents;
use crate::commands::filter::Filters;
use crate::commands::history::cell;

/// The networks that are no data of ours: name, driver, id.
const BUILT_IN: [(&str, &str, &str); 2] = [
    (
        "host",
        "host",
        "686f7374000000000000000000000000000000000000000000000000000000ab",
    ),
    (
        "none",
        "null",
        "6e6f6e65000000000000000000000000000000000000000000000000000000ab",
    ),
];

/// How much of an ID is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    Short,
    Whole,
}

/// All networks, as `ls` lists them.
pub(super) fn rows(networks: &[Network], ids: Ids) -> Vec<Value> {
    let own = networks.iter().map(|network| {
        let labels = network.labels.iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        json!({
            "CreatedAt": documents::table_time(network.created),
            "Driver": "bridge",
            "ID": match ids {
                Ids::Short => network.id.short(),
                Ids::Whole => network.id.as_str(),
            },
            "IPv4": "true",
            "IPv6": "false",
            "Internal": (network.reach == Reach::Internal).to_string(),
            "Labels": labels.join(","),
            "Name": network.name,
            "Scope": "local",
        })
    });
    let built_in = BUILT_IN.iter().map(|(name, driver, id)| {
        let end = match ids {
            Ids::Short => 12,
            Ids::Whole => id.len(),
        };
        json!({
            "CreatedAt": "",
            "Driver": driver,
            "ID": &id[..end],
            "IPv4": "true",
            "IPv6": "false",
            "Internal": "false",
            "Labels": "",
            "Name": name,
            "Scope": "local",
        })
    });
    let mut rows: Vec<Value> = own.chain(built_in).collect();
    rows.sort_by_key(|row| cell(row, "Name"));
    rows
}

/// Names of the filters of `ls`.
const KEYS: &[&str] = &[
    "name", "id", "driver", "label", "label!", "type", "scope", "dangling",
];

/// What `ls --filter` asks for.
pub(super) fn filters(texts: &[String]) -> anyhow::Result<Filters> {
    let filters = Filters::parse(texts, KEYS)?.only("type", &["custom", "builtin"])?;
    filters.truth("dangling")?;
    Ok(filters)
}

/// Whether a row is asked for; `network` is what it tells of, if that is data of ours.
pub(super) fn fits(
    filters: &Filters,
    row: &Value,
    network: Option<&Network>,
    use_of_it: Use,
) -> bool {
    let name = cell(row, "Name");
    let is_builtin = matches!(name.as_str(), "bridge" | "host" | "none");
    let is_dangling = !is_builtin && use_of_it == Use::Unused;
    let none = BTreeMap::new();
    filters.matches("name", &name)
        && filters.matches("id", &cell(row, "ID"))
        && filters.any("driver", |value| value == cell(row, "Driver"))
        && filters.any("scope", |value| value == cell(row, "Scope"))
        && filters.any("type", |value| is_builtin == (value == "builtin"))
        && filters.labels_fit(network.map_or(&none, |network| &network.labels))
        && filters.any("dangling", |value| {
            is_dangling == matches!(value, "true" | "1")
        })
}

/// Whether containers are on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Used,
    Unused,
}

/// A network that is no data of ours.
pub(super) fn builtin(name: &str) -> Option<Value> {
    let (name, driver, id) = BUILT_IN.iter().find(|(known, ..)| *known == name)?;
    Some(document(
        name,
        id,
        "",
        driver,
        false,
        &json!([]),
        &Map::new(),
    ))
}

/// All that is known of a network.
pub(super) fn network(networks: &Networks, network: &Network) -> anyhow::Result<Value> {
    let members = networks.members(&network.id).map_err(worded)?;
    let prefix = network.subnet.prefix();
    let containers: Map<String, Value> = members
        .iter()
        .map(|member| {
            let value = json!({
                "Name": member.name,
                "EndpointID": endpoint_id(&member.container, network.id.as_str()),
                "MacAddress": member.mac.to_string(),
                "IPv4Address": format!("{}/{prefix}", member.address),
                "IPv6Address": "",
            });
            (member.container.clone(), value)
        })
        .collect();
    let mut addresses = json!({
        "Subnet": network.subnet.to_string(),
        "Gateway": network.gateway.to_string(),
    });
    if let Some(range) = network.ip_range {
        addresses["IPRange"] = json!(range.to_string());
    }
    let mut value = document(
        &network.name,
        network.id.as_str(),
        &documents::rfc3339(network.created),
        "bridge",
        network.reach == Reach::Internal,
        &json!([addresses]),
        &containers,
    );
    value["Options"] = json!(network.options);
    value["Labels"] = json!(network.labels);
    Ok(value)
}

fn document(
    name: &str,
    id: &str,
    created: &str,
    driver: &str,
    internal: bool,
    addresses: &Value,
    containers: &Map<String, Value>,
) -> Value {
    json!({
        "Name": name,
        "Id": id,
        "Created": created,
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": {}, "Config": addresses },
        "Internal": internal,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": {},
        "Labels": {},
    })
}

/// A name for a container's place on a network: docker has one, and some programs ask for it.
fn endpoint_id(container: &str, network: &str) -> String {
    let half = |text: &str| text.get(..32).unwrap_or(text).to_owned();
    half(container) + &half(network)
}

/// `-p`, as `HostConfig` has it.
pub(in crate::commands) fn bindings(ports: &[Publish]) -> Value {
    let mut all = Map::new();
    for publish in ports {
        let host = match publish.host {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let address = publish.address.map(|address| address.to_string());
        let binding = json!({ "HostIp": address.unwrap_or_default(), "HostPort": host });
        push(&mut all, publish.port.to_string(), binding);
    }
    Value::Object(all)
}

fn push(all: &mut Map<String, Value>, port: String, binding: Value) {
    match all.entry(port).or_insert(Value::Null) {
        Value::Array(known) => known.push(binding),
        other => *other = json!([binding]),
    }
}

/// `NetworkSettings` of a container.
pub(in crate::commands) fn settings(
    store: &Store,
    container: &Container,
    config: &StoredConfig,
) -> Value {
    let record = network_record(store, container);
    let places = record.as_ref().map_or(&[][..], |record| &record.endpoints);
    let first = places.first().filter(|place| place.network == "bridge");
    let text = |value: Option<String>| value.unwrap_or_default();
    json!({
        "Bridge": "",
        "SandboxID": record.as_ref().map_or("", |_| container.id.as_str()),
        "SandboxKey": "",
        "Ports": ports(config, record.as_ref()),
        "EndpointID": text(first.map(|place| endpoint_id(&container.id, place.id.as_str()))),
        "Gateway": text(first.map(|place| place.gateway.to_string())),
        "IPAddress": text(first.map(|place| place.address.to_string())),
        "IPPrefixLen": first.map_or(0, |place| place.prefix),
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": text(first.map(|place| place.mac.to_string())),
        "Networks": places_by_name(container, config, places),
    })
}

fn ports(config: &StoredConfig, record: Option<&NetworkRecord>) -> Value {
    let mut all = Map::new();
    let Some(record) = record else {
        return Value::Object(all);
    };
    for port in exposed_ports(config) {
        all.insert(port.to_string(), Value::Null);
    }
    for one in &record.published {
        let binding =
            json!({ "HostIp": one.address.to_string(), "HostPort": one.host.to_string() });
        push(&mut all, one.port.to_string(), binding);
    }
    Value::Object(all)
}

fn places_by_name(container: &Container, config: &StoredConfig, places: &[Endpoint]) -> Value {
    let options = &config.options;
    let mut all: Map<String, Value> = Map::new();
    match &options.network {
        NetworkMode::Private | NetworkMode::Default => {
            for membership in &options.networks {
                let place = places
                    .iter()
                    .find(|place| place.network == membership.network);
                let value = one_place(container, membership.aliases.as_slice(), place);
                all.insert(membership.network.clone(), value);
            }
        }
        mode @ (NetworkMode::Host | NetworkMode::None) => {
            let name = crate::commands::inspect::network_mode(mode, options);
            all.insert(name, one_place(container, &[], None));
        }
        NetworkMode::Container(_) => {}
    }
    Value::Object(all)
}

fn one_place(container: &Container, aliases: &[String], place: Option<&Endpoint>) -> Value {
    let text = |value: Option<String>| value.unwrap_or_default();
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": (!aliases.is_empty()).then_some(aliases),
        "MacAddress": text(place.map(|place| place.mac.to_string())),
        "NetworkID": text(place.map(|place| place.id.as_str().to_owned())),
        "EndpointID": text(place.map(|place| endpoint_id(&container.id, place.id.as_str()))),
        "Gateway": text(place.map(|place| place.gateway.to_string())),
        "IPAddress": text(place.map(|place| place.address.to_string())),
        "IPPrefixLen": place.map_or(0, |place| place.prefix),
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DriverOpts": null,
        "DNSNames": place.map(|place| {
            let short = container.id.get(..12).unwrap_or(&container.id);
            let own = [container.name.as_str(), short].map(str::to_owned);
            let mut names = own.to_vec();
            names.extend(place.aliases.iter().cloned());
            names
        }),
    })
}
