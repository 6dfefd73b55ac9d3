//! One output, written.

use anyhow::Context as _;
use rbuild_export::{
    ArchiveKind, Blobs, BuiltImages, Dating, Exported, Labels, PushProgress, StatementFiles,
    StoreImage, load, push, write_archive, write_directory, write_files, write_files_tar,
    write_statements,
};
use rbuild_image::Digest;
use rbuild_layer::FileTimes;

use super::{Form, Kind, Output};
use crate::app::App;
use crate::commands::build::internal::InternalStep;
use crate::commands::destination::{Destination, open};

impl Output {
    /// Hands the images to where this output goes; `None` where that is no image.
    pub(super) fn write(
        &self,
        app: &App,
        blobs: &Blobs<'_>,
        images: &BuiltImages,
        dating: Dating,
        step: &InternalStep<'_>,
    ) -> anyhow::Result<Option<Exported>> {
        // Without layers nobody can tell the times apart: they are all the same then.
        let times = dating.latest.map_or(FileTimes::Own, FileTimes::Fixed);
        let labels = Labels {
            names: &self.names,
            created: dating.latest_or(app.environment.now()),
        };
        let statements = StatementFiles {
            prefix: &self.attested.prefix,
            made: labels.created,
        };
        let exported = match &self.kind {
            Kind::Image { push } => {
                let image = StoreImage::of(blobs, images, self.form)?;
                image.keep(blobs.store, &self.local_names(image.exported())?)?;
                if *push {
                    // What others get is what is told.
                    self.push(blobs, images, step)?
                } else {
                    image.into_exported()
                }
            }
            Kind::Registry => self.push(blobs, images, step)?,
            Kind::Oci {
                destination: Destination::File(path),
                form: Form::Directory,
            } => write_directory(blobs, images, labels, self.form, path)?,
            Kind::Oci { destination, .. } => {
                self.archive(blobs, images, labels, destination, ArchiveKind::Oci)?
            }
            Kind::Docker { destination } => {
                self.archive(blobs, images, labels, destination, ArchiveKind::Docker)?
            }
            Kind::Load => {
                let socket = app.environment.docker_socket();
                load(blobs, images, labels, self.form, &socket)?
            }
            Kind::Local { directory } => {
                let named = self.folders.of(images);
                write_files(blobs.store, &named, times, directory)?;
                write_statements(blobs.store, &named, &statements, directory)?;
                return Ok(None);
            }
            Kind::Tar { destination } => {
                let named = self.folders.of(images);
                let store = blobs.store;
                open(destination)?
                    .write(|sink| Ok(write_files_tar(store, &named, times, &statements, sink)?))?;
                return Ok(None);
            }
            Kind::CacheOnly => return Ok(None),
        };
        step.done(&format!("writing image {}", exported.id));
        for name in self.tags() {
            step.done(&format!("naming to {name}"));
        }
        Ok(Some(exported))
    }

    fn push(
        &self,
        blobs: &Blobs<'_>,
        images: &BuiltImages,
        step: &InternalStep<'_>,
    ) -> anyhow::Result<Exported> {
        let mut pushed = None;
        for name in &self.names {
            pushed = Some(push(
                blobs,
                images,
                name,
                self.push_by,
                self.form,
                &Pushing { step },
            )?);
        }
        pushed.context("a tag is needed when pushing to a registry: -t REGISTRY/NAME")
    }

    fn archive(
        &self,
        blobs: &Blobs<'_>,
        images: &BuiltImages,
        labels: Labels<'_>,
        destination: &Destination,
        kind: ArchiveKind,
    ) -> anyhow::Result<Exported> {
        open(destination)?
            .write(|sink| Ok(write_archive(blobs, images, labels, kind, self.form, sink)?))
    }
}

/// A push as statuses of its step.
pub(super) struct Pushing<'a> {
    pub(super) step: &'a InternalStep<'a>,
}

impl PushProgress for Pushing<'_> {
    fn blob(&self, digest: &Digest, current: u64, total: u64) {
        self.step
            .progress(&format!("pushing layer {digest}"), current, total);
    }

    fn present(&self, digest: &Digest) {
        self.step.done(&format!("layer {digest} is there already"));
    }
}
