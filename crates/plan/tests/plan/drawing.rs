//! `--print-plan`: what it looks like is relied on by scripts.

use rbuild_plan::{to_dot, to_json};

use crate::common::planned;

const TEXT: &str = "FROM debian AS build\nRUN make\nFROM scratch\nCOPY --from=build /app /\n";

#[test]
fn a_plan_is_drawn_for_graphviz() {
    insta::assert_snapshot!(to_dot(&planned(TEXT).plan), @r##"
digraph plan {
  rankdir=LR;
  node [shape=box, fontname="monospace"];
  v0 [label="[build 1/2] FROM docker.io/library/debian:latest@sha256:286fb11379a543ae244510f031986494275d933540aef64f7f71d1092edf4e3d"];
  v1 [label="[build 2/2] RUN make"];
  v2 [label="[stage-1 1/1] COPY --from=build /app /", style=bold];
  v0 -> v1 [label="0"];
  v1 -> v2 [label="0"];
}
"##);
}

#[test]
fn a_plan_is_printed_as_json() {
    let json = serde_json::to_string_pretty(&to_json(&planned(TEXT).plan)["vertices"])
        .expect("plain JSON");
    insta::assert_snapshot!(json, @r##"
[
  {
    "id": 0,
    "name": "[build 1/2] FROM docker.io/library/debian:latest@sha256:286fb11379a543ae244510f031986494275d933540aef64f7f71d1092edf4e3d",
    "stage": "build",
    "platform": "linux/amd64",
    "inputs": [],
    "cache": "allowed",
    "operation": {
      "type": "image",
      "manifest": "sha256:286fb11379a543ae244510f031986494275d933540aef64f7f71d1092edf4e3d",
      "layers": 1
    }
  },
  {
    "id": 1,
    "name": "[build 2/2] RUN make",
    "stage": "build",
    "platform": "linux/amd64",
    "inputs": [
      0
    ],
    "cache": "allowed",
    "operation": {
      "type": "exec",
      "args": [
        "/bin/sh",
        "-c",
        "make"
      ],
      "env": [
        "PATH=/bin"
      ],
      "cwd": "/",
      "user": "",
      "network": "default",
      "security": "sandbox",
      "mounts": []
    }
  },
  {
    "id": 2,
    "name": "[stage-1 1/1] COPY --from=build /app /",
    "stage": "stage-1",
    "platform": "linux/amd64",
    "inputs": [
      1
    ],
    "cache": "allowed",
    "operation": {
      "type": "file",
      "base": null,
      "actions": [
        {
          "type": "copy",
          "from": 0,
          "source": "/app",
          "destination": "/",
          "owner": "source",
          "mode": "source",
          "parents": false,
          "excludes": [],
          "unpack": false,
          "wildcard": false
        }
      ]
    }
  }
]
"##);
}

#[test]
fn equal_files_give_equal_plans() {
    assert_eq!(to_json(&planned(TEXT).plan), to_json(&planned(TEXT).plan));
}
