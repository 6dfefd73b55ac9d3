use std::collections::HashSet;
use std::sync::Arc;

use super::{Environment, Origin, Run};

#[test]
fn a_variable_set_again_keeps_its_place() {
    let mut env: Environment = ["A=1", "B=2"].into_iter().collect();
    env.set("A", "3");
    assert_eq!(env.iter().collect::<Vec<_>>(), ["A=3", "B=2"]);
    assert_eq!((env.get("A"), env.get("C")), (Some("3"), None));
    assert_eq!((env.len(), env.bytes()), (2, 6));
}

#[test]
fn a_name_may_be_there_without_a_value() {
    let mut env = Environment::default();
    env.put("A".into(), 1, Origin::Arg);
    assert!(env.defines("A") && !env.defines("B"));
    assert_eq!(env.get("A"), None);
    assert_eq!(env.pairs().collect::<Vec<_>>(), [("A", None)]);
}

/// Any order of setting, overriding and looking at old versions gives what a plain list gives.
#[test]
fn versions_do_not_disturb_each_other() {
    let (mut env, mut plain) = (Environment::default(), Vec::<(String, String)>::new());
    let mut versions = Vec::new();
    for step in 0_u32..2_000 {
        // Names in no order, many of them again.
        let name = format!("N{}", step.wrapping_mul(2_654_435_761) >> 22);
        let value = step.to_string();
        match plain.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1.clone_from(&value),
            None => plain.push((name.clone(), value.clone())),
        }
        env.set(&name, &value);
        if step % 7 == 0 {
            versions.push((env.clone(), plain.clone()));
        }
    }
    versions.push((env, plain));
    for (env, plain) in versions {
        let list: Vec<String> = plain
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert!(env.iter().eq(list.iter()));
        assert!(
            plain
                .iter()
                .all(|(name, value)| env.get(name) == Some(value))
        );
        assert_eq!(env.bytes(), list.iter().map(String::len).sum::<usize>());
        let again: Environment = list.iter().collect();
        assert!(env == again && env.fingerprint == again.fingerprint);
    }
}

#[test]
fn what_an_arg_has_set_is_known_and_makes_no_difference() {
    let mut env: Environment = ["A=1", "B=2"].into_iter().collect();
    env.put("A=1".into(), 1, Origin::Arg);
    env.put("C=3".into(), 1, Origin::Arg);
    assert_eq!(env.arguments().collect::<Vec<_>>(), ["A", "C"]);
    assert_eq!(env, ["A=1", "B=2", "C=3"].into_iter().collect());
    env.set("C", "4");
    assert_eq!(env.arguments().collect::<Vec<_>>(), ["A"]);
}

#[test]
fn environments_that_differ_are_not_equal() {
    let one: Environment = ["A=1", "B=2"].into_iter().collect();
    for other in [
        &["A=1"][..],
        &["B=2", "A=1"],
        &["A=1", "B=3"],
        &["A=1", "B=2", "C="],
    ] {
        assert_ne!(one, other.iter().collect());
    }
}

/// Entries that all of `versions` hold together, each counted once however many share it.
fn entries(versions: &[Environment]) -> usize {
    let mut seen: HashSet<*const Run> = HashSet::new();
    let mut count = 0;
    for version in versions {
        let mut next = version.top.as_ref();
        while let Some(run) = next.filter(|run| seen.insert(Arc::as_ptr(run))) {
            count += run.variables.len();
            next = run.below.as_ref();
        }
    }
    count
}

#[test]
fn a_version_for_each_of_many_variables_takes_little_more_than_the_variables() {
    let count_for = |length: usize| {
        let mut env = Environment::default();
        let versions: Vec<_> = (0..length)
            .map(|number| {
                env.set(&format!("N{number:06}"), "value");
                env.clone()
            })
            .collect();
        entries(&versions)
    };
    // Plain copies would be 2 million and 200 million entries.
    assert!(count_for(2_000) < 2_000 * 40, "{}", count_for(2_000));
    assert!(count_for(20_000) < 20_000 * 40, "{}", count_for(20_000));
}
