//! Which platform is meant, chosen and told.

use serde_json::{Value, json};

use crate::support::{Caller, Lab};

#[test]
fn of_images_for_several_versions_of_an_operating_system_the_asked_one_is_taken() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let base = lab.project(
        "FROM scratch\nARG TARGETOSVERSION\nARG TARGETPLATFORM\nLABEL platform=$TARGETPLATFORM version=$TARGETOSVERSION\n",
    );
    let both = "windows(10.0.17763.1)/amd64,windows(10.0.20348.2)/amd64";
    lab.build(&base, &["--platform", both, "-t", "versions"]);
    let derived = lab.project("FROM versions\n");
    for version in ["10.0.17763.1", "10.0.20348.2"] {
        let platform = format!("windows({version})/amd64");
        let config = lab.layout(&derived, &["--platform", &platform]).config();
        assert_eq!(config["os.version"], version);
        let labels = &config["config"]["Labels"];
        assert_eq!(labels, &json!({"platform": platform, "version": version}));
    }
}

#[test]
fn the_index_of_an_archive_tells_the_platform_of_its_image() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM scratch\nLABEL a=b\n");
    let told = |arguments: &[&str]| -> Value {
        let index = lab.layout(&project, arguments).index();
        index["manifests"][0]["platform"].clone()
    };
    let arm = json!({"os": "linux", "architecture": "arm", "variant": "v7"});
    assert_eq!(told(&["--platform", "linux/arm", "-t", "x"]), arm);
    assert_eq!(told(&["--platform", "linux/arm/v7"]), arm);
    let arm64 = json!({"os": "linux", "architecture": "arm64"});
    assert_eq!(told(&["--platform", "linux/arm64/v8"]), arm64);
}

#[test]
fn a_base_for_another_platform_is_taken_from_the_store_with_a_warning_and_from_a_layout_without() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let base = lab.project("FROM scratch\nLABEL a=b\n");
    lab.build(&base, &["--platform", "linux/arm64", "-t", "armonly"]);
    let layout = lab.layout(&base, &["--platform", "linux/arm64"]);
    let context = format!("layout=oci-layout://{}", layout.dir.display());
    let build = |name: &str| {
        let project = lab.project(&format!("FROM {name}\n"));
        let platform = ["--platform", "linux/amd64", "--build-context", &context];
        lab.build(&project, &platform)
    };
    let _ = build("armonly")
        .says("InvalidBaseImagePlatform: Base image armonly was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for current build");
    // As in BuildKit, whoever names a context is not asked about it.
    let told = build("layout").stderr;
    assert!(!told.contains("InvalidBaseImagePlatform"), "{told}");
}

#[test]
fn platforms_that_go_without_saying_are_warned_of() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM --platform=$TARGETPLATFORM scratch AS a\nFROM --platform=linux/amd64 scratch AS b\nFROM a\n",
    );
    let outcome = lab.build(&project, &[]);
    let _ = outcome
        .says("RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 1)")
        .says("FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\" (line 2)");
}

/// Its group is among the supplementary ones, so that giving it up wins nothing.
#[test]
fn a_steps_user_has_its_own_group_among_the_supplementary_ones() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nRUN grep Groups: /proc/self/status >> /out\nUSER 1234:1235\nRUN grep Groups: /proc/self/status\nUSER 1236\nRUN [ \"$(id)\" = \"uid=1236 gid=0(root) groups=0(root)\" ]\nUSER daemon\nRUN [ \"$(id)\" = \"uid=1(daemon) gid=1(daemon) groups=1(daemon)\" ]\n",
    );
    let outcome = lab.build(&project, &[]);
    let output = outcome.step("[3/5]").output.join(" ");
    assert!(
        output.split_whitespace().any(|word| word == "1235"),
        "{output}"
    );
}
