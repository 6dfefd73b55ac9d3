//! What is a hit, and what must not be one.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rbuild_image::{Descriptor, DiffId, Digest, ImageConfig, MediaType, media_type};
use rbuild_layer::FileTimes;
use rbuild_plan::{
    Access, CopyAction, ExecMount, ImageOrigin, ImageSource, Input, MountKind, Operation,
    ResolvedImage, Wildcard,
};

use crate::Case;
use crate::lab::{Lab, Result, Steps};

pub(crate) const ALL: &[Case] = &[
    (
        "with_an_epoch_a_used_store_gives_what_a_clean_one_gives",
        epochs,
    ),
    (
        "a_bounded_epoch_keeps_older_times_and_hides_when_the_step_ran",
        bounded_epochs,
    ),
    ("two_builds_at_once_share_each_step", two_at_once),
    (
        "times_of_a_context_do_not_count_but_modes_and_bytes_do",
        context_changes,
    ),
    (
        "whether_copied_names_share_a_file_counts",
        shared_files_count,
    ),
    (
        "the_attributes_of_a_mounted_directory_count",
        mounted_directory_counts,
    ),
    (
        "a_pattern_that_matched_nothing_does_not_let_a_missing_path_pass",
        missing_path,
    ),
    (
        "a_step_that_gives_the_same_contents_again_spares_those_after_it",
        early_cut_off,
    ),
    (
        "layers_of_a_base_that_was_built_here_need_no_registry",
        local_base,
    ),
];

fn context_changes() -> Result {
    let lab = Lab::new()?;
    Lab::write(&lab.main("src/a"), "a")?;
    let executed = || -> Result<usize> {
        let mut steps = Steps::default();
        let main = steps.main();
        let copy = steps.copy(None, main, "/src", "/dst/", |_| {});
        Ok(lab.solve(&steps.output(copy))??.executed)
    };
    assert_eq!(executed()?, 1);
    assert_eq!(executed()?, 0);
    let file = fs::File::options().write(true).open(lab.main("src/a"))?;
    file.set_modified(SystemTime::now() - Duration::from_secs(100))?;
    assert_eq!(executed()?, 0, "another time");
    fs::write(lab.main("src/a"), "b")?;
    assert_eq!(executed()?, 1, "other bytes of the same size");
    Lab::mode(&lab.main("src/empty"), 0o700)?;
    assert_eq!(executed()?, 1, "another directory");
    Lab::mode(&lab.main("src/empty"), 0o711)?;
    assert_eq!(executed()?, 1, "another mode");
    Ok(())
}

fn shared_files_count() -> Result {
    let lab = Lab::with_shell()?;
    let top = |script: &str| -> Result<rbuild_image::LayerId> {
        let mut steps = Steps::default();
        let base = steps.base();
        let made = steps.run(script, Vec::new(), &[base]);
        let copy = steps.copy(None, made, "/d/[ab]", "/x/", |_| {});
        let solution = lab.solve(&steps.output(copy))??;
        Ok(*solution.outputs[0].last().ok_or("a layer")?)
    };
    let apart = top("mkdir /d; touch /d/a /d/b")?;
    let shared = top("mkdir /d; touch /d/a; ln /d/a /d/b")?;
    assert_ne!(apart, shared);
    Ok(())
}

fn mounted_directory_counts() -> Result {
    let lab = Lab::with_shell()?;
    let seen = |mode: &str| -> Result<String> {
        let mut steps = Steps::default();
        let base = steps.base();
        let made = steps.run(&format!("mkdir -m {mode} /d"), Vec::new(), &[base]);
        let mount = ExecMount {
            target: "/m".to_owned(),
            kind: MountKind::Bind {
                from: Input(1),
                source: "/d".to_owned(),
                access: Access::ReadOnly,
            },
        };
        let run = steps.run("stat -c %a /m > /seen", vec![mount], &[base, made]);
        let top = lab.top(&lab.solve(&steps.output(run))??)?;
        Ok(fs::read_to_string(top.join("seen"))?)
    };
    assert_eq!(seen("755")?, "755\n");
    assert_eq!(seen("711")?, "711\n");
    Ok(())
}

fn missing_path() -> Result {
    let lab = Lab::with_shell()?;
    let copied = |wildcard: Wildcard| -> Result<bool> {
        let mut steps = Steps::default();
        let base = steps.base();
        let made = steps.run("true", Vec::new(), &[base]);
        let change = |copy: &mut CopyAction| copy.wildcard = wildcard;
        let copy = steps.copy(Some(base), made, "/none", "/x/", change);
        Ok(lab.solve(&steps.output(copy))?.is_ok())
    };
    assert!(copied(Wildcard::Pattern)?);
    assert!(!copied(Wildcard::Literal)?);
    Ok(())
}

/// The diffIDs of a file that is copied and of one that a command makes.
fn dated(lab: &Lab, times: FileTimes) -> Result<(usize, Vec<DiffId>)> {
    let mut steps = Steps::default();
    let (base, main) = (steps.base(), steps.main());
    let copy = steps.copy(Some(base), main, "/a", "/a", |_| {});
    let run = steps.run("touch /b; touch -d @1000 /c", Vec::new(), &[copy]);
    let solution = lab.solve(&steps.output(run))??;
    let ids = solution.outputs[0].iter().map(|id| {
        let known = lab.store.diff_id(id, times)?;
        Ok(known.ok_or("a diffID")?.0)
    });
    Ok((solution.executed, ids.collect::<Result<_>>()?))
}

fn epochs() -> Result {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    // Earlier and later than all that is built here.
    let epochs = [1_000_000_000, now.as_secs() as i64 + 1_000_000];
    let labs = [Lab::with_shell()?, Lab::with_shell()?];
    for (lab, age) in labs.iter().zip([10, 20]) {
        let file = lab.main("a");
        Lab::write(&file, "a")?;
        let modified = SystemTime::now() - Duration::from_secs(age);
        fs::File::options()
            .write(true)
            .open(file)?
            .set_modified(modified)?;
    }
    let [mut used, mut clean] = labs;
    dated(&used, FileTimes::Own)?;
    for epoch in epochs {
        let fixed = FileTimes::Fixed(epoch);
        used.file_times = vec![fixed];
        clean.file_times = vec![fixed];
        let (executed, used_ids) = dated(&used, fixed)?;
        assert_eq!(executed, 0, "another epoch runs no step again");
        assert_eq!(used_ids, dated(&clean, fixed)?.1);
        used.file_times = vec![FileTimes::Own];
        assert_ne!(used_ids, dated(&used, FileTimes::Own)?.1, "{epoch}");
    }
    Ok(())
}

fn bounded_epochs() -> Result {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let later = FileTimes::Bounded(now.as_secs() as i64 + 1_000_000);
    let times = |lab: &Lab| -> Result<Vec<i64>> {
        let mut steps = Steps::default();
        let base = steps.base();
        let run = steps.run("touch /b; touch -d @1000 /c", Vec::new(), &[base]);
        let solution = lab.solve(&steps.output(run))??;
        let top = solution.outputs[0].last().ok_or("a layer")?;
        let made = lab.store.layer(top)?.ok_or("the layer")?;
        let index = made.dated_index(later)?;
        Ok(index
            .entries()
            .iter()
            .map(|entry| entry.mtime.seconds)
            .collect())
    };
    let FileTimes::Bounded(epoch) = later else {
        unreachable!("it was made above");
    };
    assert_eq!(times(&Lab::with_shell()?)?, [epoch, 1000]);
    Ok(())
}

/// Two builds at a time, each with a handle of its own as two processes have.
fn two_at_once() -> Result {
    let lab = Lab::with_shell()?;
    let executed = || -> usize {
        let mut steps = Steps::default();
        let base = steps.base();
        let first = steps.run("sleep 0.2; echo a > /a", Vec::new(), &[base]);
        let second = steps.run("cat /a > /b", Vec::new(), &[first]);
        let again = lab.again().expect("the store opens");
        let solved = again.solve(&steps.output(second)).expect("a build");
        solved.expect("it succeeds").executed
    };
    let counts = std::thread::scope(|scope| {
        let other = scope.spawn(executed);
        let own = executed();
        other.join().map(|other| own + other)
    });
    assert_eq!(counts.ok(), Some(3), "each step ran once");
    Ok(())
}

fn early_cut_off() -> Result {
    let lab = Lab::with_shell()?;
    let executed = |script: &str| -> Result<usize> {
        let mut steps = Steps::default();
        let base = steps.base();
        let first = steps.run(script, Vec::new(), &[base]);
        let second = steps.run("cat /a > /b", Vec::new(), &[first]);
        Ok(lab.solve(&steps.output(second))??.executed)
    };
    assert_eq!(executed("echo a > /a")?, 3);
    assert_eq!(executed("echo  a > /a")?, 1, "only the changed step runs");
    Ok(())
}

/// The image that `solution` is, as the local store knows it.
fn stored(lab: &Lab, layers: &[rbuild_image::LayerId]) -> Result<ResolvedImage> {
    let mut config = ImageConfig::default();
    let mut blobs = Vec::new();
    for id in layers {
        let (diff_id, size) = lab.store.diff_id(id, FileTimes::Own)?.ok_or("a diffID")?;
        config.rootfs.diff_ids.push(diff_id);
        blobs.push(Descriptor::new(
            MediaType::from(media_type::OCI_LAYER),
            size,
            diff_id.0,
        ));
    }
    Ok(ResolvedImage {
        origin: ImageOrigin::Store("localhost:1/none:latest".to_owned()),
        manifest: Digest::sha256_of(b"manifest"),
        config,
        layers: blobs,
    })
}

fn local_base() -> Result {
    let lab = Lab::with_shell()?;
    let mut steps = Steps::default();
    let base = steps.base();
    let solution = lab.solve(&steps.output(base))??;
    let image = Arc::new(stored(&lab, &solution.outputs[0])?);
    let mut steps = Steps::default();
    let image = steps.add(Operation::Image(ImageSource { image }), &[]);
    let run = steps.run("echo works > /seen", Vec::new(), &[image]);
    let top = lab.top(&lab.solve(&steps.output(run))??)?;
    assert_eq!(fs::read_to_string(top.join("seen"))?, "works\n");
    Ok(())
}
