//! `--platform`: images for several kinds of machines, natively and with the kernel's emulation.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Caller, Lab, note_skipped};

/// A program for arm64 that writes `hello from arm` and ends: a static ELF file of one segment.
fn arm_program() -> Vec<u8> {
    const BASE: u32 = 0x40_0000;
    const HEADERS: u32 = 0x78;
    const MESSAGE: &[u8] = b"hello from arm\n";
    const CALL: u32 = 0xD400_0001;
    let movz = |register: u32, value: u32| 0xD280_0000 | value << 5 | register;
    let movk_high = |register: u32, value: u32| 0xF2A0_0000 | value << 5 | register;
    let message_at = BASE + HEADERS + 9 * 4;
    let code = [
        movz(0, 1),
        movz(1, message_at & 0xFFFF),
        movk_high(1, message_at >> 16),
        movz(2, MESSAGE.len() as u32),
        movz(8, 64), // write
        CALL,
        movz(0, 0),
        movz(8, 93), // exit
        CALL,
    ];
    let size = u64::from(HEADERS) + code.len() as u64 * 4 + MESSAGE.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2, 0, 183, 0, 1, 0, 0, 0]); // an executable, aarch64, version 1
    for number in [u64::from(BASE + HEADERS), 64, 0] {
        elf.extend(number.to_le_bytes()); // entry, program headers, section headers
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]); // load it, readable and executable
    for number in [0, u64::from(BASE), u64::from(BASE), size, size, 0x1000] {
        elf.extend(number.to_le_bytes());
    }
    for instruction in code {
        elf.extend(instruction.to_le_bytes());
    }
    elf.extend(MESSAGE);
    elf
}

const FOREIGN: &str = "FROM scratch\nCOPY arm /arm\nRUN [\"/arm\"]\n";

#[test]
fn several_platforms_are_one_index_and_each_has_its_own_files() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM --platform=$BUILDPLATFORM busybox AS build\n\
         ARG TARGETPLATFORM TARGETARCH BUILDPLATFORM\n\
         RUN echo \"$BUILDPLATFORM for $TARGETPLATFORM\" > /made\n\
         FROM scratch\nARG TARGETARCH\nCOPY --from=build /made /made-for-$TARGETARCH\n",
    );
    let out = lab.path("out/files");
    let output = format!("type=local,dest={}", out.display());
    lab.build(
        &project,
        &["--platform", "linux/amd64,linux/arm64", "-o", &output],
    );
    let made = |path: &str| std::fs::read_to_string(out.join(path)).unwrap_or_default();
    assert_eq!(
        made("linux_arm64/made-for-arm64"),
        "linux/amd64 for linux/arm64\n"
    );
    assert_eq!(
        made("linux_amd64/made-for-amd64"),
        "linux/amd64 for linux/amd64\n"
    );

    let layout = lab.layout(&project, &["--platform", "linux/amd64,linux/arm64"]);
    let index: Value = layout.manifest();
    let platforms: Vec<&Value> = index["manifests"]
        .as_array()
        .expect("an index")
        .iter()
        .map(|manifest| &manifest["platform"]["architecture"])
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
}

#[test]
fn a_step_for_another_processor_without_an_emulator_says_what_to_install() {
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        note_skipped("foreign steps without an emulator", "this machine has one");
        return;
    }
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(FOREIGN);
    project.file("arm", arm_program()).mode("arm", 0o755);
    let outcome = lab
        .try_build(&project, &["--platform", "linux/arm64"])
        .failure();
    outcome
        .says("exec format error")
        .says("install qemu-user-static");
}

/// In a user namespace of its own, which has its own list of emulators; the program that it names is opened at once (`F`).
const REGISTER: &str = r"
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 77
printf '%s' ':qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' > /proc/sys/fs/binfmt_misc/register || exit 77
";

#[test]
fn a_step_for_another_processor_runs_where_the_kernel_knows_an_emulator() {
    if !Path::new("/usr/bin/qemu-aarch64-static").exists() {
        note_skipped("emulated steps", "they need qemu-user-static");
        return;
    }
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(FOREIGN);
    project.file("arm", arm_program()).mode("arm", 0o755);
    let script = format!(
        "{REGISTER}exec {} --root {} build --progress=plain --platform linux/arm64 {}",
        env!("CARGO_BIN_EXE_rbuild"),
        lab.path("emulated").display(),
        project.dir.display()
    );
    let output = Command::new("unshare")
        .args(["-Urm", "--propagation", "private", "sh", "-c", &script])
        .output()
        .expect("unshare is there");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        note_skipped(
            "emulated steps",
            "this kernel has no emulators of a user namespace's own",
        );
        return;
    }
    assert!(output.status.success(), "{said}");
    assert!(said.contains("hello from arm"), "{said}");
}
