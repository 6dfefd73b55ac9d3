//! Heredocs in RUN, COPY, ADD and ONBUILD.

use crate::common::{errors, instruction, kind, tree};
use rbuild_dockerfile::{
    Command, CopySource, Expansion, Heredoc, InstructionKind, Run, RunScript, Tabs, parse_onbuild,
};

fn run(text: &str) -> Run {
    match kind(text) {
        InstructionKind::Run(run) => run,
        other => panic!("no RUN: {other:?}"),
    }
}

fn copied(text: &str) -> Vec<Heredoc> {
    let (InstructionKind::Copy(rbuild_dockerfile::Copy { transfer, .. })
    | InstructionKind::Add(rbuild_dockerfile::Add { transfer, .. })) = kind(text)
    else {
        panic!("no COPY or ADD")
    };
    let heredoc = |source| match source {
        CopySource::Heredoc(heredoc) => Some(heredoc),
        CopySource::Path(_) => None,
    };
    transfer.sources.into_iter().filter_map(heredoc).collect()
}

#[test]
fn a_heredoc_alone_is_the_script() {
    let run = run("RUN <<EOF\necho \"$x\"\n\n  EOF\nEOF\n");
    let RunScript::Body(heredoc) = run.script() else {
        panic!("it stands alone")
    };
    assert_eq!(heredoc.body.value, "echo \"$x\"\n\n  EOF\n");
    assert_eq!(heredoc.name.value, "EOF");
}

#[test]
fn quotes_around_the_name_forbid_expansion() {
    assert_eq!(
        run("RUN <<EOF\nEOF\n").heredocs[0].expansion,
        Expansion::Expanded
    );
    for text in [
        "RUN <<'EOF'\nEOF\n",
        "RUN <<\"EOF\"\nEOF\n",
        "RUN <<E\"O\"F\nEOF\n",
    ] {
        assert_eq!(run(text).heredocs[0].expansion, Expansion::Literal);
    }
}

#[test]
fn a_dash_takes_tabs_off_the_body_but_not_blanks() {
    let run = run("RUN <<-EOF\n\t\ta\n\t b\n  c\n\tEOF\n");
    let heredoc = &run.heredocs[0];
    assert_eq!(heredoc.tabs, Tabs::Stripped);
    assert_eq!(heredoc.body.value, "a\n b\n  c\n");
    assert_eq!(heredoc.written, "\t\ta\n\t b\n  c\n");
}

#[test]
fn words_beside_a_heredoc_leave_it_to_the_shell() {
    let run = run("RUN --network=none <<-EOF python\n\tx\nEOF\n");
    assert_eq!(
        run.script(),
        RunScript::Text("<<-EOF python\n\tx\nEOF".to_owned())
    );
}

#[test]
fn several_heredocs_follow_each_other() {
    let run = run("RUN cat <<A 3<<'B' <<\"C D\"\na\nA\nb\nB\nc\nC D\n");
    let bodies: Vec<_> = run
        .heredocs
        .iter()
        .map(|heredoc| heredoc.body.value.as_str())
        .collect();
    assert_eq!(bodies, ["a\n", "b\n", "c\n"]);
    assert_eq!(run.heredocs[1].descriptor, 3);
    assert_eq!(
        run.script(),
        RunScript::Text("cat <<A 3<<'B' <<\"C D\"\na\nA\nb\nB\nc\nC D".to_owned())
    );
}

#[test]
fn the_terminator_stands_alone_on_its_line() {
    let text = "RUN <<EOF\nEOF x\n EOF\nEOF \nEOF\n";
    assert_eq!(run(text).heredocs[0].body.value, "EOF x\n EOF\nEOF \n");
    assert_eq!(
        run("RUN <<EOF\r\na\r\nEOF\r\n").heredocs[0].body.value,
        "a\r\n"
    );
    assert_eq!(run("RUN <<EOF\nEOF").heredocs[0].body.value, "");
}

#[test]
fn lines_of_a_body_are_never_instructions_or_continuations() {
    let file = tree("FROM a\nRUN <<EOF\nFROM b\n# c\nd \\\nEOF\nRUN e\n");
    assert_eq!(file.stages.len(), 1);
    assert_eq!(file.stages[0].instructions.len(), 2);
}

#[test]
fn copy_and_add_take_heredocs_as_sources() {
    let files = copied("COPY <<A <<-'B' path /dst/\na\nA\n\tb\nB\n");
    let read: Vec<_> = files
        .iter()
        .map(|file| (file.name.value.as_str(), file.body.value.as_str()))
        .collect();
    assert_eq!(read, [("A", "a\n"), ("B", "b\n")]);
    assert_eq!(copied("ADD <<A /dst\na\nA\n")[0].body.value, "a\n");
}

#[test]
fn of_two_heredocs_with_one_name_the_later_body_counts() {
    let files = copied("COPY <<A <<A /dst/\na\nA\nb\nA\n");
    let bodies: Vec<_> = files.iter().map(|file| file.body.value.as_str()).collect();
    assert_eq!(bodies, ["b\n", "b\n"]);
}

#[test]
fn json_and_other_instructions_have_none() {
    assert!(
        matches!(kind("RUN [\"cat\", \"<<EOF\"]\n"), InstructionKind::Run(run) if run.heredocs.is_empty())
    );
    assert!(
        matches!(kind("CMD cat <<EOF\n"), InstructionKind::Cmd(Command::Shell(word)) if word.value == "cat <<EOF")
    );
}

#[test]
fn what_only_looks_like_a_heredoc_is_none() {
    for text in [
        "RUN cat <<<x\n",
        "RUN echo '<<EOF'\n",
        "RUN echo \"a <<EOF\"\n",
        "RUN echo it's <<EOF\n",
        "RUN a<<EOF\n",
    ] {
        assert_eq!(run(text).heredocs, []);
    }
}

#[test]
fn the_name_may_stand_apart() {
    assert_eq!(
        run("RUN cat << EOF\na\nEOF\n").heredocs[0].body.value,
        "a\n"
    );
}

#[test]
fn a_mistyped_run_does_not_make_its_body_instructions() {
    assert_eq!(
        errors("FROM a\nRUNN <<EOF\nfoo\nbar\nEOF\n"),
        ["unknown instruction: RUNN"]
    );
}

#[test]
fn spans_cover_bodies() {
    let text = "FROM scratch\nRUN <<EOF\na\nEOF\nRUN b\n";
    let instruction = instruction("RUN <<EOF\na\nEOF\nRUN b\n");
    assert_eq!(&text[instruction.span.range()], "RUN <<EOF\na\nEOF");
    let InstructionKind::Run(run) = instruction.kind else {
        panic!("it is a RUN")
    };
    assert_eq!(&text[run.heredocs[0].body.span.range()], "a\n");
    assert_eq!(&text[run.heredocs[0].name.span.range()], "<<EOF");
}

#[test]
fn onbuild_keeps_the_bodies_of_its_payload() {
    let InstructionKind::Onbuild(onbuild) = kind("ONBUILD COPY <<-A /x\n\ta\nA\n") else {
        panic!("it is an ONBUILD")
    };
    assert_eq!(onbuild.expression, "COPY <<-A /x\n\ta\nA");
    let again = parse_onbuild(&onbuild.expression).expect("it was parsed before");
    assert_eq!(again.original, "COPY <<-A /x");
    let InstructionKind::Copy(copy) = &again.kind else {
        panic!("it is a COPY")
    };
    let CopySource::Heredoc(heredoc) = &copy.transfer.sources[0] else {
        panic!("it is a heredoc")
    };
    assert_eq!(heredoc.body.value, "a\n");
}

#[test]
fn a_payload_that_can_be_read_is_stored_whatever_it_says() {
    for payload in [
        "RUNN a",
        "COPY --frm=x a b",
        "COPY a",
        "RUN --mount=from=$x,target=/y z",
        "WORKDIR",
    ] {
        let InstructionKind::Onbuild(onbuild) = kind(&format!("ONBUILD {payload}\n")) else {
            panic!("it is an ONBUILD")
        };
        assert_eq!(onbuild.expression, payload);
        parse_onbuild(payload).expect_err("it is refused when it fires");
    }
}

#[test]
fn onbuild_keeps_its_payload_as_written() {
    let InstructionKind::Onbuild(onbuild) = kind("onbuild  RUN  a \\\n  b  \n") else {
        panic!("it is an ONBUILD")
    };
    assert_eq!(onbuild.expression, "RUN  a   b  ");
}

#[test]
fn triggers_are_single_instructions_with_the_default_escape() {
    assert!(parse_onbuild("RUN a").is_ok());
    assert_eq!(
        parse_onbuild("RUN a \\\nb")
            .expect("one instruction")
            .original,
        "RUN a b"
    );
    let message = |trigger| {
        parse_onbuild(trigger).expect_err("it is refused")[0]
            .message
            .clone()
    };
    assert_eq!(
        message("RUN a\nRUN b"),
        "onbuild trigger should be a single expression"
    );
    assert_eq!(message(""), "onbuild trigger should be a single expression");
    assert_eq!(
        message("FROM a"),
        "FROM isn't allowed as an ONBUILD trigger"
    );
    assert_eq!(message("NOPE a"), "unknown instruction: NOPE");
}
