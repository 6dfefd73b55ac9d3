//! What only ADD does: archives and downloads.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use super::root_lab;
use crate::support::{Kind, run};

/// Serves one body for every path, dated the 2nd of January 2001; gives the address.
fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nLast-Modified: Tue, 02 Jan 2001 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // Who asks for the head alone may hang up.
            let _ = stream.write_all(answer.as_bytes());
            if !head.starts_with("HEAD") {
                let _ = stream.write_all(&body);
            }
        }
    });
    address
}

fn archive(lab: &crate::support::Lab, compressor: &str) -> Vec<u8> {
    let from = lab.path(&format!(
        "archive-{}",
        compressor.split(' ').next().expect("a word")
    ));
    std::fs::create_dir_all(from.join("in")).expect("new folders");
    std::fs::write(from.join("in/file"), "unpacked").expect("a new file");
    let out = from.with_extension("out");
    let script = format!(
        "tar -C {} -c in | {compressor} > {}",
        from.display(),
        out.display()
    );
    run("sh", &["-c", &script]).success();
    std::fs::read(out).expect("an archive")
}

#[test]
fn archives_are_known_by_what_is_in_them_not_by_their_names() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nADD gzip.txt /gzip\nADD plain /plain\nADD not.tar.gz /not.tar.gz\nADD not.tar.gz /dir/\nADD empty.tar /empty\n");
    project
        .file("gzip.txt", archive(&lab, "gzip"))
        .file("plain", archive(&lab, "cat"))
        .file("not.tar.gz", "no archive")
        .file("empty.tar", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("gzip/in/file"), "unpacked");
    assert_eq!(tree.text("plain/in/file"), "unpacked");
    assert_eq!(tree.text("not.tar.gz"), "no archive");
    assert_eq!(tree.text("dir/not.tar.gz"), "no archive");
    assert!(matches!(&tree.get("empty").kind, Kind::File(bytes) if bytes.is_empty()));
}

#[test]
fn a_download_has_its_urls_name_its_servers_time_and_a_mode_for_its_owner_alone() {
    let Some(lab) = root_lab() else { return };
    let address = serve(archive(&lab, "gzip"));
    let project = lab.project(&format!(
        "FROM scratch\nADD {address}/path/file.tar.gz?query=1 /named/\nADD {address}/ /unnamed/\nADD {address}/x.tgz /renamed\nADD --unpack=true {address}/x.tgz /unpacked/\nADD --chmod=0755 --chown=1:2 {address}/tool /bin/tool\n"
    ));
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.below("named"), ["file.tar.gz"]);
    assert_eq!(tree.below("unnamed"), ["__unnamed__"]);
    let node = tree.get("renamed");
    assert_eq!((node.mode, node.uid, node.mtime), (0o600, 0, 978_393_600));
    assert_eq!(tree.text("unpacked/in/file"), "unpacked");
    let tool = tree.get("bin/tool");
    assert_eq!((tool.mode, tool.uid, tool.gid), (0o755, 1, 2));
}

#[test]
fn extended_attributes_are_copied() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox AS stage\nCOPY file /file\nFROM scratch\nCOPY file /context\nCOPY --from=stage /file /stage\n");
    project.file("file", "");
    let path = project.dir.join("file");
    let set = rustix::fs::setxattr(&path, "user.note", b"kept", rustix::fs::XattrFlags::empty());
    if set.is_err() {
        crate::support::note_skipped("extended attributes", "not on this file system");
        return;
    }
    let tree = lab.tree(&project, &[]);
    for name in ["context", "stage"] {
        let note = tree.get(name).xattrs.get("user.note");
        assert_eq!(note.map(Vec::as_slice), Some(&b"kept"[..]), "{name}");
    }
}
