//! The grammar of every instruction.

use crate::common::{diagnostics, errors, kind, tree, values};
use rbuild_dockerfile::{Command, CopySource, Healthcheck, InstructionKind, KeyValueForm, Source};
use rstest::rstest;

fn in_stage(text: &str) -> Vec<String> {
    errors(&format!("FROM scratch\n{text}\n"))
}

#[test]
fn all_instructions_are_known_in_any_case() {
    let text = "arg G=1\nfrom a\nadd a b\narg x\ncmd a\ncopy a b\nentrypoint a\nenv a=b\nexpose 80\nhealthcheck none\n\
                label a=b\nmaintainer me\nonbuild run a\nrun a\nshell [\"a\"]\nstopsignal 9\nuser a\nvolume /a\nWorkDir /a\n";
    assert_eq!(tree(text).stages[0].instructions.len(), 17);
}

#[rstest]
#[case("RUN ['a']")]
#[case("RUN [\"a\"")]
#[case("RUN [ -f x ] && y")]
#[case("RUN \"a\"")]
fn what_is_no_json_silently_becomes_the_shell_form(#[case] text: &str) {
    let InstructionKind::Run(run) = kind(text) else {
        panic!("it is a RUN")
    };
    assert!(matches!(run.command, Command::Shell(word) if word.value == text[4..]));
}

#[test]
fn a_json_array_of_something_else_than_strings_is_an_error() {
    let message = "when using JSON array syntax, arrays must be comprised of strings only";
    for text in [
        "RUN [1]",
        "CMD [\"a\", null]",
        "COPY [\"a\", []]",
        "VOLUME [{}]",
    ] {
        assert_eq!(in_stage(text), [message]);
    }
}

#[test]
fn the_json_form_has_no_shell() {
    let InstructionKind::Cmd(Command::Json(words)) = kind("CMD [\"a b\", \"\\u0041$x\"]") else {
        panic!("JSON")
    };
    assert_eq!(values(&words), ["a b", "A$x"]);
}

#[test]
fn empty_arrays_are_commands_too() {
    assert_eq!(kind("CMD []"), InstructionKind::Cmd(Command::Json(vec![])));
    assert_eq!(
        kind("ENTRYPOINT []"),
        InstructionKind::Entrypoint(Command::Json(vec![]))
    );
    assert!(
        matches!(kind("CMD"), InstructionKind::Cmd(Command::Shell(word)) if word.value.is_empty())
    );
}

#[rstest]
#[case("ENV A b=c", &[("A", "b=c")], KeyValueForm::Legacy)]
#[case("ENV A   b  c", &[("A", "b  c")], KeyValueForm::Legacy)]
#[case("ENV A=b", &[("A", "b")], KeyValueForm::Equals)]
#[case("ENV A=", &[("A", "")], KeyValueForm::Equals)]
#[case("ENV A=b=c D=\"e f\" G=h\\ i", &[("A", "b=c"), ("D", "\"e f\""), ("G", "h\\ i")], KeyValueForm::Equals)]
#[case("ENV \"A\"='b'", &[("\"A\"", "'b'")], KeyValueForm::Equals)]
#[case("ENV $K=v", &[("$K", "v")], KeyValueForm::Equals)]
#[case("LABEL \"a b\"=c", &[("\"a b\"", "c")], KeyValueForm::Equals)]
fn the_first_word_decides_how_pairs_are_written(
    #[case] text: &str,
    #[case] pairs: &[(&str, &str)],
    #[case] form: KeyValueForm,
) {
    let (InstructionKind::Env(read) | InstructionKind::Label(read)) = kind(text) else {
        panic!("pairs")
    };
    let words: Vec<_> = read
        .pairs
        .iter()
        .map(|(key, value)| (key.value.as_str(), value.value.as_str()))
        .collect();
    assert_eq!((words.as_slice(), read.form), (pairs, form));
}

#[rstest]
#[case("ENV", "ENV requires at least one argument")]
#[case("ENV A", "ENV must have two arguments")]
#[case(
    "ENV A=b c",
    "Syntax error - can't find = in \"c\". Must be of the form: name=value"
)]
#[case("ENV =b", "ENV names can not be blank")]
#[case("LABEL", "LABEL requires at least one argument")]
#[case("LABEL a", "LABEL must have two arguments")]
#[case("ARG", "ARG requires at least one argument")]
#[case("ARG =b", "ARG names can not be blank")]
#[case(
    "COPY a",
    "COPY requires at least two arguments, but only one was provided. Destination could not be determined"
)]
#[case(
    "ADD",
    "ADD requires at least two arguments, but only one was provided. Destination could not be determined"
)]
#[case("EXPOSE", "EXPOSE requires at least one argument")]
#[case("USER", "USER requires exactly one argument")]
#[case("WORKDIR", "WORKDIR requires exactly one argument")]
#[case("STOPSIGNAL", "STOPSIGNAL requires exactly one argument")]
#[case("MAINTAINER", "MAINTAINER requires exactly one argument")]
#[case("VOLUME", "VOLUME requires at least one argument")]
#[case("VOLUME [\"\"]", "VOLUME specified can not be an empty string")]
#[case("SHELL", "SHELL requires at least one argument")]
#[case("SHELL []", "SHELL requires at least one argument")]
#[case("SHELL /bin/sh", "SHELL requires the arguments to be in JSON form")]
#[case("HEALTHCHECK", "HEALTHCHECK requires at least one argument")]
#[case("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD")]
#[case("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments")]
#[case("HEALTHCHECK x", "Unknown type \"X\" in HEALTHCHECK (try CMD)")]
#[case(
    "HEALTHCHECK --interval=5 CMD x",
    "time: missing unit in duration \"5\""
)]
#[case(
    "HEALTHCHECK --interval=1us CMD x",
    "Interval \"interval\" cannot be less than 1ms"
)]
#[case("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)")]
#[case("ONBUILD", "ONBUILD requires at least one argument")]
#[case(
    "ONBUILD ONBUILD RUN a",
    "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
)]
#[case("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger")]
#[case(
    "ONBUILD maintainer a",
    "MAINTAINER isn't allowed as an ONBUILD trigger"
)]
#[case("ONBUILD ENV a", "ENV must have two arguments")]
#[case(
    "RUN --mount=from=$x,target=/x a",
    "'from' doesn't support variable expansion, define alias stage instead"
)]
#[case("RUN --network=hots a", "invalid network mode \"hots\"")]
#[case("RUN --security=none a", "security \"none\" is not valid")]
#[case("COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as a destination")]
#[case("RUN <<EOF\nx", "unterminated heredoc")]
#[case("FROM a as", "FROM requires either one or three arguments")]
#[case("FROM", "FROM requires either one or three arguments")]
#[case("FROM a b c", "FROM requires either one or three arguments")]
#[case(
    "FROM a AS 1b",
    "invalid name for build stage: \"1b\", name can't start with a number or contain symbols"
)]
#[case(
    "FROM a AS b/c",
    "invalid name for build stage: \"b/c\", name can't start with a number or contain symbols"
)]
fn wrong_arguments_are_refused(#[case] text: &str, #[case] message: &str) {
    assert_eq!(in_stage(text), [message]);
}

#[rstest]
#[case("COPY --form=a b c", "unknown flag: --form")]
#[case("COPY --from a b c", "missing a value on flag: --from")]
#[case("COPY --from=a --from=b c d", "duplicate flag specified: --from")]
#[case("COPY --link= a b", "missing a value on flag: --link")]
#[case(
    "COPY --link=maybe a b",
    "expecting boolean value for flag --link, not: maybe"
)]
#[case("ADD --parents a b", "unknown flag: --parents")]
#[case("CMD --x", "unknown flag: --x")]
#[case("ONBUILD --x RUN a", "unknown flag: --x")]
#[case("FROM --plat=a b", "unknown flag: --plat")]
fn flags_are_checked(#[case] text: &str, #[case] message: &str) {
    assert_eq!(in_stage(text), [message]);
}

#[test]
fn every_flag_reaches_the_tree() {
    let InstructionKind::Copy(copy) = kind(
        "COPY --from=s --chown=u:g --chmod=0755 --link --parents=TRUE --exclude=a --exclude=\"b c\" x y z/",
    ) else {
        panic!("it is a COPY")
    };
    let transfer = &copy.transfer;
    let value =
        |word: &Option<rbuild_dockerfile::Word>| word.as_ref().map(|word| word.value.clone());
    assert_eq!(value(&copy.from).as_deref(), Some("s"));
    assert_eq!(value(&transfer.chown).as_deref(), Some("u:g"));
    assert_eq!(value(&transfer.chmod).as_deref(), Some("0755"));
    assert_eq!(transfer.link.as_ref().map(|link| link.value), Some(true));
    assert_eq!(
        copy.parents.as_ref().map(|parents| parents.value),
        Some(true)
    );
    assert_eq!(values(&transfer.excludes), ["a", "b c"]);
    assert_eq!(
        (transfer.sources.len(), transfer.destination.value.as_str()),
        (2, "z/")
    );

    let InstructionKind::Add(add) =
        kind("ADD --checksum=sha256:x --keep-git-dir=false --unpack --chmod=u+x --link=false a b")
    else {
        panic!("it is an ADD")
    };
    assert_eq!(value(&add.checksum).as_deref(), Some("sha256:x"));
    assert_eq!(add.keep_git_dir.map(|flag| flag.value), Some(false));
    assert_eq!(add.unpack.map(|flag| flag.value), Some(true));
    assert_eq!(add.transfer.link.map(|flag| flag.value), Some(false));

    let InstructionKind::Run(run) = kind(
        "RUN --mount=type=cache,target=/a --mount=target=/b --network=none --security=insecure --device=x=y a b",
    ) else {
        panic!("it is a RUN")
    };
    assert_eq!(values(&run.mounts), ["type=cache,target=/a", "target=/b"]);
    assert_eq!(value(&run.network).as_deref(), Some("none"));
    assert_eq!(value(&run.security).as_deref(), Some("insecure"));
    assert_eq!(values(&run.devices), ["x=y"]);
    assert!(matches!(run.command, Command::Shell(word) if word.value == "a b"));
}

#[test]
fn two_dashes_end_the_flags() {
    let InstructionKind::Copy(copy) = kind("COPY --link -- --weird /x") else {
        panic!("it is a COPY")
    };
    assert!(
        matches!(&copy.transfer.sources[..], [CopySource::Path(path)] if path.value == "--weird")
    );
    assert_eq!(kind("CMD -- --x"), {
        let InstructionKind::Cmd(Command::Shell(word)) = kind("CMD -- --x") else {
            panic!("shell form")
        };
        assert_eq!(word.value, "--x");
        InstructionKind::Cmd(Command::Shell(word))
    });
}

#[rstest]
#[case("FROM scratch\nRUNN a\n", "RUNN", "did you mean RUN?", "RUN")]
#[case(
    "FROM scratch\nentrypont a\n",
    "entrypont",
    "did you mean entrypoint?",
    "entrypoint"
)]
#[case(
    "FROM scratch\nCOPY --form=a b c\n",
    "--form=",
    "did you mean from?",
    "--from="
)]
#[case(
    "FROM scratch\nCOPY --lnk b c\n",
    "--lnk",
    "did you mean link?",
    "--link"
)]
#[case(
    "FROM scratch\nRUN --network=hots a\n",
    "hots",
    "did you mean host?",
    "host"
)]
fn near_misses_are_told_with_what_would_mend_them(
    #[case] text: &str,
    #[case] guilty: &str,
    #[case] help: &str,
    #[case] patch: &str,
) {
    let [found] = &diagnostics(text)[..] else {
        panic!("one error")
    };
    assert_eq!(&text[found.span.range()], guilty);
    assert_eq!(
        (found.help.as_deref(), found.patch.as_deref()),
        (Some(help), Some(patch))
    );
}

#[test]
fn a_stage_keeps_its_name_as_written() {
    let stage = tree("FROM --platform=linux/arm64 a aS Base\n")
        .stages
        .remove(0);
    assert_eq!(stage.from.platform.expect("given").value, "linux/arm64");
    assert_eq!(stage.from.as_keyword.expect("given").value, "aS");
    assert_eq!(stage.from.name.expect("given").value, "Base");
}

#[test]
fn args_may_stand_above_the_first_stage() {
    let file = tree("ARG A=1 B\nFROM a\nARG A\n");
    let InstructionKind::Arg(items) = &file.global_args[0].kind else {
        panic!("it is an ARG")
    };
    assert_eq!(
        items[0].default.as_ref().map(|word| word.value.as_str()),
        Some("1")
    );
    assert_eq!(
        (items[1].name.value.as_str(), &items[1].default),
        ("B", &None)
    );
}

#[test]
fn healthchecks_count_in_nanoseconds() {
    let text = "HEALTHCHECK --interval=30s --timeout=1m --start-period=0 --start-interval=500ms --retries=3 CMD [\"a\"]";
    let InstructionKind::Healthcheck(Healthcheck::Cmd {
        command,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    }) = kind(text)
    else {
        panic!("it is a HEALTHCHECK")
    };
    assert!(matches!(command, Command::Json(_)));
    assert_eq!(
        [interval, timeout, start_period, start_interval, retries],
        [
            Some(30_000_000_000),
            Some(60_000_000_000),
            Some(0),
            Some(500_000_000),
            Some(3)
        ]
    );
    assert_eq!(
        kind("HEALTHCHECK none"),
        InstructionKind::Healthcheck(Healthcheck::None)
    );
}

#[test]
fn the_rest_of_the_line_is_one_argument() {
    assert!(matches!(kind("WORKDIR /a b"), InstructionKind::Workdir(word) if word.value == "/a b"));
    assert!(matches!(kind("USER a:b"), InstructionKind::User(word) if word.value == "a:b"));
    assert!(
        matches!(kind("MAINTAINER A <a@b>"), InstructionKind::Maintainer(word) if word.value == "A <a@b>")
    );
}

#[test]
fn volumes_are_words_or_json() {
    assert!(
        matches!(kind("VOLUME /a  /b"), InstructionKind::Volume(words) if values(&words) == ["/a", "/b"])
    );
    assert!(
        matches!(kind("VOLUME [\"/a b \"]"), InstructionKind::Volume(words) if values(&words) == ["/a b"])
    );
}

#[test]
fn words_after_a_continuation_know_their_own_line() {
    let text = "FROM scratch\nCOPY --chown=a:b \\\n  # comment\n  first \\\n  second /dst\n";
    let source = Source::new("Dockerfile", text);
    let InstructionKind::Copy(copy) = &tree(text).stages[0].instructions[0].kind else {
        panic!("it is a COPY")
    };
    let [CopySource::Path(first), CopySource::Path(second)] = &copy.transfer.sources[..] else {
        panic!("two paths")
    };
    let index = source.line_index();
    for (word, line, column) in [
        (first, 4, 3),
        (second, 5, 3),
        (&copy.transfer.destination, 5, 10),
    ] {
        assert_eq!(&text[word.span.range()], word.value);
        let position = index.position(word.span.start);
        assert_eq!((position.line, position.column), (line, column));
        assert_eq!(position, source.position(word.span.start));
    }
    let chown = copy.transfer.chown.as_ref().expect("given");
    assert_eq!(&text[chown.span.range()], "a:b");
}
