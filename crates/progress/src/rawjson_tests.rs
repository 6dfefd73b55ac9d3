use std::time::SystemTime;

use insta::assert_snapshot;

use super::RawJson;
use crate::script::{Script, Sink};
use crate::{EventKind, EventVertex, Outcome};

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
    script
        .event(1_500, EventKind::Warning { message })
        .end(1_500);
    let text = sink.text();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("a line is one JSON object");
    }
    // Digests are long: the first digits tell them apart.
    let short: Vec<_> = text
        .split("sha256:")
        .map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
            part.get(digits.min(6)..6).unwrap_or("").to_owned()
                + &part[if digits == 64 { 58 } else { 0 }..]
        })
        .collect();
    assert_snapshot!(short.join("sha256:"), @"");
}
