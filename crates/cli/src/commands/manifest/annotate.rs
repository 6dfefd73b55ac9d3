//! `rbuild manifest annotate`.

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::{entry_of, known};
use crate::app::App;
use crate::commands::pull::parse_name;

// What was typed after `rbuild manifest annotate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The list's name
    list: String,
    /// The image, called as it was when it was added
    image: String,
    /// Architecture: amd64, arm64, …
    #[arg(long)]
    arch: Option<String>,
    /// Operating system: linux, …
    #[arg(long)]
    os: Option<String>,
    /// Variant of the architecture: v7, …
    #[arg(long)]
    variant: Option<String>,
    /// Version of the operating system
    #[arg(long)]
    os_version: Option<String>,
    /// Features that the operating system must have
    #[arg(long, value_delimiter = ',', value_name = "FEATURE")]
    os_features: Vec<String>,
}

/// What Go calls architectures, as images do.
const ARCHITECTURES: [&str; 17] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64",
    "ppc64le", "riscv64", "s390x", "sparc64", "unknown", "wasm", "wasm32",
];

pub(super) fn run(app: &App, args: &Args) -> anyhow::Result<()> {
    let (name, image) = (parse_name(&args.list)?, parse_name(&args.image)?);
    if let Some(wrong) = args.arch.as_deref().filter(|arch| !is_known(arch)) {
        bail!(
            "unknown architecture {wrong:?}: it is one of {}",
            ARCHITECTURES.join(", ")
        );
    }
    let store = app.store()?;
    known(store, &name)?;
    store.change_manifest_list(&name, |_| {
        let mut list = known(store, &name)?;
        let entry = entry_of(&mut list, &image)?;
        let platform = entry.descriptor.entry("platform");
        let platform = platform.or_insert_with(|| json!({}));
        if let Value::Object(platform) = platform {
            annotate(platform, args);
        }
        Ok::<_, anyhow::Error>(list)
    })
}

fn is_known(arch: &str) -> bool {
    ARCHITECTURES.contains(&arch)
}

fn annotate(platform: &mut Map<String, Value>, args: &Args) {
    let said = [
        ("architecture", &args.arch),
        ("os", &args.os),
        ("os.version", &args.os_version),
        ("variant", &args.variant),
    ];
    for (field, value) in said {
        if let Some(value) = value {
            platform.insert(field.to_owned(), value.clone().into());
        }
    }
    if args.os_features.is_empty() {
        return;
    }
    let features = platform.entry("os.features").or_insert_with(|| json!([]));
    if let Value::Array(features) = features {
        for feature in &args.os_features {
            if !features.iter().any(|known| known == feature) {
                features.push(feature.clone().into());
            }
        }
    }
}
