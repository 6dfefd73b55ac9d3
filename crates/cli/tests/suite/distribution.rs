//! A base image of a whole distribution: many owners, links and programs.

use rstest::rstest;

use crate::support::{BaseImage, Caller, Lab};

#[rstest]
fn a_distribution_keeps_its_owners_and_works(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::with_bases(caller, &[BaseImage::Debian]) else {
        return;
    };
    // A single id is all that a step has there: it cannot make users and give them files.
    let (step, user) = if caller.has_many_ids() {
        (
            "useradd --create-home --uid 1234 app && su app -c 'id -un > ~/who'",
            "app",
        )
    } else {
        ("echo root > /root/who", "root")
    };
    let project = lab.project(&format!(
        "FROM debian:bookworm\nRUN {step}\nRUN dpkg --audit && perl -e 'print \"perl works\\n\"' > /perl && dpkg -S /bin/sh\n"
    ));
    let tree = lab.tree(&project, &["-t", "distribution", "-o", "type=image"]);
    assert_eq!(tree.text("perl"), "perl works\n");
    // The shadow file's group, whether or not the builder could give it on disk.
    assert_eq!(
        (tree.get("etc/shadow").uid, tree.get("etc/shadow").gid),
        (0, 42)
    );
    assert_eq!(tree.get("usr/bin/passwd").mode, 0o4755);
    let (home, owner) = if user == "app" {
        ("home/app", 1234)
    } else {
        ("root", 0)
    };
    assert_eq!(tree.text(&format!("{home}/who")), format!("{user}\n"));
    assert_eq!(tree.get(&format!("{home}/who")).uid, owner);
    let ran = lab.rbuild(&[
        "run",
        "--rm",
        "-u",
        user,
        "distribution",
        "bash",
        "-c",
        "id -u; [[ -x /usr/bin/apt-get ]] && echo apt",
    ]);
    assert_eq!(ran.success().stdout, format!("{owner}\napt\n"));
}
