//! `RUN --device`: which devices of this machine a step gets.
//!
//! ```text
//! vendor.com/class=name    that device, or all whose class annotation is `name`
//! vendor.com/class=*       all of the kind
//! vendor.com/class         the first of the kind
//! ```

use rbuild_dockerfile::{Run, Word};

use crate::dispatch::{Outcome, Step};
use crate::go::quote;
use crate::{Entitlement, Presence};

/// The devices that this machine describes (by the Container Device Interface), and who may use them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    /// What there is, sorted by name.
    pub known: Vec<KnownDevice>,
    /// `--allow device=NAME`: devices, kinds, or names as RUN writes them.
    pub allowed: Vec<String>,
    /// Why some descriptions of devices could not be read.
    pub broken: Vec<String>,
}

/// A device that a step may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevice {
    /// `vendor.com/class=name`
    pub name: String,
    /// What it is called by together with others.
    pub class: Option<String>,
    /// Whether its description says that every build may use it.
    pub permission: Permission,
}

/// Whether a device needs `--allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It does.
    Asked,
    /// Everybody may use it.
    Granted,
}

/// What one `--device` asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    name: String,
    presence: Presence,
}

impl Devices {
    /// The names of the devices that `name` means.
    fn find(&self, name: &str) -> Vec<&KnownDevice> {
        let (kind, wanted) = name.split_once('=').unwrap_or((name, ""));
        let mut of_kind = self
            .known
            .iter()
            .filter(|device| kind_of(&device.name) == kind);
        match wanted {
            "" => of_kind.next().into_iter().collect(),
            "*" => of_kind.collect(),
            wanted => {
                let all: Vec<_> = of_kind.collect();
                if let Some(device) = all.iter().find(|device| device.name == name) {
                    return vec![device];
                }
                let in_class = |device: &&&KnownDevice| device.class.as_deref() == Some(wanted);
                all.iter().filter(in_class).copied().collect()
            }
        }
    }

    fn is_allowed(&self, device: &KnownDevice, request: &str) -> bool {
        let names = [device.name.as_str(), kind_of(&device.name), request];
        device.permission == Permission::Granted
            || self
                .allowed
                .iter()
                .any(|allowed| names.contains(&allowed.as_str()))
    }
}

fn kind_of(name: &str) -> &str {
    name.split_once('=').map_or(name, |(kind, _)| kind)
}

/// `[name=]NAME[,required[=BOOL]]`
fn parse(text: &str) -> Result<Request, String> {
    let mut name: Option<&str> = None;
    let mut presence = Presence::Optional;
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            match name {
                _ if field.eq_ignore_ascii_case("required") => presence = Presence::Required,
                None => name = Some(field),
                Some(_) => return Err(format!("invalid field '{field}' must be a key=value pair")),
            }
            continue;
        };
        match key.to_ascii_lowercase().as_str() {
            "name" => {
                if let Some(name) = name {
                    return Err(format!("device name already set to {name}"));
                }
                name = Some(value);
            }
            "required" => {
                presence = match value {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => Presence::Required,
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => Presence::Optional,
                    _ => return Err(format!("invalid value for required: {value}")),
                }
            }
            _ if name.is_none() => name = Some(field),
            key => {
                let help = rbuild_dockerfile::suggest(key, ["name", "required"])
                    .map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
                return Err(format!("unexpected key '{key}' in '{field}'{help}"));
            }
        }
    }
    let name = name.unwrap_or_default().to_owned();
    if !is_qualified(kind_of(&name)) {
        return Err(format!(
            "invalid device {}: it is vendor.com/class=name",
            quote(&name)
        ));
    }
    Ok(Request { name, presence })
}

/// `vendor/class`, both of letters, digits and a few signs, beginning with a letter and not ending with a sign.
fn is_qualified(kind: &str) -> bool {
    let is_name = |text: &str, signs: &[char]| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|any| any.is_ascii_alphanumeric() || signs.contains(&any))
    };
    kind.split_once('/').is_some_and(|(vendor, class)| {
        is_name(vendor, &['_', '-', '.']) && is_name(class, &['_', '-'])
    })
}

impl Step<'_, '_, '_> {
    /// The devices of `run`, by name, each once.
    pub(crate) fn devices(&self, run: &Run) -> Outcome<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for word in &run.devices {
            for name in self.device(word)? {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    fn device(&self, word: &Word) -> Outcome<Vec<String>> {
        let mistake = |code, message: String| self.mistake(code, message, word.span);
        let request = parse(&word.value).map_err(|reason| mistake("invalid-device", reason))?;
        let options = self.stage.build.options;
        let found = options.devices.find(&request.name);
        if found.is_empty() && request.presence == Presence::Required {
            let message = format!("required device {} is not registered", quote(&request.name));
            return Err(mistake("unknown-device", message).with_help(
                "describe it in /etc/cdi or /var/run/cdi (Container Device Interface)",
            ));
        }
        let may_all = options.entitlements.contains(&Entitlement::Device);
        for device in &found {
            if !may_all && !options.devices.is_allowed(device, &request.name) {
                let message = format!(
                    "device {} is requested by the build but not allowed",
                    device.name
                );
                return Err(mistake("not-entitled", message).with_help(format!(
                    "if you trust this Dockerfile, build with --allow device={}",
                    device.name
                )));
            }
        }
        Ok(found
            .into_iter()
            .map(|device| device.name.clone())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Devices {
        let known = |name: &str, class: Option<&str>| KnownDevice {
            name: format!("vendor1.com/device={name}"),
            class: class.map(str::to_owned),
            permission: Permission::Asked,
        };
        Devices {
            known: vec![
                known("bar", Some("class1")),
                known("baz", Some("class2")),
                known("foo", Some("class1")),
            ],
            ..Devices::default()
        }
    }

    fn found(name: &str) -> Vec<String> {
        let devices = devices();
        let names = devices.find(name).into_iter();
        names
            .map(|device| device.name.replace("vendor1.com/device=", ""))
            .collect()
    }

    #[test]
    fn a_name_means_a_device_a_class_the_first_or_all_of_a_kind() {
        assert_eq!(found("vendor1.com/device=foo"), ["foo"]);
        assert_eq!(found("vendor1.com/device=class1"), ["bar", "foo"]);
        assert_eq!(found("vendor1.com/device"), ["bar"]);
        assert_eq!(found("vendor1.com/device=*"), ["bar", "baz", "foo"]);
        assert_eq!(found("vendor1.com/device=none"), [""; 0]);
        assert_eq!(found("vendor1.com/dev=foo"), [""; 0]);
    }

    #[test]
    fn a_device_may_be_written_with_and_without_keys() {
        let name = "vendor1.com/device=foo".to_owned();
        let request = |presence| Request {
            name: name.clone(),
            presence,
        };
        for (text, presence) in [
            ("vendor1.com/device=foo", Presence::Optional),
            ("name=vendor1.com/device=foo", Presence::Optional),
            ("vendor1.com/device=foo,required", Presence::Required),
            (
                "required=true,name=vendor1.com/device=foo",
                Presence::Required,
            ),
            ("vendor1.com/device=foo,required=false", Presence::Optional),
        ] {
            assert_eq!(parse(text), Ok(request(presence)), "{text}");
        }
    }

    #[test]
    fn mistakes_in_a_device_are_named() {
        for (text, expected) in [
            (
                "vendor1.com/device=foo,reqired=true",
                "unexpected key 'reqired' in 'reqired=true' (did you mean required?)",
            ),
            ("a.com/b,name=a.com/c", "device name already set to a.com/b"),
            ("a.com/b,c", "invalid field 'c' must be a key=value pair"),
            (
                "a.com/b,required=maybe",
                "invalid value for required: maybe",
            ),
            ("foo", "invalid device \"foo\": it is vendor.com/class=name"),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_device_is_allowed_by_name_kind_or_its_own_description() {
        let mut devices = devices();
        let known = devices.known[0].clone();
        assert!(!devices.is_allowed(&known, "vendor1.com/device=class1"));
        for allowed in [
            "vendor1.com/device=bar",
            "vendor1.com/device",
            "vendor1.com/device=class1",
        ] {
            devices.allowed = vec![allowed.to_owned()];
            assert!(
                devices.is_allowed(&known, "vendor1.com/device=class1"),
                "{allowed}"
            );
        }
        devices.allowed = vec!["vendor1.com/device=foo".to_owned()];
        assert!(!devices.is_allowed(&known, "vendor1.com/device=class1"));
        let granted = KnownDevice {
            permission: Permission::Granted,
            ..known
        };
        assert!(devices.is_allowed(&granted, "vendor1.com/device=bar"));
    }
}
