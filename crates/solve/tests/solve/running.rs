//! RUN: its mounts, its failures, its secrets.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rbuild_plan::{
    Access, CacheIdOrigin, ExecMount, Input, MountKind, Presence, SecretFile, Sharing,
};
use rbuild_solve::{Secret, SolveError, StepError};

use crate::Case;
use crate::lab::{Lab, Result, Steps};

pub(crate) const ALL: &[Case] = &[
    ("a_link_in_a_cache_does_not_lead_to_the_host", cache_link),
    (
        "a_cache_that_is_mounted_twice_does_not_wait_for_itself",
        cache_twice,
    ),
    (
        "steps_that_lock_the_same_caches_in_another_order_do_not_wait_for_ever",
        cache_order,
    ),
    (
        "a_context_is_mounted_as_it_was_when_it_was_hashed",
        bound_context,
    ),
    (
        "a_link_in_a_mounted_tree_does_not_lead_to_the_host",
        bound_link,
    ),
    (
        "the_first_failure_stops_the_others_and_is_what_is_told",
        first_failure,
    ),
    ("a_secret_is_seen_by_the_step_and_left_nowhere", secrets),
];

fn cache(id: &str, target: &str, source: &str) -> ExecMount {
    ExecMount {
        target: target.to_owned(),
        kind: MountKind::Cache {
            id: id.to_owned(),
            id_origin: CacheIdOrigin::Given,
            sharing: Sharing::Locked,
            from: None,
            source: source.to_owned(),
            owner: (0, 0),
            mode: 0o755,
            access: Access::ReadWrite,
        },
    }
}

fn bind(source: &str) -> ExecMount {
    ExecMount {
        target: "/m".to_owned(),
        kind: MountKind::Bind {
            from: Input(1),
            source: source.to_owned(),
            access: Access::ReadWrite,
        },
    }
}

fn cache_link() -> Result {
    let lab = Lab::with_shell()?;
    let outside = lab.directory.path().join("outside");
    Lab::write(&outside.join("secret"), "of the host")?;
    let mut steps = Steps::default();
    let base = steps.base();
    let script = format!("ln -s {} /c/link", outside.display());
    let first = steps.run(&script, vec![cache("c", "/c", "/")], &[base]);
    let second = steps.run("cat /h/secret", vec![cache("c", "/h", "/link")], &[first]);
    assert!(lab.solve(&steps.output(second))?.is_err());
    Ok(())
}

fn cache_twice() -> Result {
    let lab = Lab::with_shell()?;
    let mut steps = Steps::default();
    let base = steps.base();
    let mounts = vec![cache("c", "/one", "/"), cache("c", "/two", "/")];
    let run = steps.run("touch /one/a; cat /two/a; touch /seen", mounts, &[base]);
    let top = lab.top(&lab.solve(&steps.output(run))??)?;
    assert!(top.join("seen").exists() && !top.join("one/a").exists());
    Ok(())
}

fn cache_order() -> Result {
    let lab = Lab::with_shell()?;
    let mut steps = Steps::default();
    let base = steps.base();
    let runs: Vec<_> = (0..6)
        .map(|number| {
            let mut mounts = vec![cache("one", "/one", "/"), cache("two", "/two", "/")];
            if number % 2 == 0 {
                mounts.reverse();
            }
            steps.run(&format!("touch /{number}"), mounts, &[base])
        })
        .collect();
    let all = steps.add(rbuild_plan::Operation::Merge, &runs);
    assert_eq!(lab.solve(&steps.output(all))??.executed, 7);
    Ok(())
}

fn bound_context() -> Result {
    let lab = Lab::with_shell()?;
    Lab::write(&lab.main("dir/a"), "text")?;
    let mut steps = Steps::default();
    let (base, main) = (steps.base(), steps.main());
    let script = "cat /m/a > /seen; echo changed > /m/a";
    let run = steps.run(script, vec![bind("/dir")], &[base, main]);
    let top = lab.top(&lab.solve(&steps.output(run))??)?;
    assert_eq!(fs::read_to_string(top.join("seen"))?, "text");
    assert!(!top.join("m").exists(), "a mount point is not in the layer");
    assert_eq!(fs::read_to_string(lab.main("dir/a"))?, "text");
    Ok(())
}

fn bound_link() -> Result {
    let lab = Lab::with_shell()?;
    let outside = lab.directory.path().join("outside");
    Lab::write(&outside.join("secret"), "of the host")?;
    symlink(&outside, lab.base("link"))?;
    let mut steps = Steps::default();
    let base = steps.base();
    let run = steps.run("cat /m/secret", vec![bind("/link")], &[base, base]);
    assert!(lab.solve(&steps.output(run))?.is_err());
    Ok(())
}

fn first_failure() -> Result {
    let lab = Lab::with_shell()?;
    let mut steps = Steps::default();
    let base = steps.base();
    let slow = steps.run("sleep 60", Vec::new(), &[base]);
    let bad = steps.run("exit 7", Vec::new(), &[base]);
    let all = steps.add(rbuild_plan::Operation::Merge, &[slow, bad]);
    let begun = Instant::now();
    let Err(SolveError::Step { vertex, error }) = lab.solve(&steps.output(all))? else {
        return Err("the step's error is the build's".into());
    };
    assert_eq!(vertex, bad);
    assert!(matches!(*error, StepError::Exit { code: 7, .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30));
    Ok(())
}

fn secrets() -> Result {
    const BYTES: &str = "hunter2-and-more";
    let mut lab = Lab::with_shell()?;
    lab.secrets
        .insert("token".to_owned(), Secret::new(BYTES.as_bytes()));
    let mut steps = Steps::default();
    let base = steps.base();
    let mount = ExecMount {
        target: "/run/secrets/token".to_owned(),
        kind: MountKind::Secret {
            id: "token".to_owned(),
            file: SecretFile::Mounted,
            env: Some("TOKEN".to_owned()),
            presence: Presence::Required,
            owner: (0, 0),
            mode: 0o400,
        },
    };
    let script = "[ \"$TOKEN\" = \"$(cat /run/secrets/token)\" ]; echo ${#TOKEN} > /length";
    let run = steps.run(script, vec![mount], &[base]);
    let top = lab.top(&lab.solve(&steps.output(run))??)?;
    assert_eq!(
        fs::read_to_string(top.join("length"))?.trim(),
        BYTES.len().to_string()
    );
    assert_eq!(
        found_below(lab.store.root(), BYTES.as_bytes())?,
        Vec::<String>::new()
    );
    Ok(())
}

/// The files below `directory` that hold `bytes`.
fn found_below(directory: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
        let kind = kind?;
        if kind.is_dir() {
            found.extend(found_below(&path, bytes)?);
        } else if kind.is_file()
            && fs::read(&path)?
                .windows(bytes.len())
                .any(|window| window == bytes)
        {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}
