//! Compression: the same bytes on any number of threads, read by everybody.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::process::Command;

use crate::support::{Test, pipe};
use rbuild_image::Compression;
use rbuild_layer::{CompressionLevel, LayerError, compress, compress_with_threads, decompress};
use rstest::rstest;

/// Text-like bytes: neither constant nor random.
pub(crate) fn sample(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend_from_slice(format!("{} ", state >> 18).as_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn packed(bytes: &[u8], how: Compression, threads: usize, write_bytes: usize) -> Vec<u8> {
    let threads = NonZeroUsize::new(threads).expect("some");
    let mut compressor = compress_with_threads(Vec::new(), how, CompressionLevel::Default, threads)
        .expect("there is memory");
    for piece in bytes.chunks(write_bytes) {
        compressor.write_all(piece).expect("a vector takes it");
        compressor.flush().expect("a vector takes it");
    }
    compressor.finish().expect("a vector takes it")
}

#[rstest]
#[case(Compression::None)]
#[case(Compression::Gzip)]
#[case(Compression::Zstd)]
fn what_was_compressed_comes_back(#[case] how: Compression) -> Test {
    for size in [0, 1, 1 << 20, (1 << 20) + 1, 20_000_000] {
        let bytes = sample(size);
        let mut compressor = compress(Vec::new(), how, CompressionLevel::Default)?;
        compressor.write_all(&bytes)?;
        let packed = compressor.finish()?;
        let mut reader = decompress(&*packed)?;
        if how != Compression::None || size > 0 {
            assert_eq!(reader.compression(), how);
        }
        let mut again = Vec::new();
        reader.read_to_end(&mut again)?;
        assert!(again == bytes, "{size}");
    }
    Ok(())
}

#[rstest]
#[case(Compression::Gzip)]
#[case(Compression::Zstd)]
fn threads_and_writes_do_not_show_in_the_bytes(#[case] how: Compression) {
    let bytes = sample(21_000_000);
    let one = packed(&bytes, how, 1, 1 << 20);
    assert!(one.len() < bytes.len() / 2);
    for (threads, write_bytes) in [(2, 1 << 20), (4, 1 << 20), (3, 77_777), (1, 10_000_000)] {
        assert!(
            packed(&bytes, how, threads, write_bytes) == one,
            "{threads} threads"
        );
    }
}

#[rstest]
#[case(Compression::Gzip, &["gzip", "-dc"])]
#[case(Compression::Gzip, &["python3", "-c", "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))"])]
#[case(Compression::Zstd, &["zstd", "-dc"])]
fn others_read_what_we_compress(#[case] how: Compression, #[case] program: &[&str]) {
    for size in [0, 5_000_000] {
        let bytes = sample(size);
        let packed = packed(&bytes, how, 2, 1 << 20);
        let again = pipe(Command::new(program[0]).args(&program[1..]), &packed);
        assert!(again == bytes, "{program:?}");
    }
}

#[rstest]
#[case(&["gzip", "-c"], Compression::Gzip)]
#[case(&["zstd", "-c", "--long=27"], Compression::Zstd)]
fn we_read_what_others_compress(#[case] program: &[&str], #[case] how: Compression) -> Test {
    let bytes = sample(3_000_000);
    let mut packed = pipe(Command::new(program[0]).args(&program[1..]), &bytes);
    packed.extend(packed.clone());
    let mut reader = decompress(&*packed)?;
    assert_eq!(reader.compression(), how);
    let mut again = Vec::new();
    reader.read_to_end(&mut again)?;
    assert!(again == [bytes.clone(), bytes].concat());
    Ok(())
}

#[rstest]
#[case(Compression::Gzip)]
#[case(Compression::Zstd)]
fn a_stream_that_is_cut_short_is_an_error(#[case] how: Compression) -> Test {
    let packed = packed(&sample(3_000_000), how, 2, 1 << 20);
    for length in [packed.len() / 3, packed.len() - 1] {
        let mut reader = decompress(&packed[..length])?;
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
    Ok(())
}

#[test]
fn bzip2_and_xz_are_named_not_misread() {
    for magic in [&b"BZh91AY&SY"[..], b"\xfd7zXZ\0\0\0"] {
        assert!(matches!(
            decompress(magic),
            Err(LayerError::Compression { .. })
        ));
    }
}

#[test]
fn a_zstd_window_that_is_too_large_is_refused() -> Test {
    let bytes = sample(1000);
    let packed = pipe(
        Command::new("zstd").args(["-c", "--ultra", "--long=30"]),
        &bytes,
    );
    // zstd shrinks the window of small inputs that it can see the end of; from a pipe it cannot.
    assert!(decompress(&*packed)?.read_to_end(&mut Vec::new()).is_err());
    Ok(())
}

#[test]
fn levels_are_taken_to_what_the_format_has() -> Test {
    for how in [Compression::Gzip, Compression::Zstd] {
        for level in [i32::MIN, 1, 9] {
            let mut compressor = compress(Vec::new(), how, CompressionLevel::Of(level))?;
            compressor.write_all(b"bytes")?;
            let packed = compressor.finish()?;
            let mut again = Vec::new();
            decompress(&*packed)?.read_to_end(&mut again)?;
            assert_eq!(again, b"bytes");
        }
    }
    Ok(())
}
