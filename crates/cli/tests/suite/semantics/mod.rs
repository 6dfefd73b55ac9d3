//! What of the language is easy to get wrong, promise by promise: each test is named after one.
//!
//! Some are also tested where they are decided (`crates/dockerfile`, `crates/plan`); here the whole way counts, from the
//! command line to the files, the config and the history of the image.

use crate::support::{Caller, Lab, Project};

mod adding;
mod arguments;
mod cache_mounts;
mod config;
mod contexts;
mod copying;
mod parsing;
mod running;
mod stages;

/// A place with busybox, as root.
fn root_lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

/// The history that the Dockerfile added, oldest first: the text, and whether there is a layer.
fn history(lab: &Lab, project: &Project, arguments: &[&str]) -> Vec<(String, bool)> {
    let config = lab.layout(project, arguments).config();
    let entries = config["history"].as_array().expect("a list");
    entries
        .iter()
        .filter(|entry| entry["comment"] == "buildkit.dockerfile.v0")
        .map(|entry| {
            let text = entry["created_by"].as_str().expect("a text").to_owned();
            (text, entry["empty_layer"] != true)
        })
        .collect()
}
