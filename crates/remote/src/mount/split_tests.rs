//! Tests of `split`.

use super::*;

fn split(tar: &[u8], step: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut heads, mut contents) = (Vec::new(), Vec::new());
    let mut splitter = Splitter::new(
        |bytes: &[u8]| {
            heads.extend_from_slice(bytes);
            Ok(())
        },
        |bytes: &[u8]| {
            contents.extend_from_slice(bytes);
            Ok(())
        },
    );
    for part in tar.chunks(step) {
        splitter.write_all(part)?;
    }
    Ok((heads, contents))
}

fn member(name: &str, kind: u8, size: u64, data: &[u8]) -> Vec<u8> {
    let mut head = [0; BLOCK];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    head[156] = kind;
    let mut member = head.to_vec();
    member.extend_from_slice(data);
    member.resize(member.len().next_multiple_of(BLOCK), 0);
    member
}

#[test]
fn a_tar_comes_back_as_it_was_and_contents_are_apart() {
    let pax = b"13 size=1000\n";
    let tar = [
        member("dir", b'5', 0, b""),
        member("one", b'0', 3, b"one"),
        member("long", b'L', 600, &[b'n'; 600]),
        member("full", b'0', 512, &[b'f'; 512]),
        member("pax", b'x', pax.len() as u64, pax),
        member("sized", b'0', 0, &[b's'; 1000]),
        member("link", b'1', 0, b""),
        vec![0; 2 * BLOCK],
    ]
    .concat();
    for step in [1, 7, 512, 100_000] {
        let (heads, contents) = split(&tar, step).expect("a tar");
        assert_eq!(contents.len(), 3 + 512 + 1000);
        let mut joined = Vec::new();
        Joiner::new(heads.as_slice(), contents.as_slice())
            .read_to_end(&mut joined)
            .expect("a tar");
        assert_eq!(joined, tar);
    }
}

#[test]
fn what_is_no_tar_or_ends_early_is_an_error() {
    let head = member("one", b'0', 3, b"");
    let short = Joiner::new(head.as_slice(), &b"on"[..]).read_to_end(&mut Vec::new());
    assert!(short.is_err());
    let part = Joiner::new(&head[..100], &b""[..]).read_to_end(&mut Vec::new());
    assert!(part.is_err());
    assert!(split(&member("big", b'x', u64::MAX >> 33, b""), 512).is_err());
    assert!(split(&[b'z'; 512], 512).is_err());
}
