//! The host's ps, of whose list only a container's processes are kept.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::process::{Command, Output};

use anyhow::{Context as _, bail};
use rbuild_container::ProcessFacts;

use crate::render::Table;

/// What `ps` says with these options of these processes.
pub(super) fn listed(options: &[String], processes: &[ProcessFacts]) -> anyhow::Result<Table> {
    let numbers: Vec<String> = processes.iter().map(|one| one.pid.to_string()).collect();
    let mut told = ps(&[options, &[format!("-q{}", numbers.join(","))]].concat())?;
    if !told.status.success() {
        // Some options do not go with -q: then of all processes those are picked that are meant.
        told = ps(options)?;
    }
    if !told.status.success() {
        let words = String::from_utf8_lossy(&told.stderr);
        bail!("ps {}: {}", options.join(" "), words.trim());
    }
    let own = processes.iter().map(|process| process.pid).collect();
    only(&String::from_utf8_lossy(&told.stdout), &own)
}

fn ps(options: &[String]) -> anyhow::Result<Output> {
    match Command::new("ps").args(options).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("options of ps need this machine's ps, which is not there (Debian: procps)")
        }
        other => other.context("failed to run ps"),
    }
}

/// The lines of a list of processes that are about `own`.
fn only(list: &str, own: &BTreeSet<u32>) -> anyhow::Result<Table> {
    let mut lines = list.lines();
    let titles: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let Some(at) = titles.iter().position(|title| *title == "PID") else {
        bail!("couldn't find PID field in ps output: ask for it too, as in -o pid,cmd");
    };
    let mut table = Table::new(&titles);
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words.get(at).and_then(|word| word.parse().ok());
        if number.is_some_and(|number: u32| own.contains(&number)) {
            table.row(cells(&words, titles.len()));
        }
    }
    Ok(table)
}

/// Only what stands last has blanks in it.
fn cells(words: &[&str], count: usize) -> Vec<String> {
    let (first, last) = words.split_at(words.len().min(count - 1));
    let mut cells: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
    if !last.is_empty() {
        cells.push(last.join(" "));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_kept() {
        let list =
            "  PID TTY COMMAND\n    1 ?   init\n   20 ?   sh -c  sleep 1\n   21 ?   sleep 1\n";
        let table = only(list, &BTreeSet::from([20, 21])).expect("there is a PID");
        assert_eq!(
            table.render(),
            "PID       TTY       COMMAND\n20        ?         sh -c sleep 1\n21        ?         sleep 1\n"
        );
        assert!(only("TTY CMD\n", &BTreeSet::new()).is_err());
    }
}
