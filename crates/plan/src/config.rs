//! What an image's config becomes when a stage starts from it.

use rbuild_image::{ImageConfig, Platform, RuntimeConfig};

/// What is found in PATH if the base does not say.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Config fields beyond our types that an image keeps when it is built upon.
const KEPT_FIELDS: [&str; 2] = ["os.version", "os.features"];

/// The config of `FROM scratch`.
pub(crate) fn empty(platform: &Platform) -> ImageConfig {
    ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config: RuntimeConfig {
            working_dir: "/".to_owned(),
            env: Some(vec![format!("PATH={DEFAULT_PATH}")]),
            ..RuntimeConfig::default()
        },
        ..ImageConfig::default()
    }
}

/// `config` as the start of a new image: when it was made, its layers, its ONBUILDs and what only its builder knew are
/// gone.
pub(crate) fn inherited(config: &ImageConfig) -> ImageConfig {
    let mut config = config.clone();
    config.created = None;
    config.rootfs.diff_ids.clear();
    config
        .other
        .retain(|field, _| KEPT_FIELDS.contains(&field.as_str()));
    config.config.other.clear();
    config.config.on_build = None;
    config
}

/// Writes `platform`, which the user asked for, over what the base said.
pub(crate) fn set_platform(config: &mut ImageConfig, platform: &Platform) {
    let is_same = config.os == platform.os && config.architecture == platform.architecture;
    config.os.clone_from(&platform.os);
    config.architecture.clone_from(&platform.architecture);
    if !is_same || !platform.variant.is_empty() {
        config.variant.clone_from(&platform.variant);
    }
    if !platform.os_version.is_empty() {
        config
            .other
            .insert("os.version".to_owned(), platform.os_version.clone().into());
    } else if !is_same {
        config.other.remove("os.version");
    }
}

/// The platform that `config` says, in normal form.
pub(crate) fn platform_of(config: &ImageConfig) -> Platform {
    Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os_version: String::new(),
    }
    .normalized()
}

/// Brings the platform in `config` into normal form.
pub(crate) fn normalize_platform(config: &mut ImageConfig) {
    if config.os.is_empty() || config.architecture.is_empty() {
        return;
    }
    let platform = platform_of(config);
    config.os = platform.os;
    config.architecture = platform.architecture;
    config.variant = platform.variant;
}
