//! Made-up worlds and parts of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::world::{
    Above, BASES, Copy, CopyFrom, File, From, Mount, Node, Run, Script, Stage, Step, Text, Tree,
    World, put,
};

fn aboves() -> impl Strategy<Value = Above> {
    (0..6_u8).prop_map(Above)
}

pub(crate) const FILES: &[&str] = &[
    "a.txt",
    "b.txt",
    "c.md",
    "run.sh",
    "src/a.txt",
    "src/b.md",
    "src/sub/a.txt",
    "src/sub/c.md",
    "docs/d.md",
    "docs/e.txt",
];
const TEXTS: &[&str] = &["", "1\n", "2\n", "10\n", "20\n", "a longer text\n"];
pub(crate) const VALUES: &[&str] = &["1", "2", "x y"];
const NAMES: &[&str] = &["A", "B", "C"];
const PLACES: &[&str] = &[
    "/d/",
    "/d",
    "/d/x/",
    "/w/y",
    "rel/",
    "./",
    "/out",
    "/lnk/z/",
    "/",
    "/etc/conf",
];
/// What a copy takes from a context.
const SOURCES: &[&str] = &[
    "a.txt",
    "b.txt",
    "*.txt",
    "*.md",
    "src",
    "src/",
    "src/*.txt",
    "src/sub",
    "src/*",
    "docs",
    ".",
    "s*",
    "link",
    "?.txt",
];
/// What a copy takes from a stage or an image.
const INSIDE: &[&str] = &[
    "/d*",
    "/d/*",
    "/out*",
    "/w*",
    "/etc/rel*",
    "/lnk*",
    "/d/a.tx?",
    "/e*",
    "/etc",
    "/*",
];
const PATHS: &[&str] = &[
    "/d",
    "/d/x",
    "/out",
    "/w",
    "/w/y",
    "/etc/release",
    "/lnk",
    "/d/a.txt",
    "/m",
    "/tmp/t",
];
const IGNORES: &[&str] = &[
    "*.md",
    "docs",
    "src/sub",
    "**/a.txt",
    "!src/sub/c.md",
    "!a.txt",
    "b*",
    "#",
];
const EXCLUDES: &[&str] = &["*.md", "sub", "**/a.txt", "!sub/c.md"];
const CONFIGS: &[&str] = &[
    "LABEL l=1",
    "LABEL l=$A",
    "CMD [\"x\"]",
    "EXPOSE 80",
    "ENTRYPOINT [\"/e\"]",
    "VOLUME /v",
    "STOPSIGNAL 9",
    "HEALTHCHECK NONE",
    "SHELL [\"/bin/sh\", \"-ec\"]",
    "MAINTAINER m",
];

pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let map = || proptest::collection::btree_map(select(NAMES), select(VALUES), 0..3);
    (
        trees(0..6),
        trees(0..4),
        subsequence(IGNORES, 0..3),
        map(),
        map(),
        vec(stages(), 1..4),
        0..BASES,
    )
        .prop_map(
            |(files, extra, ignore, build_args, globals, stages, base)| World {
                files,
                extra,
                ignore,
                build_args,
                globals,
                stages,
                base,
            },
        )
}

/// The files that most sources name, and others over them.
fn trees(count: std::ops::Range<usize>) -> impl Strategy<Value = Tree> {
    vec((select(FILES), nodes()), count).prop_map(|nodes| {
        let mut tree = Tree::new();
        for path in ["a.txt", "src/a.txt", "src/sub/a.txt", "docs/d.md"] {
            put(&mut tree, path, Node::File(File::of("1\n", 0o644)));
        }
        put(&mut tree, "link", Node::Symlink("src/a.txt"));
        for (path, node) in nodes {
            put(&mut tree, path, node);
        }
        tree
    })
}

/// Mostly files.
pub(crate) fn nodes() -> impl Strategy<Value = Node> {
    prop_oneof![
        8 => (texts(), modes()).prop_map(|(text, mode)| Node::File(File::of(text, mode))),
        1 => modes().prop_map(|mode| Node::Directory { mode: mode | 0o500 }),
        1 => select(&["a.txt", "src", "none", "../b.txt"][..]).prop_map(Node::Symlink),
        1 => select(&["a.txt", "src/a.txt"][..]).prop_map(|to| Node::Hardlink(to.to_owned())),
    ]
}

pub(crate) fn texts() -> impl Strategy<Value = &'static str> {
    select(TEXTS)
}

pub(crate) fn modes() -> impl Strategy<Value = u32> {
    select(&[0o644, 0o644, 0o755, 0o600, 0o664, 0o4755][..])
}

pub(crate) fn names() -> impl Strategy<Value = &'static str> {
    select(NAMES)
}

pub(crate) fn ignores() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(IGNORES, 0..3)
}

fn stages() -> impl Strategy<Value = Stage> {
    let from = prop_oneof![
        1 => Just(From::Scratch),
        4 => Just(From::Base),
        1 => Just(From::Trigger),
        3 => aboves().prop_map(From::Stage),
    ];
    (from, vec(steps(), 1..6)).prop_map(|(from, steps)| Stage { from, steps })
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    let simple = prop_oneof![
        5 => copies().prop_map(Step::Copy),
        5 => runs().prop_map(Step::Run),
        1 => (select(PLACES), texts(), chmods()).prop_map(|(destination, text, chmod)| {
            Step::Heredoc { destination, text, chmod }
        }),
    ]
    .boxed();
    prop_oneof![
        10 => simple.clone(),
        2 => (select(NAMES), proptest::option::of(words())).prop_map(|(name, default)| Step::Arg(name, default)),
        2 => (select(NAMES), words()).prop_map(|(name, value)| Step::Env(name, value)),
        1 => prop_oneof![Just(Text::Plain("/w")), Just(Text::Plain("sub")), Just(Text::With("/w/", "A"))]
            .prop_map(Step::Workdir),
        1 => select(&["1000", "app", "root", "0:5"][..]).prop_map(Step::User),
        1 => select(CONFIGS).prop_map(Step::Config),
        1 => simple.prop_map(|step| Step::OnBuild(Box::new(step))),
    ]
}

fn words() -> impl Strategy<Value = Text> {
    prop_oneof![
        select(VALUES).prop_map(Text::Plain),
        (select(&["", "v"][..]), select(NAMES)).prop_map(|(text, name)| Text::With(text, name)),
    ]
}

fn chmods() -> impl Strategy<Value = Option<&'static str>> {
    select(&[None, None, Some("0600"), Some("755"), Some("u+x,g=u")][..])
}

fn copies() -> impl Strategy<Value = Copy> {
    let elsewhere = prop_oneof![Just(CopyFrom::Image), aboves().prop_map(CopyFrom::Stage)];
    let from = prop_oneof![
        5 => (Just(CopyFrom::Context), vec(select(SOURCES), 1..3)),
        1 => (Just(CopyFrom::Extra), vec(select(SOURCES), 1..3)),
        4 => (elsewhere, vec(select(INSIDE), 1..3)),
    ];
    let destination = prop_oneof![
        9 => select(PLACES).prop_map(Text::Plain),
        1 => Just(Text::With("/d/", "A")),
    ];
    let flags = (
        proptest::bool::weighted(0.2),
        chmods(),
        select(&[None, None, None, Some("1:2"), Some("app"), Some("7")][..]),
        prop_oneof![4 => Just(Vec::new()), 1 => subsequence(EXCLUDES, 1..3)],
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.1),
    );
    (from, destination, flags).prop_map(
        |((from, sources), destination, (link, chmod, chown, excludes, parents, add))| Copy {
            add: add && !parents && from == CopyFrom::Context,
            from,
            sources,
            destination,
            link,
            chmod,
            chown,
            excludes,
            parents,
        },
    )
}

fn runs() -> impl Strategy<Value = Run> {
    let path = || select(PATHS);
    let out = || select(&["/out", "/d/run", "/w/run", "/tmp/t", "rel-out"][..]);
    let script = prop_oneof![
        out().prop_map(Script::Variables),
        (path(), out()).prop_map(|(from, to)| Script::Concatenate(from, to)),
        (path(), out()).prop_map(|(from, to)| Script::Size(from, to)),
        out().prop_map(Script::Constant),
        path().prop_map(Script::Remove),
        path().prop_map(Script::Replace),
        (path(), path()).prop_map(|(from, to)| Script::Move(from, to)),
        path().prop_map(Script::Chmod),
        path().prop_map(Script::Chown),
        (path(), path()).prop_map(|(from, to)| Script::Hardlink(from, to)),
        (path(), path()).prop_map(|(from, to)| Script::Symlink(from, to)),
        (path(), out()).prop_map(|(from, to)| Script::Attributes(from, to)),
        out().prop_map(Script::Append),
        out().prop_map(Script::Identity),
        path().prop_map(Script::Xattr),
        path().prop_map(Script::Touch),
    ];
    let bind = prop_oneof![
        (
            Just(CopyFrom::Context),
            select(&[".", ".", "src", "a.txt"][..])
        ),
        (Just(CopyFrom::Extra), Just(".")),
        (
            aboves().prop_map(CopyFrom::Stage),
            select(&["/", "/", "/", "/d"][..])
        ),
        (Just(CopyFrom::Image), select(&["/d", "/etc"][..])),
    ];
    let mount = prop_oneof![
        6 => Just(None),
        3 => bind.prop_map(|(from, path)| Some(Mount::Bind(from, path))),
        1 => Just(Some(Mount::Cache)),
        1 => Just(Some(Mount::Tmpfs)),
    ];
    (script, mount, proptest::bool::weighted(0.2), 0..3_u8).prop_map(
        |(script, mount, heredoc, idle)| Run {
            script,
            mount,
            heredoc,
            idle,
        },
    )
}
