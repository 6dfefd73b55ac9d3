//! Tars of others, and ours read by them.

use std::fs;
use std::process::Command;

use rstest::rstest;

use crate::support::{Test, assorted_tree, index, pipe, run, scratch, tar_of, unpack};

#[test]
fn gnu_tar_reads_what_we_write() -> Test {
    let (from, to) = (scratch(), scratch());
    assorted_tree(from.path())?;
    pipe(
        Command::new("tar").arg("-xp").arg("-C").arg(to.path()),
        &tar_of(from.path()),
    );
    assert_eq!(
        index(to.path()).content_id(),
        index(from.path()).content_id()
    );
    Ok(())
}

#[rstest]
#[case::gnu("gnu")]
#[case::pax("pax")]
#[case::posix("posix")]
#[case::oldgnu("oldgnu")]
fn we_read_what_gnu_tar_writes(#[case] format: &str) -> Test {
    let (from, to) = (scratch(), scratch());
    assorted_tree(from.path())?;
    let tar = run(Command::new("tar")
        .args(["-c", "--numeric-owner", "-f", "-"])
        .arg(format!("--format={format}"))
        .arg("-C")
        .arg(from.path())
        .arg("."));
    let extracted = unpack(&tar, to.path())?;
    assert_eq!(
        extracted.index.content_id(),
        index(from.path()).content_id()
    );
    Ok(())
}

#[rstest]
#[case::old("gnu", "0.0")]
#[case::pax_0_0("posix", "0.0")]
#[case::pax_0_1("posix", "0.1")]
#[case::pax_1_0("posix", "1.0")]
fn we_read_gnu_sparse_files(#[case] format: &str, #[case] version: &str) -> Test {
    use std::os::unix::fs::FileExt;
    let (from, to) = (scratch(), scratch());
    let file = fs::File::create(from.path().join("many-parts"))?;
    file.set_len(40 << 20)?;
    for part in 0..50_u64 {
        file.write_all_at(format!("part {part}").as_bytes(), part * 700_000)?;
    }
    fs::File::create(from.path().join("all-hole"))?.set_len(1 << 20)?;
    fs::write(from.path().join("plain"), b"x")?;
    let tar = run(Command::new("tar")
        .args(["-cS", "-f", "-"])
        .arg(format!("--format={format}"))
        .arg(format!("--sparse-version={version}"))
        .arg("-C")
        .arg(from.path())
        .arg("."));
    assert!(tar.len() < 2 << 20, "the archive is sparse");
    let extracted = unpack(&tar, to.path())?;
    assert_eq!(
        extracted.index.content_id(),
        index(from.path()).content_id()
    );
    Ok(())
}

#[rstest]
#[case::pax("PAX_FORMAT")]
#[case::gnu("GNU_FORMAT")]
fn python_and_we_read_each_other(#[case] format: &str) -> Test {
    let (from, middle, to) = (scratch(), scratch(), scratch());
    assorted_tree(from.path())?;
    pipe(
        Command::new("python3")
            .arg("-c")
            .arg(
                "import sys, tarfile\nt = tarfile.open(fileobj=sys.stdin.buffer, mode='r|')\n\
             t.extraction_filter = (lambda member, path: member)\nt.extractall(sys.argv[1])",
            )
            .arg(middle.path()),
        &tar_of(from.path()),
    );
    assert_eq!(
        index(middle.path()).content_id(),
        index(from.path()).content_id()
    );
    let tar = run(Command::new("python3").arg("-c").arg(format!(
        "import sys, tarfile\nt = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.{format})\n\
         t.add(sys.argv[1], arcname='.')\nt.close()"
    )).arg(from.path()));
    let extracted = unpack(&tar, to.path())?;
    assert_eq!(
        extracted.index.content_id(),
        index(from.path()).content_id()
    );
    Ok(())
}
