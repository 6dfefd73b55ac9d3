//! Caches inside images: `type=inline`.

use crate::support::{Caller, Machine, Project, Shared};

const STAGES: &str = "FROM busybox AS build
COPY src /src
RUN mkdir /out && cat /src/a > /out/a && date +%s%N > /out/when
FROM busybox
COPY --from=build /out /app/out
RUN --mount=from=build,source=/src,target=/s cp /s/a /app/copy
COPY other /app/other
";

fn machine() -> Option<Machine> {
    Machine::new(Caller::Root, STAGES, |project: &Project| {
        project.file("src/a", "a").file("other", "other");
    })
}

#[test]
fn an_image_tells_other_machines_what_made_it() {
    let (Some(shared), Some(one), Some(other)) = (Shared::start(), machine(), machine()) else {
        return;
    };
    let name = shared.name("user/app:1");
    let inside = ["--cache-to", "type=inline", "-t", &name];
    let first = one.build(&[&inside[..], &["--push"]].concat());
    let (second, asked) =
        shared.asked_by(|| other.build(&[&inside[..], &["--cache-from", &name]].concat()));
    assert_eq!(second.ran(), [""; 0], "{second}");
    // The manifest, the config, and the layers of the output.
    assert_eq!(asked.len(), 2 + 3, "{asked:#?}");
    assert_eq!(second.image(), first.image());
    // With another file, what depends on it runs; the inner stage is not in the image, and made if it is needed.
    other.project.file("other", "changed");
    let third = other.build(&["--cache-from", &name]);
    assert_eq!(third.ran(), ["COPY other /app/other"], "{third}");
    other
        .project
        .dockerfile(&format!("{STAGES}COPY --from=build /src/a /late\n"));
    let fourth = other.build(&["--cache-from", &name]);
    assert!(
        fourth.ran().contains(&"COPY src /src".to_owned()),
        "{fourth}"
    );
    assert_eq!(other.lab.tree(&other.project, &[]).text("late"), "a");
}

#[test]
fn images_of_one_date_are_the_same_with_a_cache_inside() {
    let (Some(shared), Some(one), Some(other)) = (Shared::start(), machine(), machine()) else {
        return;
    };
    let dated = STAGES.replace("date +%s%N", "echo now");
    let name = shared.name("user/app:1");
    // The argument is BuildKit's.
    let arguments = [
        "--build-arg",
        "SOURCE_DATE_EPOCH=1700000000",
        "--build-arg",
        "BUILDKIT_INLINE_CACHE=1",
    ];
    one.project.dockerfile(&dated);
    other.project.dockerfile(&dated);
    let push = ["-t", &name, "--push"];
    let first = one.build(&[&arguments[..], &push].concat());
    let second = other.build(&arguments);
    assert_eq!(second.ran().len(), 5, "{second}");
    assert_eq!(second.image(), first.image());
    let Some(third) = machine() else { return };
    third.project.dockerfile(&dated);
    let built = third.build(&[&arguments[..], &["--cache-from", &name]].concat());
    assert_eq!(built.ran(), [""; 0], "{built}");
    assert_eq!(built.image(), first.image());
}

#[test]
fn an_image_is_not_written_over_and_one_without_a_cache_says_so() {
    let (Some(shared), Some(one)) = (Shared::start(), machine()) else {
        return;
    };
    let name = shared.name("user/app:1");
    one.build(&["-t", &name, "--push"]);
    let to = format!("type=registry,ref={name}");
    let failed = one.lab.try_build(&one.project, &["--cache-to", &to]);
    let failed = failed.failure();
    assert!(failed.last_words().contains("it is an image"), "{failed}");
    // A step that misses waits for what the cache says.
    one.project.file("other", "changed");
    let built = one.build(&["--cache-from", &name]);
    let warning = "it is an image that was built without --cache-to type=inline";
    assert!(built.stderr.contains(warning), "{built}");
    // It is the image that it was.
    one.lab.rbuild(&["pull", &name]).success();
}
