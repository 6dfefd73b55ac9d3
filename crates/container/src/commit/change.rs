//! `--change`: one instruction of a Dockerfile that says how the image is to be run.

use std::collections::BTreeMap;

use rbuild_image::RuntimeConfig;

use crate::ContainerError;
use crate::environment::merge;

/// Changes `config` as the instruction says.
pub(crate) fn apply(config: &mut RuntimeConfig, text: &str) -> Result<(), ContainerError> {
    let fail = |reason: &str| ContainerError::option("--change", text, reason);
    let (word, rest) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(|| fail("it is an instruction with a value, as CMD [\"top\"]"))?;
    let rest = rest.trim();
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
        "USER" => rest.clone_into(&mut config.user),
        "STOPSIGNAL" => rest.clone_into(&mut config.stop_signal),
        "WORKDIR" if rest.starts_with('/') => rest.clone_into(&mut config.working_dir),
        "WORKDIR" => config.working_dir = format!("{}/{rest}", config.working_dir),
        "ENV" => {
            let own = config.env.take().unwrap_or_default();
            let new = pairs(rest).ok_or_else(|| fail("it is ENV NAME=value"))?;
            let new: Vec<String> = new
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            config.env = Some(merge([own.as_slice(), &new]));
        }
        "LABEL" => {
            let new = pairs(rest).ok_or_else(|| fail("it is LABEL NAME=value"))?;
            config.labels.extend(new);
        }
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                if number.parse::<u16>().is_err() {
                    return Err(fail("a port is a number such as 80 or 53/udp"));
                }
                let port = format!("{number}/{}", protocol.to_lowercase());
                config.exposed_ports.insert(port, BTreeMap::new());
            }
        }
        "VOLUME" => {
            for path in words(rest) {
                config.volumes.insert(path, BTreeMap::new());
            }
        }
        _ => {
            return Err(fail(
                "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR can be given",
            ));
        }
    }
    Ok(())
}

/// The form of a list, or a line for the shell.
fn command(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

/// The form of a list, or words between blanks.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect())
}

/// `NAME=value NAME="two words"`, or `NAME the rest of the line`.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let first = text.split_whitespace().next()?;
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace)?;
        return Some(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let mut found = Vec::new();
    for word in quoted_words(text)? {
        let (name, value) = word.split_once('=')?;
        if name.is_empty() {
            return None;
        }
        found.push((name.to_owned(), value.to_owned()));
    }
    Some(found)
}

/// Words between blanks, without their quotes; `None` if a quote is open at the end.
fn quoted_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None | Some('"'), '\\') => word.push(letters.next()?),
            (None, _) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_how_an_image_is_run() {
        let mut config = RuntimeConfig {
            env: Some(vec!["A=1".into(), "B=2".into()]),
            working_dir: "/srv".into(),
            ..RuntimeConfig::default()
        };
        for text in [
            "CMD [\"top\", \"-b\"]",
            "entrypoint run it",
            "ENV A=3 C=\"two words\"",
            "ENV D the rest",
            "LABEL a.b=c",
            "EXPOSE 80 53/UDP",
            "WORKDIR app",
            "VOLUME /data /more",
            "USER app",
        ] {
            apply(&mut config, text).expect(text);
        }
        assert_eq!(config.cmd, Some(vec!["top".into(), "-b".into()]));
        let entrypoint = config.entrypoint.clone().expect("it was given");
        assert_eq!(entrypoint, ["/bin/sh", "-c", "run it"]);
        let env = config.env.clone().expect("there is some");
        assert_eq!(env, ["A=3", "B=2", "C=two words", "D=the rest"]);
        assert_eq!(config.labels["a.b"], "c");
        let ports: Vec<&String> = config.exposed_ports.keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp"]);
        assert_eq!(config.working_dir, "/srv/app");
        assert_eq!(config.volumes.len(), 2);
        for text in ["RUN x", "CMD", "ENV =x", "EXPOSE web"] {
            assert!(apply(&mut config, text).is_err(), "{text}");
        }
    }
}
