//! The image config and history beside what buildah makes of the same Dockerfile, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{BaseImage, Caller, Lab, Outcome, Project, Running, repository, require};

/// Every instruction that only changes the config.
const ALL: &str = r#"FROM busybox
ARG VERSION=1.0
ARG UNSET
MAINTAINER A Person <a@example.com>
ENV ONE=1 TWO="two words" PATH=/opt/bin:$PATH
ENV THREE=$ONE-$VERSION
ENV legacy a value
LABEL a=b "long name"="with \"quotes\" and $ONE"
EXPOSE 80 53/udp 8000-8001/tcp
VOLUME /data
VOLUME ["/var/one", "/var/two"]
WORKDIR /srv
WORKDIR app
USER 1000:100
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT exec prog
CMD ["serve", "--port=80"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=4 CMD wget -q localhost || exit 1
ONBUILD COPY . /app
ONBUILD RUN make
"#;

/// A field that differs on purpose, and why. What begins like that is meant as well.
type Difference = (&'static str, &'static str);

const INTENDED: [Difference; 7] = [
    ("created", "each tool has its clock"),
    (
        "rootfs.diff_ids",
        "a layer for each WORKDIR that makes a directory; buildah has one for all",
    ),
    (
        "config.ArgsEscaped",
        "BuildKit marks CMD and ENTRYPOINT so; buildah does not",
    ),
    (
        "config.Entrypoint",
        "SHELL is for the shell form of ENTRYPOINT, too; buildah takes /bin/sh -c",
    ),
    (
        "config.ExposedPorts.800",
        "a range is each of its ports; buildah keeps the range, which no engine reads",
    ),
    (
        "config.Labels.io.buildah.version",
        "buildah signs its images",
    ),
    ("history", "compared on its own"),
];

/// What Docker's format has, and BuildKit leaves out as well: the facts of a container.
const CONTAINER: [Difference; 10] = [
    ("container", "the container that buildah worked in"),
    ("parent", "an ID that means something to the builder alone"),
    ("config.Hostname", "of the container"),
    ("config.Domainname", "of the container"),
    ("config.Image", "of the container"),
    ("config.AttachStd", "of the container"),
    ("config.OpenStdin", "of the container"),
    ("config.StdinOnce", "of the container"),
    ("config.Tty", "of the container"),
    ("docker_version", "no Docker was there"),
];

/// What OCI's format has no fields for, and BuildKit writes nevertheless: Docker reads it.
const DOCKERS: [Difference; 3] = [
    ("config.Healthcheck", "HEALTHCHECK"),
    ("config.OnBuild", "ONBUILD"),
    ("config.Shell", "SHELL"),
];

/// What an image on `scratch` begins with.
const SCRATCH: [Difference; 1] = [(
    "config.WorkingDir",
    "/ is said, as in BuildKit; buildah says nothing",
)];

/// buildah with a storage of its own that has busybox.
struct Buildah<'a> {
    lab: &'a Lab,
    count: std::cell::Cell<u32>,
}

impl<'a> Buildah<'a> {
    fn new(lab: &'a Lab) -> Self {
        let buildah = Self {
            lab,
            count: std::cell::Cell::new(0),
        };
        let layout = BaseImage::Busybox.layout();
        let source = format!("oci:{}:latest", layout.display());
        let id = buildah.run(&["pull", "-q", &source]).stdout;
        buildah.run(&["tag", id.trim(), "docker.io/library/busybox:latest"]);
        buildah
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("buildah");
        command
            .env("HOME", self.lab.path("home"))
            .arg("--root")
            .arg(self.lab.path("buildah"))
            .arg("--runroot")
            .arg(self.lab.path("buildah-run"))
            .args(["--storage-driver", "vfs"])
            .args(arguments);
        Running::start(&mut command).wait().success()
    }

    /// The config that it makes of a project.
    fn config(&self, project: &Project, format: &str) -> Value {
        let dir = project.dir.to_string_lossy().into_owned();
        let build = [
            "build",
            "-q",
            "--pull-never",
            "--isolation",
            "chroot",
            "--format",
            format,
        ];
        let id = self.run(&[&build[..], &[&dir]].concat()).stdout;
        self.count.set(self.count.get() + 1);
        let out: PathBuf = self.lab.path(&format!("buildah-{}", self.count.get()));
        let target = format!("dir:{}", out.display());
        self.run(&["push", "-q", id.trim(), &target]);
        let read = |name: &str| -> Value {
            let bytes = std::fs::read(out.join(name)).expect("a file of the image");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        let digest = &read("manifest.json")["config"]["digest"];
        read(&digest.as_str().expect("a digest")["sha256:".len()..])
    }
}

/// Every value by its path, empty ones left out; variables by their names, in whatever order.
fn fields(config: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect("", config, &mut found);
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        // A port, a volume.
        Value::Object(members) if members.is_empty() && path.matches('.').count() > 1 => {
            found.insert(path.to_owned(), value.clone());
        }
        Value::Object(members) => {
            for (name, member) in members {
                collect(&below(name), member, found);
            }
        }
        Value::Array(variables) if path == "config.Env" => {
            for variable in variables {
                let text = variable.as_str().expect("a text");
                let (name, value) = text.split_once('=').expect("NAME=VALUE");
                found.insert(below(name), value.into());
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::Array(values) if values.is_empty() => {}
        value => {
            found.insert(path.to_owned(), value.clone());
        }
    }
}

/// The paths at which two configs differ.
fn differing(ours: &Value, theirs: &Value) -> BTreeMap<String, (Option<Value>, Option<Value>)> {
    let (ours, theirs) = (fields(ours), fields(theirs));
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    paths
        .into_iter()
        .filter(|path| ours.get(*path) != theirs.get(*path))
        .map(|path| {
            let sides = (ours.get(path).cloned(), theirs.get(path).cloned());
            (path.clone(), sides)
        })
        .collect()
}

/// All that differs is in one of the lists.
#[track_caller]
fn assert_as_intended(ours: &Value, theirs: &Value, lists: &[&[Difference]]) {
    let intended = |path: &str| {
        let all = lists.iter().flat_map(|list| list.iter());
        all.clone().any(|(prefix, _)| path.starts_with(prefix))
    };
    let mut others = differing(ours, theirs);
    others.retain(|path, _| !intended(path));
    assert!(others.is_empty(), "ours, theirs: {others:#?}");
}

/// The instructions that a history tells, those of the base left out.
fn instructions(config: &Value) -> Vec<String> {
    let history = config["history"].as_array().expect("a history");
    let texts = history
        .iter()
        .skip(1)
        .filter_map(|entry| entry["created_by"].as_str());
    texts
        .map(|text| text.strip_prefix("/bin/sh -c #(nop) ").unwrap_or(text))
        .filter_map(|text| text.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn lab() -> Option<Lab> {
    if !require("buildah", "configs beside buildah's") {
        return None;
    }
    Lab::new(Caller::Root)
}

#[test]
fn every_field_of_the_config_is_what_buildah_writes_but_for_a_list_of_intended_differences() {
    let Some(lab) = lab() else { return };
    let buildah = Buildah::new(&lab);
    let project = lab.project(ALL);
    let ours = lab.layout(&project, &[]).config();
    let docker = buildah.config(&project, "docker");
    assert_as_intended(&ours, &docker, &[&INTENDED, &CONTAINER]);
    let oci = buildah.config(&project, "oci");
    assert_as_intended(&ours, &oci, &[&INTENDED, &DOCKERS]);

    // The list is of what differs, not of what did once.
    let found = differing(&ours, &docker);
    for (prefix, reason) in INTENDED {
        let is_found = found.keys().any(|path| path.starts_with(prefix));
        assert!(is_found, "{prefix} ({reason}) is the same in both");
    }
    let found = differing(&ours, &oci);
    for (field, _) in DOCKERS {
        assert!(found.keys().any(|path| path.starts_with(field)), "{field}");
    }
}

#[test]
fn the_history_tells_the_instructions_that_buildahs_tells_but_onbuild() {
    let Some(lab) = lab() else { return };
    let buildah = Buildah::new(&lab);
    let project = lab.project(ALL);
    let ours = instructions(&lab.layout(&project, &[]).config());
    let mut theirs = instructions(&buildah.config(&project, "docker"));
    // As in BuildKit, ONBUILD has no entry: the config tells it.
    theirs.retain(|instruction| instruction != "ONBUILD");
    assert_eq!(ours, theirs);
}

/// The Dockerfiles of `testdata`, on busybox and without the steps that need their bases.
fn config_alone(dockerfile: &str) -> String {
    let joined = dockerfile.replace("\\\n", " ");
    let lines = joined
        .lines()
        .filter(|line| !line.starts_with("RUN ") && !line.starts_with("COPY "));
    let on_busybox = lines.map(
        |line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["FROM", base, ..] if base != "scratch" => line.replacen(base, "busybox", 1),
            _ => line.to_owned(),
        },
    );
    on_busybox.map(|line| line + "\n").collect()
}

#[test]
fn the_dockerfiles_of_the_repository_have_the_config_that_buildah_gives_them() {
    let Some(lab) = lab() else { return };
    let buildah = Buildah::new(&lab);
    for name in [
        "c-program",
        "eight-stages",
        "python-service",
        "rust-service",
    ] {
        let path = repository().join("testdata/dockerfiles").join(name);
        let text = std::fs::read_to_string(path.join("Dockerfile")).expect(name);
        let project = lab.project(&config_alone(&text));
        let ours = lab.layout(&project, &[]).config();
        let theirs = buildah.config(&project, "docker");
        assert_as_intended(&ours, &theirs, &[&INTENDED, &CONTAINER, &SCRATCH]);
    }
}
