//! `--output`, `--load`, `--push`: what was asked for, and doing it.

mod ahead;
mod dates;
mod kind;
mod outcome;
mod settled;
mod spec;
mod writing;
mod written;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};

use anyhow::bail;
use rbuild_export::{
    Annotation, AnnotationPlace, Annotations, AttestationForm, AttestationPlace, AttestationStyle,
    Blobs, BuiltImage, BuiltImages, Dating, ExportError, LayerForm, Layering, MediaTypes, PushBy,
};
use rbuild_image::{Compression, Packing, Platform, Reference};
use rbuild_layer::FileTimes;
use rbuild_plan::ImageForm;
use rbuild_solve::{BaseLayers, RemoteLayers};

pub(super) use self::ahead::Ahead;
use self::dates::Dates;
use self::kind::{Form, Kind};
pub(super) use self::outcome::Outcome;
use self::settled::{Dangling, Trust};
use self::spec::parse;
pub(super) use self::spec::{boolean, compression};
use super::args::Args;
use super::attestations::{Attests, Inline};
use super::internal::InternalSteps;
use crate::app::App;
use crate::commands::annotation;
use crate::commands::destination::Destination;

/// Where the result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outputs(Vec<Output>);

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    kind: Kind,
    /// Names that it gives, those of `-t` unless it has its own.
    names: Vec<Reference>,
    push_by: PushBy,
    form: LayerForm,
    types: MediaTypes,
    layering: Layering,
    /// What it is called by its digest besides.
    dangling: Option<Dangling>,
    trust: Trust,
    dates: Dates,
    folders: Folders,
    annotations: Vec<Annotation>,
    attested: Attested,
    occasion: Occasion,
}

/// How an output has what is attested.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attested {
    /// `oci-artifact=`
    form: AttestationForm,
    /// `attestations=`
    place: AttestationPlace,
    /// `attestation-inline=`
    inline: Inline,
    /// `attestation-prefix=`
    prefix: String,
}

impl Default for Attested {
    fn default() -> Self {
        Self {
            form: AttestationForm::default(),
            place: AttestationPlace::default(),
            inline: Inline::Anywhere,
            prefix: String::new(),
        }
    }
}

/// When an output is written: `on=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Occasion {
    /// If the build succeeds.
    #[default]
    Success,
    /// If it fails as well: what was there before the step that failed.
    Always,
}

/// Whether the files of each platform are in a folder of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Folders {
    /// If there is an index of platforms.
    #[default]
    OfIndex,
    /// Yes.
    Always,
    /// No.
    Never,
}

impl Folders {
    /// Each of `images` with the name of its folder: `linux_arm64`; empty for none.
    fn of(self, images: &BuiltImages) -> Vec<(String, &BuiltImage)> {
        let are_made = match self {
            Self::OfIndex => images.form() == ImageForm::Indexed,
            Self::Always => true,
            Self::Never => false,
        };
        let folder = |image: &BuiltImage| {
            if are_made {
                image.platform.to_string().replace('/', "_")
            } else {
                String::new()
            }
        };
        images.iter().map(|image| (folder(image), image)).collect()
    }
}

impl Outputs {
    /// What the flags ask for; without any, an image in the local store.
    pub(super) fn new(args: &Args, names: &[Reference]) -> anyhow::Result<Self> {
        let mut outputs = args
            .outputs
            .iter()
            .map(|text| parse(text, names))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let simple = |kind, compression| Output::simple(kind, names, compression);
        if args.push {
            outputs.push(simple(Kind::Registry, Compression::Gzip));
        }
        if args.load {
            outputs.push(simple(Kind::Load, Compression::None));
        }
        if outputs.is_empty() {
            outputs.push(simple(Kind::Image { push: false }, Compression::None));
        }
        let annotations = args.annotations.iter();
        let annotations =
            annotations.map(|text| annotation::parse(text, AnnotationPlace::Manifest));
        let annotations = annotations.collect::<anyhow::Result<Vec<_>>>()?.concat();
        for output in &mut outputs {
            // What an output says itself counts more.
            output.annotations.splice(0..0, annotations.iter().cloned());
        }
        let outputs = Self(outputs);
        outputs.check()?;
        if args.digest_file.is_some() && !outputs.0.iter().any(|output| output.kind.is_image()) {
            bail!("--digest-file needs an image among the outputs");
        }
        if args.iidfile.is_some() && outputs.0.iter().all(|output| output.kind.is_files()) {
            bail!("local and tar exporters are incompatible with image ID file");
        }
        Ok(outputs)
    }

    /// Those that are written when the build failed.
    pub(super) fn after_failure(&self) -> Option<Self> {
        let always = self.0.iter().filter(|one| one.occasion == Occasion::Always);
        let always: Vec<_> = always.cloned().collect();
        (!always.is_empty()).then_some(Self(always))
    }

    /// Whether the layers of base images have to be here at the end.
    pub(super) fn base_layers(&self) -> BaseLayers {
        let only_moved = |output: &Output| match output.kind {
            Kind::Registry => output.layering == Layering::Kept,
            Kind::CacheOnly => true,
            _ => false,
        };
        if self.0.iter().all(only_moved) {
            BaseLayers::WhenNeeded
        } else {
            BaseLayers::Always
        }
    }

    /// Whether layers that only a remote cache has must be brought here for them.
    pub(super) fn remote_layers(&self) -> RemoteLayers {
        let mut compressions = Vec::new();
        for output in &self.0 {
            match output.kind {
                Kind::CacheOnly => {}
                Kind::Registry if output.is_moved() => match output.form.packing {
                    Packing::Stream(compression) => compressions.push(compression),
                    Packing::Estargz | Packing::ZstdChunked => return RemoteLayers::Always,
                },
                _ => return RemoteLayers::Always,
            }
        }
        if compressions.is_empty() {
            return RemoteLayers::WhenNeeded;
        }
        RemoteLayers::WhenNotMoved(compressions)
    }

    /// How the outputs of a build under `epoch` date the files of layers, each way once.
    pub(super) fn file_times(&self, epoch: Option<i64>) -> Vec<FileTimes> {
        let kept = |output: &&Output| output.layering == Layering::Kept;
        let kept = self.0.iter().filter(kept);
        let times = kept.map(|output| output.dates.dating(epoch).files);
        times.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Fails if an annotation has nothing to stand on in images for `platforms` of this form.
    pub(super) fn check_annotations(
        &self,
        platforms: &[Platform],
        form: ImageForm,
        attests: &Attests,
    ) -> anyhow::Result<()> {
        let of_images = self.0.iter().filter(|output| output.kind.is_image());
        for output in of_images {
            let annotations = Annotations::new(output.annotations.clone());
            // What is attested of an image stands in an index beside it.
            let form = match output.attested.place {
                AttestationPlace::Index if !attests.is_empty() => ImageForm::Indexed,
                _ => form,
            };
            annotations.check(platforms, form)?;
        }
        Ok(())
    }

    /// What the images are called first.
    pub(super) fn name(&self) -> Option<String> {
        let mut names = self.0.iter().flat_map(|output| &output.names);
        names.next().map(Reference::familiar)
    }

    /// Whether one goes to standard output.
    pub(super) fn write_stdout(&self) -> bool {
        self.0.iter().any(|output| output.kind.writes_stdout())
    }

    fn check(&self) -> anyhow::Result<()> {
        for output in &self.0 {
            output.check_names()?;
        }
        let stdouts = self
            .0
            .iter()
            .filter(|output| output.kind.writes_stdout())
            .count();
        if stdouts > 1 {
            bail!("only one output can go to standard output");
        }
        if stdouts == 1 && io::stdout().is_terminal() {
            bail!(
                "refusing to write an archive to the terminal: redirect standard output or give dest=FILE"
            );
        }
        Ok(())
    }
}

/// What is to be written, and what of it is on its way.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) outputs: &'a Outputs,
    pub(super) ahead: &'a Ahead,
}

/// Writes every output.
pub(super) fn write(
    app: &App,
    wanted: &Wanted<'_>,
    epoch: Option<i64>,
    assembled: &dyn Fn(Dating, Inline, Layering) -> Result<BuiltImages, ExportError>,
    steps: &InternalSteps,
) -> anyhow::Result<Outcome> {
    let blobs = Blobs {
        store: app.store()?,
        registry: app.registry(),
    };
    let mut outcome = Outcome {
        exported: None,
        names: Vec::new(),
        warnings: Vec::new(),
        findings: Vec::new(),
        explanations: String::new(),
        reads: None,
        reference: String::new(),
        provenance: Vec::new(),
    };
    for output in &wanted.outputs.0 {
        if output.kind.pushes() {
            wanted.ahead.wait();
        }
        let exported = steps.run(output.kind.title(), |step| {
            let dating = output.dates.dating(epoch);
            let mut images = assembled(dating, output.attested.inline, output.layering)?;
            if output.kind.is_image() {
                images = images.attested(AttestationStyle {
                    form: output.attested.form,
                    place: output.attested.place,
                    names: output.names.clone(),
                });
                images = images.in_media_types(output.types);
                images = images.annotated(Annotations::new(output.annotations.clone()))?;
            }
            output.write(app, &blobs, &images, dating, step)
        })?;
        if exported.is_some() {
            outcome.names.clone_from(&output.names);
        }
        outcome.exported = exported.or(outcome.exported);
    }
    Ok(outcome)
}

impl Output {
    /// An output without fields of its own.
    fn simple(kind: Kind, names: &[Reference], compression: Compression) -> Self {
        Self {
            kind,
            names: names.to_vec(),
            push_by: PushBy::default(),
            form: LayerForm::new(compression),
            types: MediaTypes::default(),
            layering: Layering::default(),
            dangling: None,
            trust: Trust::default(),
            dates: Dates::default(),
            folders: Folders::default(),
            annotations: Vec::new(),
            attested: Attested::default(),
            occasion: Occasion::default(),
        }
    }

    /// Whether layers are pushed as they come.
    fn pushes_ahead(&self) -> bool {
        self.kind.pushes() && self.layering == Layering::Kept
    }

    /// Whether its layers are those of the solver, packed as a remote cache may have them.
    fn is_moved(&self) -> bool {
        self.form.level.is_none() && self.layering == Layering::Kept
    }

    fn check_names(&self) -> anyhow::Result<()> {
        if !self.kind.pushes() {
            return Ok(());
        }
        if self.names.is_empty() {
            bail!("a tag is needed when pushing to a registry: -t REGISTRY/NAME");
        }
        let tagged = self.names.iter().find(|name| name.tag() != Some("latest"));
        match (self.push_by, tagged) {
            (PushBy::Digest, Some(name)) => {
                bail!("can't push tagged ref {name} by digest: give its name without a tag")
            }
            _ => Ok(()),
        }
    }

    /// The tags that the image gets.
    fn tags(&self) -> &[Reference] {
        match self.push_by {
            PushBy::Tag => &self.names,
            PushBy::Digest => &[],
        }
    }
}
