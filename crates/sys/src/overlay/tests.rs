#![allow(
    clippy::print_stderr,
    clippy::unnecessary_wraps,
    reason = "skips are told"
)]

use super::*;

use std::error::Error;
use std::fs;

type Outcome = Result<(), Box<dyn Error>>;

/// Mounting needs root of some namespace; the machine that decides (CI) has it.
fn can_mount() -> bool {
    let can = rustix::process::geteuid().is_root();
    if !can {
        eprintln!("skipped: needs root");
    }
    can
}

fn layer(root: &Path, name: &str, files: &[(&str, &str)]) -> io::Result<PathBuf> {
    let directory = root.join(name);
    fs::create_dir_all(&directory)?;
    for (file, contents) in files {
        fs::write(directory.join(file), contents)?;
    }
    Ok(directory)
}

fn read(root: &OwnedFd, name: &str) -> io::Result<String> {
    fs::read_to_string(through_proc(root.as_fd()).join(name))
}

#[test]
fn the_topmost_layer_wins_and_nothing_can_be_written() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let top = layer(temp.path(), "top", &[("a", "top")])?;
    let bottom = layer(temp.path(), "bottom", &[("a", "bottom"), ("b", "bottom")])?;
    let root = mount_overlay(&[top, bottom], None, OverlayFlavor::detect())?;
    assert_eq!(read(&root, "a")?, "top");
    assert_eq!(read(&root, "b")?, "bottom");
    let refused = fs::write(through_proc(root.as_fd()).join("c"), "x");
    assert_eq!(
        refused.err().and_then(|error| error.raw_os_error()),
        Some(libc::EROFS)
    );
    Ok(())
}

#[test]
fn writes_go_to_the_upper_directory_in_both_flavors() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    for flavor in [OverlayFlavor::Trusted, OverlayFlavor::User] {
        let temp = tempfile::tempdir()?;
        let lower = layer(temp.path(), "lower", &[("a", "old")])?;
        let upper = layer(temp.path(), "upper", &[])?;
        let work = layer(temp.path(), "work", &[])?;
        let pair = UpperWork {
            upper: &upper,
            work: &work,
        };
        let root = mount_overlay(&[&lower], Some(pair), flavor)?;
        fs::write(through_proc(root.as_fd()).join("a"), "new")?;
        drop(root);
        assert_eq!(fs::read_to_string(upper.join("a"))?, "new");
        assert_eq!(fs::read_to_string(lower.join("a"))?, "old");
    }
    Ok(())
}

#[test]
fn one_layer_and_none_mount_as_well() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let only = layer(temp.path(), "only", &[("a", "x")])?;
    let root = mount_overlay(&[&only], None, OverlayFlavor::detect())?;
    assert_eq!(read(&root, "a")?, "x");
    let nothing = mount_overlay::<&Path>(&[], None, OverlayFlavor::detect())?;
    assert!(
        fs::read_dir(through_proc(nothing.as_fd()))?
            .next()
            .is_none()
    );
    Ok(())
}

fn borrowed(layers: &[PathBuf]) -> Vec<&Path> {
    layers.iter().map(PathBuf::as_path).collect()
}

#[test]
fn five_hundred_layers_with_long_names_fit() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let long = temp.path().join("x".repeat(200)).join("y".repeat(200));
    let mut layers = Vec::new();
    for index in 0..MAX_OVERLAY_LOWERS {
        let name = format!("f{index}");
        layers.push(layer(&long, &format!("l{index}"), &[(&name, "x")])?);
    }
    let root = mount_overlay(&layers, None, OverlayFlavor::detect())?;
    assert_eq!(fs::read_dir(through_proc(root.as_fd()))?.count(), 500);
    let old = mount_by_options(&borrowed(&layers), None, OverlayFlavor::detect())?;
    assert_eq!(fs::read_dir(through_proc(old.as_fd()))?.count(), 500);
    layers.push(temp.path().to_owned());
    let refused = mount_overlay(&layers, None, OverlayFlavor::detect());
    assert!(matches!(refused, Err(SysError::TooManyLayers(501))));
    Ok(())
}

#[test]
fn the_way_of_older_kernels_gives_the_same_tree() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let top = layer(temp.path(), "t,o:p", &[("a", "top")])?;
    let bottom = layer(temp.path(), "bottom", &[("b", "bottom")])?;
    let upper = layer(temp.path(), "upper", &[])?;
    let work = layer(temp.path(), "work", &[])?;
    let pair = UpperWork {
        upper: &upper,
        work: &work,
    };
    let root = mount_by_options(&[&top, &bottom], Some(pair), OverlayFlavor::detect())?;
    assert_eq!(read(&root, "a")?, "top");
    fs::write(through_proc(root.as_fd()).join("c"), "new")?;
    assert_eq!(fs::read_to_string(upper.join("c"))?, "new");
    Ok(())
}

#[test]
fn a_missing_layer_is_named() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let missing = [Path::new("/nonexistent/one"), Path::new("/nonexistent/two")];
    let error = mount_overlay(&missing, None, OverlayFlavor::detect())
        .expect_err("there is no such directory");
    assert!(error.to_string().contains("/nonexistent/one"), "{error}");
    Ok(())
}

#[test]
fn a_closed_overlay_can_be_mounted_again() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let lower = layer(temp.path(), "lower", &[])?;
    let upper = layer(temp.path(), "upper", &[])?;
    let work = layer(temp.path(), "work", &[])?;
    let pair = UpperWork {
        upper: &upper,
        work: &work,
    };
    for name in ["first", "second"] {
        let root = mount_overlay(&[&lower], Some(pair), OverlayFlavor::detect())?;
        fs::write(through_proc(root.as_fd()).join(name), "x")?;
    }
    assert!(upper.join("first").exists() && upper.join("second").exists());
    Ok(())
}

#[test]
fn a_layer_that_stands_twice_in_a_stack_counts_where_it_is_topmost() -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let twice = layer(temp.path(), "twice", &[("a", "twice")])?;
    let between = layer(
        temp.path(),
        "between",
        &[("a", "between"), ("b", "between")],
    )?;
    let base = layer(temp.path(), "base", &[("a", "base"), ("c", "base")])?;
    let stack = [&twice, &between, &twice, &base];
    let root = mount_overlay(&stack, None, OverlayFlavor::detect())?;
    assert_eq!(read(&root, "a")?, "twice");
    assert_eq!(read(&root, "b")?, "between");
    assert_eq!(read(&root, "c")?, "base");
    let many = vec![&twice; MAX_OVERLAY_LOWERS + 1];
    mount_overlay(&many, None, OverlayFlavor::detect())?;
    Ok(())
}
