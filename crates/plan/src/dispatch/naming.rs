//! How steps are called: the platform, the keyword.

use rbuild_image::Platform;

use crate::stage::StageState;

/// `linux/amd64->arm64` in a stage that runs on one platform and compiles for another.
pub(super) fn platform_label(state: &StageState) -> String {
    let own = &state.platform;
    let env = &state.env;
    let target = match env.get("TARGETPLATFORM").and_then(|text| text.parse().ok()) {
        Some(target) => Some(target),
        None => ["TARGETOS", "TARGETARCH", "TARGETVARIANT"]
            .iter()
            .any(|name| env.get(name).is_some())
            .then(|| Platform {
                os: env.get("TARGETOS").unwrap_or(&own.os).to_owned(),
                architecture: env
                    .get("TARGETARCH")
                    .unwrap_or(&own.architecture)
                    .to_owned(),
                variant: env.get("TARGETVARIANT").unwrap_or_default().to_owned(),
                os_version: String::new(),
            }),
    };
    let Some(target) = target.map(|target: Platform| target.normalized()) else {
        return own.to_string();
    };
    if target.os != own.os {
        return format!("{own}->{target}");
    }
    if target.architecture == own.architecture {
        return own.to_string();
    }
    let variant = if target.variant.is_empty() {
        String::new()
    } else {
        format!("/{}", target.variant)
    };
    format!("{own}->{}{variant}", target.architecture)
}

pub(super) fn upper_keyword(text: String) -> String {
    let keyword = text.split(' ').next().unwrap_or_default();
    if keyword.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return text;
    }
    [&keyword.to_uppercase(), &text[keyword.len()..]].concat()
}
