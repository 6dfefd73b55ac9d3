//! The values of single flags: from text to what it means.

use anyhow::{Context as _, bail};
use rbuild_container::{AddHost, Ulimit};
use rbuild_image::Reference;
use rbuild_plan::NetworkMode;
use rbuild_solve::CacheTtl;

use crate::commands::moment::duration;

pub(super) fn parse_name(name: &str) -> anyhow::Result<Reference> {
    let reference: Reference = name.parse()?;
    if reference.digest().is_some() {
        bail!("invalid tag {name:?}: an image cannot be built to have a given digest");
    }
    Ok(reference)
}

pub(super) fn check_key(pair: &str) -> anyhow::Result<()> {
    if pair.is_empty() || pair.starts_with('=') {
        bail!("invalid key-value pair {pair:?}: empty key");
    }
    Ok(())
}

pub(super) fn pairs(flag: &str, given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => bail!("invalid value {text:?} for {flag}: it is NAME=VALUE"),
        })
        .collect()
}

pub(super) fn split_label(label: &str) -> anyhow::Result<(String, String)> {
    check_key(label)?;
    let (name, value) = label.split_once('=').unwrap_or((label, ""));
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn cache_ttl(text: &str) -> anyhow::Result<CacheTtl> {
    let age = duration(text)
        .with_context(|| format!("invalid --cache-ttl {text:?}: it is an age such as 12h or 7d"))?;
    let text = text.to_owned();
    Ok(CacheTtl { age, text })
}

/// `--network`: what steps are told, and the network of those that are told nothing, by name.
pub(super) fn network(
    text: &str,
    configured: Option<&str>,
) -> anyhow::Result<(NetworkMode, Option<String>)> {
    let default = || configured.map(str::to_owned);
    match text {
        "default" | "" => Ok((NetworkMode::Default, default())),
        "none" => Ok((NetworkMode::None, default())),
        "host" => Ok((NetworkMode::Host, default())),
        name if !name.contains(':') => Ok((NetworkMode::Default, Some(name.to_owned()))),
        _ => bail!(
            "network mode {text:?} is not supported: it is default, none, host, or the name of a network"
        ),
    }
}

/// The fields of a `key=value,…` list; a field may be quoted, as in CSV.
pub(in crate::commands::build) fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    for character in text.chars().chain([',']) {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut current)),
            character => current.push(character),
        }
    }
    fields
        .iter()
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            (key.trim().to_lowercase(), value.to_owned())
        })
        .collect()
}

pub(super) fn add_hosts(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    given
        .iter()
        .map(|text| {
            AddHost::parse(text)
                .map(|host| (host.name, host.address))
                .map_err(Into::into)
        })
        .collect()
}

pub(super) fn ulimits(given: &[String]) -> anyhow::Result<Vec<(String, u64, u64)>> {
    given
        .iter()
        .map(|text| {
            Ulimit::parse(text)
                .map(|limit| (limit.name, limit.soft, limit.hard))
                .map_err(Into::into)
        })
        .collect()
}

/// Docker's sizes: `64m`, `1g`, `1048576`, in powers of 1024.
pub(crate) fn bytes(text: &str) -> anyhow::Result<u64> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match lower[digits.len()..].trim_end_matches('b') {
        "" => 0,
        "k" | "ki" => 10,
        "m" | "mi" => 20,
        "g" | "gi" => 30,
        "t" | "ti" => 40,
        _ => bail!("invalid size {text:?}: it is a number and b, k, m, g or t"),
    };
    let number: u64 = digits
        .parse()
        .with_context(|| format!("invalid size {text:?}"))?;
    number
        .checked_mul(1 << shift)
        .with_context(|| format!("invalid size {text:?}: too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(bytes("64m").expect("valid"), 64 << 20);
        assert_eq!(bytes("1GiB").expect("valid"), 1 << 30);
        assert_eq!(bytes("512").expect("valid"), 512);
        assert!(bytes("many").is_err());
        assert!(bytes("99999999999999999g").is_err());
    }

    #[test]
    fn a_quoted_field_may_hold_commas() {
        assert_eq!(
            fields(r#"type=image,"name=a,b",push=true"#),
            [("type", "image"), ("name", "a,b"), ("push", "true")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
