//! Archives that want out, or want too much.

use crate::support;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Test, index, paths, run, scratch, unpack};
use rbuild_layer::{Extracted, LayerError};
use rstest::rstest;

/// A tar made by Python of the calls in `script`: `f(name, data)`, `d(name)`, `s(name, target)`,
/// `h(name, target)`, `dev(name, major, minor)`.
fn tar(script: &str) -> Vec<u8> {
    run(Command::new("python3").arg("-c").arg(format!(
        "import io, sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT)
def add(name, type, link='', data=b'', **more):
    i = tarfile.TarInfo(name); i.type = type; i.linkname = link; i.size = len(data); i.mode = 0o755
    for k, v in more.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
def f(name, data=b'x', **m): add(name, tarfile.REGTYPE, data=data, **m)
def d(name, **m): add(name, tarfile.DIRTYPE, **m)
def s(name, target): add(name, tarfile.SYMTYPE, target)
def h(name, target): add(name, tarfile.LNKTYPE, target)
def dev(name, major, minor): add(name, tarfile.CHRTYPE, devmajor=major, devminor=minor)
{script}
t.close()"
    )))
}

/// Unpacks into `<scratch>/in`, and says what stands beside it afterwards.
fn confined(tar: &[u8]) -> (Result<Extracted, LayerError>, tempfile::TempDir) {
    let outer = scratch();
    fs::create_dir(outer.path().join("in")).expect("fresh");
    fs::write(outer.path().join("victim"), b"untouched").expect("fresh");
    let result = unpack(tar, &outer.path().join("in"));
    let names: Vec<_> = fs::read_dir(outer.path())
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(
        fs::read(outer.path().join("victim")).expect("there"),
        b"untouched"
    );
    (result, outer)
}

#[rstest]
#[case::parents("f('../../victim')", &["victim"])]
#[case::absolute("f('/victim')", &["victim"])]
#[case::in_the_middle("f('a/../../victim')", &["victim"])]
#[case::through_a_link("s('out', '..'); f('out/victim')", &["out", "victim"])]
#[case::through_an_absolute_link("s('out', '/tmp'); f('out/x')", &["out", "tmp", "tmp/x"])]
#[case::through_links_of_links("s('a', 'b'); s('b', '../../..'); f('a/victim')", &["a", "b", "victim"])]
#[case::link_replaced_by_a_file("s('victim', '../victim'); f('victim', b'new')", &["victim"])]
#[case::link_replaced_by_a_directory("s('d', '..'); d('d'); f('d/x')", &["d", "d/x"])]
#[case::directory_replaced_by_a_link("d('d'); f('d/x'); s('d', '..'); f('d/victim')", &["d", "victim"])]
#[case::only_the_root("d('./', mode=0o700); d('/')", &[])]
fn everything_stays_inside(#[case] script: &str, #[case] expected: &[&str]) -> Test {
    let (extracted, outer) = confined(&tar(script));
    let extracted = extracted?;
    assert_eq!(paths(&extracted.index), expected);
    assert_eq!(
        index(&outer.path().join("in")).content_id(),
        extracted.index.content_id()
    );
    Ok(())
}

#[rstest]
#[case::to_outside("h('link', '../victim')")]
#[case::to_outside_absolute("h('link', '/etc/passwd')")]
#[case::to_outside_through_a_link("s('up', '..'); h('link', 'up/victim')")]
#[case::to_nothing("h('link', 'missing')")]
#[case::to_a_directory("d('d'); h('link', 'd')")]
#[case::to_a_whiteout("f('.wh.a', b''); h('link', 'a')")]
fn hard_links_lead_to_files_of_the_layer_only(#[case] script: &str) {
    let (result, _outer) = confined(&tar(script));
    assert!(
        matches!(result, Err(LayerError::Entry { .. })),
        "{result:?}"
    );
}

#[rstest]
#[case::whiteout_of_the_parent("f('.wh...', b'')")]
#[case::whiteout_of_itself("f('a/.wh..', b'')")]
#[case::whiteout_of_nothing("f('.wh.', b'')")]
#[case::opaque_root("f('.wh..wh..opq', b'')")]
#[case::link_loop("s('a', 'b'); s('b', 'a'); f('a/x')")]
#[case::below_a_file("f('a'); f('a/b')")]
#[case::no_name("f('..')")]
#[case::bad_owner("f('a', uid=4294967295)")]
#[case::long_path("f('/'.join(['d' * 200] * 400))")]
fn nonsense_is_refused(#[case] script: &str) {
    let (result, _outer) = confined(&tar(script));
    assert!(
        matches!(result, Err(LayerError::Entry { .. })),
        "{result:?}"
    );
}

#[test]
fn the_last_of_several_entries_counts() -> Test {
    let (extracted, outer) = confined(&tar(
        "f('a', b'1'); f('a', b'22'); f('b', b'1'); h('c', 'b'); f('b', b'333'); d('e'); f('e/x'); f('e', b'file')",
    ));
    let extracted = extracted?;
    let inside = outer.path().join("in");
    assert_eq!(paths(&extracted.index), ["a", "b", "c", "e"]);
    assert_eq!(fs::read(inside.join("a"))?, b"22");
    assert_eq!(fs::read(inside.join("b"))?, b"333");
    assert_eq!(
        fs::read(inside.join("c"))?,
        b"1",
        "a hard link keeps the bytes that it had"
    );
    assert_eq!(index(&inside).content_id(), extracted.index.content_id());
    Ok(())
}

#[test]
fn a_hard_link_may_sort_before_its_file() -> Test {
    let (extracted, outer) = confined(&tar("f('z', b'1'); h('a', 'z'); h('m', 'a')"));
    let extracted = extracted?;
    assert_eq!(
        index(&outer.path().join("in")).content_id(),
        extracted.index.content_id()
    );
    let again = scratch();
    let repacked = support::tar_of(&outer.path().join("in"));
    assert_eq!(
        unpack(&repacked, again.path())?.index.content_id(),
        extracted.index.content_id()
    );
    Ok(())
}

#[test]
fn archives_that_end_too_early_are_errors_wherever_they_end() -> Test {
    let whole = tar("d('d'); f('d/a', b'x' * 1000); s('l', 'd'); f('n' * 200, b'y' * 10)");
    let complete = confined(&whole).0?.index.len();
    let last_byte = whole
        .iter()
        .rposition(|&byte| byte != 0)
        .expect("not empty");
    let end = (last_byte / 512 + 1) * 512;
    let mut refused = 0;
    for length in (0..end).step_by(97) {
        match confined(&whole[..length]).0 {
            Err(_) => refused += 1,
            // Between two members the end cannot be told from a missing end mark.
            Ok(part) => assert!(length % 512 == 0 && part.index.len() < complete),
        }
    }
    assert!(refused > 20);
    Ok(())
}

#[test]
fn damaged_headers_and_garbage_are_errors() {
    let whole = tar("f('a', b'x'); f('b', b'y')");
    let mut damaged = whole.clone();
    damaged[1024 + 3] ^= 1;
    assert!(matches!(
        confined(&damaged).0,
        Err(LayerError::Archive { .. })
    ));
    let mut trailing = whole;
    trailing.extend_from_slice(b"garbage");
    assert!(matches!(
        confined(&trailing).0,
        Err(LayerError::Archive { .. })
    ));
    assert!(matches!(
        confined(&[b'x'; 2000]).0,
        Err(LayerError::Archive { .. })
    ));
}

#[test]
fn an_archive_cannot_make_us_take_its_word_for_a_size() {
    // A pax header, a long name and a file that say they are enormous.
    for (letter, size) in [
        (b'x', "77777777777"),
        (b'L', "77777777777"),
        (b'0', "77777777777"),
    ] {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[0] = b'a';
        header.as_old_mut().size[..11].copy_from_slice(size.as_bytes());
        header.as_old_mut().linkflag[0] = letter;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&[0; 4096]);
        assert!(confined(&bytes).0.is_err());
    }
}

#[test]
fn a_sparse_file_of_absurd_size_is_refused() {
    let script = "f('a', b'', pax_headers={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9000000000000000000', 'GNU.sparse.name': 'a'})";
    assert!(confined(&tar(script)).0.is_err());
    let map = script.replace(
        "b''",
        "(b'1\\n0\\n9000000000000000000\\n' + b'\\0' * 512)[:512]",
    );
    assert!(matches!(
        confined(&tar(&map)).0,
        Err(LayerError::Archive { .. })
    ));
}

#[test]
fn global_headers_hold_for_all_that_follow() -> Test {
    let bytes = run(Command::new("python3").arg("-c").arg(
        "import io, sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT, pax_headers={'comment': 'x', 'mtime': '77'})
i = tarfile.TarInfo('a'); t.addfile(i)
t.close()",
    ));
    let extracted = confined(&bytes).0?;
    assert_eq!(extracted.index.entries()[0].mtime.seconds, 77);
    Ok(())
}

#[test]
fn directories_keep_their_times_whatever_is_put_into_them() -> Test {
    let (extracted, outer) = confined(&tar(
        "d('d', mtime=1000); f('d/a', mtime=2000); d('d/e', mtime=3000); f('d/e/x')",
    ));
    extracted?;
    let time = |path: &str| -> Test<i64> {
        let path: &Path = &outer.path().join("in").join(path);
        Ok(std::os::unix::fs::MetadataExt::mtime(
            &fs::symlink_metadata(path)?,
        ))
    };
    assert_eq!((time("d")?, time("d/a")?, time("d/e")?), (1000, 2000, 3000));
    Ok(())
}
