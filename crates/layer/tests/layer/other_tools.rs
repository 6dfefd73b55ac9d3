//! An image around one of our layers, read by the tools that people have.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Test, assorted_tree, index, run, scratch, skipped_without_root, tar_of};
use rbuild_image::{Compression, Digest};
use rbuild_layer::{CompressionLevel, compress};
use rstest::rstest;
use std::io::Write;

fn put_blob(layout: &Path, bytes: &[u8]) -> Test<Digest> {
    let digest = Digest::sha256_of(bytes);
    fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes)?;
    Ok(digest)
}

/// An OCI layout with one image, tagged `test`, of one layer.
fn layout_of(tar: &[u8], how: Compression, layout: &Path) -> Test {
    let mut compressor = compress(Vec::new(), how, CompressionLevel::Default)?;
    compressor.write_all(tar)?;
    let packed = compressor.finish()?;
    let suffix = match how {
        Compression::None => "",
        Compression::Gzip => "+gzip",
        Compression::Zstd => "+zstd",
    };
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let layer = put_blob(layout, &packed)?;
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::sha256_of(tar)
    );
    let config_digest = put_blob(layout, config.as_bytes())?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar{suffix}","digest":"{layer}","size":{}}}]}}"#,
        config.len(),
        packed.len()
    );
    let manifest_digest = put_blob(layout, manifest.as_bytes())?;
    fs::write(
        layout.join("index.json"),
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest_digest}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"test"}}}}]}}"#,
            manifest.len()
        ),
    )?;
    Ok(())
}

fn is_missing(program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        let _ = writeln!(std::io::stderr(), "skipped: needs {program}");
    }
    missing
}

#[rstest]
#[case(Compression::None)]
#[case(Compression::Gzip)]
fn umoci_unpacks_our_layers(#[case] how: Compression) -> Test {
    if skipped_without_root() || is_missing("umoci") {
        return Ok(());
    }
    let (from, out) = (scratch(), scratch());
    assorted_tree(from.path())?;
    let layout = out.path().join("layout");
    layout_of(&tar_of(from.path()), how, &layout)?;
    let bundle = out.path().join("bundle");
    run(Command::new("umoci")
        .args(["unpack", "--image"])
        .arg(format!("{}:test", layout.display()))
        .arg(&bundle));
    let unpacked = index(&bundle.join("rootfs"));
    assert_eq!(unpacked.content_id(), index(from.path()).content_id());
    Ok(())
}

#[rstest]
#[case(Compression::Gzip)]
#[case(Compression::Zstd)]
fn skopeo_recompresses_our_layers_to_the_same_contents(#[case] how: Compression) -> Test {
    if is_missing("skopeo") {
        return Ok(());
    }
    let (from, out) = (scratch(), scratch());
    assorted_tree(from.path())?;
    let tar = tar_of(from.path());
    let layout = out.path().join("layout");
    layout_of(&tar, how, &layout)?;
    // The other format, so that skopeo reads every byte; it checks them against the diffID.
    run(Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--dest-decompress"])
        .arg(format!("oci:{}:test", layout.display()))
        .arg(format!("dir:{}", out.path().join("copy").display())));
    let plain = out.path().join("copy").join(Digest::sha256_of(&tar).hex());
    assert!(fs::read(plain)? == tar);
    Ok(())
}
