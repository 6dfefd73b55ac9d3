//! A container's environment: the defaults, below the image's ENV, below what the user gives.

use crate::ContainerError;

/// Where a name given without a value takes its value from: the user's environment, which only the caller may read.
pub type EnvSource<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the text of an `--env-file`: `NAME=value`, or `NAME` for the user's own value; `#` begins a comment line. Values
/// are taken as they are, quotes included, as Docker does.
pub fn parse_env_file(text: &str, source: EnvSource<'_>) -> Result<Vec<String>, ContainerError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Result<Vec<_>, _> = lines
        .map(|line| {
            let name = line.split('=').next().unwrap_or_default();
            if name.is_empty() || name.contains(char::is_whitespace) {
                let reason = "a line is NAME=value or NAME, without white space in the name";
                return Err(ContainerError::option("--env-file line", line, reason));
            }
            Ok(resolve(line, source))
        })
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

/// `NAME=value` as it is; `NAME` with the user's value, or nothing where the user has none.
pub(crate) fn resolve(variable: &str, source: EnvSource<'_>) -> Option<String> {
    if variable.contains('=') {
        return Some(variable.to_owned());
    }
    source(variable).map(|value| format!("{variable}={value}"))
}

/// `layers` one over the other: a later definition of a name takes the place of the earlier one.
pub(crate) fn merge<'a>(layers: impl IntoIterator<Item = &'a [String]>) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for variable in layers.into_iter().flatten() {
        let same = |other: &String| name_of(other) == name_of(variable);
        match merged.iter().position(same) {
            Some(index) => merged[index].clone_from(variable),
            None => merged.push(variable.clone()),
        }
    }
    merged
}

fn name_of(variable: &str) -> &str {
    variable.split('=').next().unwrap_or(variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_later_value_wins_and_keeps_the_place() {
        let image = strings(&["PATH=/bin", "A=1", "B=x=y"]);
        let user = strings(&["A=2", "C="]);
        assert_eq!(
            merge([image.as_slice(), &user]),
            ["PATH=/bin", "A=2", "B=x=y", "C="]
        );
    }

    #[test]
    fn an_env_file_is_read_as_docker_reads_it() {
        let text = "# comment\n\nA=1\n  B=\"quoted\" # kept\nHOME\nMISSING\nE=\n";
        let source = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        assert_eq!(
            parse_env_file(text, &source).expect("the file is well-formed"),
            ["A=1", "B=\"quoted\" # kept", "HOME=/home/me", "E="]
        );
        assert!(parse_env_file("A B=1", &source).is_err());
        assert!(parse_env_file("=1", &source).is_err());
    }
}
