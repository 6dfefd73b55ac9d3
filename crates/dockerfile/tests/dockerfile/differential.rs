//! Our parser beside `parse-dockerfile`, an independent one: on files that both accept they see the same
//! instructions, with the same words where both have them. What differs on purpose is listed.

use crate::common::{errors, tree};
use parse_dockerfile as other;
use rbuild_dockerfile::{Dockerfile, InstructionKind};

const FILES: &[(&str, &str)] = &[
    (
        "a Go service, two stages",
        "# syntax=docker/dockerfile:1\nARG GO=1.25\nFROM --platform=$BUILDPLATFORM golang:${GO} AS build\n\
         WORKDIR /src\nCOPY go.mod go.sum ./\nRUN --mount=type=cache,target=/go/pkg/mod \\\n    go mod download\n\
         COPY . .\nARG TARGETOS TARGETARCH\nRUN --mount=type=cache,target=/go/pkg/mod \\\n    \
         # build it\n    GOOS=$TARGETOS go build -o /out/app ./cmd/app\n\n\
         FROM gcr.io/distroless/static\nCOPY --from=build --chown=65532:65532 /out/app /app\nEXPOSE 8080/tcp 9090\n\
         USER 65532\nENTRYPOINT [\"/app\"]\nCMD [\"serve\", \"--port=8080\"]\n",
    ),
    (
        "a Python application",
        "FROM python:3.13-slim\nENV PYTHONUNBUFFERED=1 \\\n    PIP_NO_CACHE_DIR=\"yes\"\nLABEL org.example.a=\"x y\" b=c\n\
         RUN apt-get update && apt-get install -y \\\n      gcc \\\n      libpq-dev \\\n    && rm -rf /var/lib/apt/lists/*\n\
         WORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\n\
         HEALTHCHECK --interval=30s --timeout=3s CMD curl -f http://localhost/ || exit 1\n\
         VOLUME [\"/data\"]\nSTOPSIGNAL SIGTERM\nCMD [\"python\", \"-m\", \"app\"]\n",
    ),
    (
        "a heredoc script",
        "FROM debian:bookworm\nRUN <<EOF\nset -e\n# not a comment of ours\napt-get update\nEOF\n\
         COPY <<-CONF /etc/app.conf\n\tkey = value\n\tCONF\nRUN echo done\n",
    ),
    (
        "Windows",
        "# escape=`\nFROM mcr.microsoft.com/windows/nanoserver\nSHELL [\"powershell\", \"-Command\"]\n\
         WORKDIR C:\\app\nRUN Get-Item `\n    C:\\app\nCOPY a.txt C:\\app\\\n",
    ),
    (
        "old style",
        "FROM ubuntu:14.04\nMAINTAINER Somebody <a@example.org>\nENV HOME /root\nADD http://example.org/x.tgz /opt/\n\
         ONBUILD COPY . /app\nONBUILD RUN make\nEXPOSE 80\nCMD /usr/sbin/nginx -g 'daemon off;'\n",
    ),
    (
        "JSON that is none",
        "FROM a\nRUN [ -e /x ] || mkdir /x\nCMD ['a', 'b']\n",
    ),
];

#[test]
fn both_parsers_see_the_same_instructions() {
    for (name, text) in FILES {
        let theirs = other::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            ours_in_order(&tree(text)),
            theirs
                .instructions
                .iter()
                .map(their_name)
                .collect::<Vec<_>>(),
            "{name}"
        );
    }
}

#[test]
fn both_parsers_see_the_same_bases_and_names() {
    for (name, text) in FILES {
        let theirs = other::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let froms = theirs
            .instructions
            .iter()
            .filter_map(|instruction| match instruction {
                other::Instruction::From(from) => Some(from),
                _ => None,
            });
        let theirs: Vec<_> = froms
            .map(|from| {
                (
                    from.image.value.to_string(),
                    from.as_.as_ref().map(|(_, name)| name.value.to_string()),
                )
            })
            .collect();
        let ours: Vec<_> = tree(text)
            .stages
            .into_iter()
            .map(|stage| {
                (
                    stage.from.base.value,
                    stage.from.name.map(|name| name.value),
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Where the two part. The reference implementation is on our side: the text, whether we accept it, whether they do.
const DIFFERENCES: &[(&str, bool, bool)] = &[
    // An array may be empty.
    ("FROM a\nENTRYPOINT []\n", true, false),
    // Heredocs may have words beside them, blanks before their name, and the same name twice.
    ("FROM a\nRUN cat <<EOF > /x\ny\nEOF\n", true, false),
    ("FROM a\nRUN cat << EOF\ny\nEOF\n", true, false),
    ("FROM a\nRUN <<A <<A\nA\nA\n", true, false),
    // Flags and their values are checked.
    ("FROM a\nCOPY --form=b c d\n", false, true),
    ("FROM a\nHEALTHCHECK --interval=5 CMD x\n", false, true),
    // So are names of stages, pairs, strings in arrays, repeated directives.
    ("FROM a AS 1\n", false, true),
    ("FROM a\nENV a=b c\n", false, true),
    ("FROM a\nRUN [1]\n", false, true),
    ("# check=skip=all\n# check=skip=all\nFROM a\n", false, true),
];

#[test]
fn known_differences_are_still_there() {
    for (text, ours, theirs) in DIFFERENCES {
        assert_eq!(errors(text).is_empty(), *ours, "we: {text:?}");
        assert_eq!(other::parse(text).is_ok(), *theirs, "they: {text:?}");
    }
}

fn ours_in_order(file: &Dockerfile) -> Vec<&'static str> {
    let global = file
        .global_args
        .iter()
        .map(|instruction| our_name(&instruction.kind));
    let stages = file.stages.iter().flat_map(|stage| {
        std::iter::once("FROM").chain(
            stage
                .instructions
                .iter()
                .map(|instruction| our_name(&instruction.kind)),
        )
    });
    global.chain(stages).collect()
}

fn our_name(kind: &InstructionKind) -> &'static str {
    match kind {
        InstructionKind::Add(_) => "ADD",
        InstructionKind::Arg(_) => "ARG",
        InstructionKind::Cmd(_) => "CMD",
        InstructionKind::Copy(_) => "COPY",
        InstructionKind::Entrypoint(_) => "ENTRYPOINT",
        InstructionKind::Env(_) => "ENV",
        InstructionKind::Expose(_) => "EXPOSE",
        InstructionKind::Healthcheck(_) => "HEALTHCHECK",
        InstructionKind::Label(_) => "LABEL",
        InstructionKind::Maintainer(_) => "MAINTAINER",
        InstructionKind::Onbuild(_) => "ONBUILD",
        InstructionKind::Run(_) => "RUN",
        InstructionKind::Shell(_) => "SHELL",
        InstructionKind::Stopsignal(_) => "STOPSIGNAL",
        InstructionKind::User(_) => "USER",
        InstructionKind::Volume(_) => "VOLUME",
        InstructionKind::Workdir(_) => "WORKDIR",
    }
}

fn their_name(instruction: &other::Instruction<'_>) -> &'static str {
    match instruction {
        other::Instruction::Add(_) => "ADD",
        other::Instruction::Arg(_) => "ARG",
        other::Instruction::Cmd(_) => "CMD",
        other::Instruction::Copy(_) => "COPY",
        other::Instruction::Entrypoint(_) => "ENTRYPOINT",
        other::Instruction::Env(_) => "ENV",
        other::Instruction::Expose(_) => "EXPOSE",
        other::Instruction::From(_) => "FROM",
        other::Instruction::Healthcheck(_) => "HEALTHCHECK",
        other::Instruction::Label(_) => "LABEL",
        other::Instruction::Maintainer(_) => "MAINTAINER",
        other::Instruction::Onbuild(_) => "ONBUILD",
        other::Instruction::Run(_) => "RUN",
        other::Instruction::Shell(_) => "SHELL",
        other::Instruction::Stopsignal(_) => "STOPSIGNAL",
        other::Instruction::User(_) => "USER",
        other::Instruction::Volume(_) => "VOLUME",
        other::Instruction::Workdir(_) => "WORKDIR",
        _ => "?",
    }
}
