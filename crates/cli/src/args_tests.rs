//! What the command line understands.

use super::*;

fn completed(words: &[&str]) -> Vec<String> {
    let arguments = std::iter::once("rbuild").chain(words.iter().copied());
    let is_there = |path: &str| path == "folder";
    with_default_verb(arguments.map(OsString::from).collect(), &is_there)
        .0
        .into_iter()
        .skip(1)
        .map(|word| word.into_string().expect("the test's words are UTF-8"))
        .collect()
}

#[test]
fn a_word_that_is_no_path_was_meant_to_be_a_verb() {
    assert_eq!(completed(&["folder"]), ["build", "folder"]);
    assert_eq!(completed(&["other/folder"]), ["build", "other/folder"]);
    assert_eq!(completed(&["imagse"]), ["imagse"]);
    let told = read(["rbuild", "strat", "web"].map(OsString::from).into());
    let told = told.expect_err("there is no such verb").message();
    assert!(
        told.contains("'strat'") && told.contains("'start'"),
        "{told}"
    );
}

#[test]
fn no_option_means_two_things() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}

/// Definitions are made when their verb is typed: what they say of themselves would then take the place of the verb's line.
#[test]
fn a_verb_says_the_same_in_the_list_and_in_its_own_help() {
    use clap::CommandFactory as _;

    fn compare(listed: &clap::Command, built: &clap::Command, differ: &mut Vec<String>) {
        for own in built
            .get_subcommands()
            .filter(|own| own.get_name() != "help")
        {
            let line = listed
                .find_subcommand(own.get_name())
                .and_then(|verb| verb.get_about().map(ToString::to_string));
            let about = own.get_about().map(ToString::to_string);
            if line != about || own.get_long_about().is_some() {
                differ.push(format!("{}: {line:?}, {about:?}", own.get_name()));
            }
        }
    }

    let listed = Cli::command();
    let mut built = Cli::command();
    built.build();
    let mut differ = Vec::new();
    compare(&listed, &built, &mut differ);
    for group in listed
        .get_subcommands()
        .filter(|verb| verb.has_subcommands())
    {
        let own = built.find_subcommand(group.get_name());
        compare(
            group,
            own.expect("it is the same command line"),
            &mut differ,
        );
    }
    assert_eq!(differ, [""; 0]);
}

#[test]
fn every_verb_may_stand_first() {
    use clap::CommandFactory as _;
    for verb in Cli::command().get_subcommands() {
        assert!(VERBS.contains(&verb.get_name()), "{}", verb.get_name());
    }
}

#[test]
fn building_needs_no_verb() {
    assert_eq!(completed(&["-t", "app", "."]), ["build", "-t", "app", "."]);
    assert_eq!(completed(&["."]), ["build", "."]);
}

#[test]
fn dockers_longer_forms_are_understood() {
    let parses = |line: &str| {
        let words = completed(&line.split(' ').collect::<Vec<_>>());
        let words = std::iter::once("rbuild".to_owned()).chain(words);
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{line}: {error}");
        }
    };
    for line in [
        "image ls",
        "image list -a",
        "image build .",
        "image rm app",
        "image prune -f",
        "container ls -a",
        "container ps",
        "container run --rm app true",
        "container remove -f one",
        "container prune --filter until=24h",
        "builder prune -f",
        "builder build .",
        "buildx build --load .",
        "buildx b .",
        "buildx imagetools inspect app",
        "system df",
        "system prune -af --volumes",
    ] {
        parses(line);
    }
}

#[test]
fn global_options_may_stand_before_the_verb() {
    assert_eq!(
        completed(&["--root", "/x", "images"]),
        ["--root", "/x", "images"]
    );
    assert_eq!(completed(&["--root=/x", "."]), ["--root=/x", "build", "."]);
}

#[test]
fn asking_for_help_builds_nothing() {
    assert_eq!(completed(&["--help"]), ["--help"]);
    assert_eq!(completed(&[]), Vec::<String>::new());
}

#[test]
fn what_is_typed_comes_before_the_environment() {
    let typed = Global {
        config: None,
        root: Some("/typed".into()),
    };
    let environment = |name: &str| Some(format!("/{name}").into());
    let global = typed.clone().or_from(environment);
    assert_eq!(global.config.as_deref(), Some("/RBUILD_CONFIG".as_ref()));
    assert_eq!(global.root.as_deref(), Some("/typed".as_ref()));
    assert_eq!(typed.or_from(|_| Some("".into())).config, None);
}
