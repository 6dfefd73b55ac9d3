//! The images that stages begin with.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rbuild_image::{Digest, ImageConfig, Platform, RuntimeConfig};
use rbuild_plan::{ImageOrigin, Images, ResolveError, ResolvedImage};
use rbuild_source::OciLayout;
use rbuild_testkit::{ImageMaker, LayerCompression};

use crate::harness::{BUSYBOX, Result};
use crate::world::BASES;

const APPLETS: &[&str] = &[
    "sh", "cat", "env", "grep", "sort", "cp", "rm", "wc", "mkdir", "mv", "chmod", "chown", "ln",
    "find", "stat", "readlink", "id", "pwd", "hostname", "setfattr", "touch",
];

/// OCI layouts of `base`, as it may be, and of `trigger`.
pub(crate) struct Bases {
    directory: PathBuf,
}

impl Bases {
    /// Makes them in `directory`.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let programs = programs(&directory.join("programs"))?;
        for number in 0..BASES {
            let files = files(&directory.join(format!("files-{number}")), number)?;
            let mut runtime = RuntimeConfig {
                env: Some(vec!["PATH=/bin".to_owned()]),
                ..RuntimeConfig::default()
            };
            let image = ImageMaker::new()
                .compression(LayerCompression::None)
                .layer_tar(programs.clone())
                .layer_tar(files);
            let name = directory.join(format!("base-{number}"));
            image
                .clone()
                .runtime(runtime.clone())
                .write(&name, "latest")?;
            if number == 0 {
                runtime.on_build = Some(vec![
                    "ENV C=trigger".to_owned(),
                    "COPY *.txt /triggered/".to_owned(),
                    "RUN mkdir -p /triggered && (cat /triggered/*; echo $A) > /all".to_owned(),
                ]);
                image
                    .runtime(runtime)
                    .write(&directory.join("trigger"), "latest")?;
            }
        }
        let directory = directory.to_owned();
        Ok(Self { directory })
    }

    /// With `base` being the one of this number.
    pub(crate) fn shelf(&self, base: usize) -> Shelf<'_> {
        Shelf { bases: self, base }
    }
}

/// What names stand for in one build.
pub(crate) struct Shelf<'a> {
    bases: &'a Bases,
    base: usize,
}

impl Images for Shelf<'_> {
    fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> std::result::Result<Arc<ResolvedImage>, ResolveError> {
        let folder = match reference {
            "base" => format!("base-{}", self.base),
            other => other.to_owned(),
        };
        let resolve = || -> Result<ResolvedImage> {
            let path = self.bases.directory.join(folder);
            let found = OciLayout::open(&path)?.resolve(Some("latest"), None, platform)?;
            Ok(ResolvedImage {
                origin: ImageOrigin::OciLayout(path.to_string_lossy().into_owned()),
                manifest: Digest::try_from(found.descriptor.digest())?,
                config: ImageConfig::from_json(&found.config_bytes)?,
                layers: found.manifest.layers().clone(),
            })
        };
        resolve()
            .map(Arc::new)
            .map_err(|error| ResolveError::new(error.to_string()))
    }
}

fn programs(directory: &Path) -> Result<Vec<u8>> {
    fs::create_dir_all(directory.join("bin"))?;
    fs::copy(BUSYBOX, directory.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", directory.join("bin").join(applet))?;
    }
    tar_of(directory)
}

fn files(directory: &Path, number: usize) -> Result<Vec<u8>> {
    for folder in ["etc", "d/x", "w", "tmp"] {
        fs::create_dir_all(directory.join(folder))?;
    }
    fs::set_permissions(directory.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    chown(directory.join("w"), Some(1000), Some(1000))?;
    fs::write(
        directory.join("etc/passwd"),
        "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
    )?;
    fs::write(directory.join("etc/group"), "root:x:0:\napp:x:1000:\n")?;
    fs::write(directory.join("etc/release"), format!("{number}\n"))?;
    fs::write(directory.join("d/old.txt"), "old\n")?;
    fs::write(directory.join("d/x/deep.txt"), "deep\n")?;
    symlink("d", directory.join("lnk"))?;
    tar_of(directory)
}

fn tar_of(directory: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("tar");
    command.args([
        "--sort=name",
        "--mtime=@1000",
        "--numeric-owner",
        "-cf-",
        "-C",
    ]);
    let output = command.arg(directory).arg(".").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(output.stdout)
}
