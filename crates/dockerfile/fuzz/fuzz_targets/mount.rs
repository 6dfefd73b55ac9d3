//! Any text as the value of `RUN --mount=`: what is read keeps what parsing promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::{MountOptions, mount_from, parse_mount};

fuzz_target!(|text: &str| {
    let early = mount_from(text);
    let Ok(mount) = parse_mount(text, |value| Ok(value.to_owned())) else {
        return;
    };
    let from = match &mount {
        MountOptions::Bind(bind) => &bind.from,
        MountOptions::Cache(cache) => {
            assert!(!cache.id.is_empty());
            &cache.from
        }
        MountOptions::Tmpfs(_) | MountOptions::Ssh(_) => return,
        MountOptions::Secret(secret) => {
            assert!(!secret.id.is_empty());
            assert!(secret.target.is_some() || secret.env.is_some());
            return;
        }
    };
    // The graph of stages is made of what was seen early.
    if let Ok(early) = early {
        assert_eq!(&early, from);
    }
});
