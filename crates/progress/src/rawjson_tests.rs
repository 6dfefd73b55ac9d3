use std::time::SystemTime;

use insta::assert_snapshot;

use super::RawJson;
use crate::script::{Script, Sink};
use crate::{EventKind, EventVertex, Outcome, WarningAbout};

#[test]
fn each_event_is_one_line_in_the_shape_that_buildx_writes() {
    let sink = Sink::default();
    let mut script = Script::drawn_by(RawJson::new(sink.clone(), SystemTime::UNIX_EPOCH));
    script.plan(1, "[1/2] FROM a").event(
        0,
        EventKind::Planned {
            vertex: EventVertex(2),
            name: "[2/2] RUN b".to_owned(),
            inputs: vec![EventVertex(1)],
        },
    );
    script
        .start(500, 1)
        .status(700, 1, "sha256:3f", 5, 10)
        .done(900, 1, Outcome::Cached);
    script
        .start(1_000, 2)
        .output(1_250, 2, "hi\n")
        .failed(1_500, 2, "exit code: 1");
    let message = "deprecated".to_owned();
    let about = Some(Box::new(WarningAbout {
        detail: "why".to_owned(),
        url: "https://example.com/why".to_owned(),
        file: "Dockerfile".to_owned(),
        lines: (2, 3),
    }));
    script
        .event(1_500, EventKind::Warning { message, about })
        .end(1_500);
    let text = sink.text();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("a line is one JSON object");
    }
    // Digests are long: their first digits tell them apart.
    let parts = text.split("sha256:").map(|part| {
        let is_digest = part.bytes().take_while(u8::is_ascii_hexdigit).count() == 64;
        if is_digest {
            format!("{}{}", &part[..6], &part[64..])
        } else {
            part.to_owned()
        }
    });
    let short = parts.collect::<Vec<_>>().join("sha256:");
    assert_snapshot!(short, @r#"
    {"vertexes":[{"digest":"sha256:22cac1","name":"[1/2] FROM a"}]}
    {"vertexes":[{"digest":"sha256:8d81d4","inputs":["sha256:22cac1"],"name":"[2/2] RUN b"}]}
    {"vertexes":[{"digest":"sha256:22cac1","name":"[1/2] FROM a","started":"1970-01-01T00:00:00.5Z"}]}
    {"statuses":[{"id":"sha256:3f","vertex":"sha256:22cac1","total":10,"current":5,"timestamp":"1970-01-01T00:00:00.7Z","started":"1970-01-01T00:00:00.7Z"}]}
    {"vertexes":[{"digest":"sha256:22cac1","name":"[1/2] FROM a","started":"1970-01-01T00:00:00.5Z","completed":"1970-01-01T00:00:00.9Z","cached":true}]}
    {"vertexes":[{"digest":"sha256:8d81d4","inputs":["sha256:22cac1"],"name":"[2/2] RUN b","started":"1970-01-01T00:00:01Z"}]}
    {"logs":[{"vertex":"sha256:8d81d4","stream":1,"data":"aGkK","timestamp":"1970-01-01T00:00:01.25Z"}]}
    {"vertexes":[{"digest":"sha256:8d81d4","inputs":["sha256:22cac1"],"name":"[2/2] RUN b","started":"1970-01-01T00:00:01Z","completed":"1970-01-01T00:00:01.5Z","error":"exit code: 1"}]}
    {"warnings":[{"level":1,"short":"ZGVwcmVjYXRlZA==","detail":["d2h5"],"url":"https://example.com/why","sourceInfo":{"filename":"Dockerfile","language":"Dockerfile"},"range":[{"start":{"line":2},"end":{"line":3}}]}]}
    "#);
}
