//! RUN: what is executed, with what around it.

use rbuild_plan::{
    Access, CacheIdOrigin, CacheUse, ContextSource, Entitlement, ExecMount, Input, MainContext,
    MountKind, NetworkMode, NoCache, Operation, PlanOptions, Presence, SecretFile, SecurityMode,
    Sharing, StepUsers,
};

use crate::common::{
    args, execs, find, history, mistakes_with, names, planned, planned_with, words,
};

fn mounts(text: &str) -> Vec<ExecMount> {
    execs(&planned(text).plan)
        .last()
        .expect("a RUN")
        .mounts
        .clone()
}

fn only_mount(options: &str) -> ExecMount {
    let mut mounts = mounts(&format!(
        "FROM debian\nWORKDIR /w\nRUN --mount={options} x\n"
    ));
    assert_eq!(mounts.len(), 1);
    mounts.remove(0)
}

#[test]
fn shell_form_is_one_argument_of_the_shell_and_json_form_has_none() {
    let planned = planned(
        "FROM debian\nRUN echo  $HOME \\\n  x\nRUN [\"a\", \"$b\"]\nSHELL [\"/bin/bash\", \"-ec\"]\nRUN y\n",
    );
    let plan = &planned.plan;
    assert_eq!(
        words(&execs(plan)[0].args),
        ["/bin/sh", "-c", "echo  $HOME   x"]
    );
    assert_eq!(words(&execs(plan)[1].args), ["a", "$b"]);
    assert_eq!(words(&execs(plan)[2].args), ["/bin/bash", "-ec", "y"]);
    assert_eq!(
        history(&planned),
        [
            "+ RUN /bin/sh -c echo  $HOME   x # buildkit",
            "+ RUN a $b # buildkit",
            "- SHELL [/bin/bash -ec]",
            "+ RUN /bin/bash -ec y # buildkit",
        ]
    );
}

#[test]
fn a_lone_heredoc_is_the_shells_argument_quoted_or_not() {
    for word in ["<<EOF", "<<'EOF'", "<<-EOF"] {
        let planned = planned(&format!("FROM debian\nRUN {word}\necho $x\necho y\nEOF\n"));
        assert_eq!(
            words(&execs(&planned.plan)[0].args),
            ["/bin/sh", "-c", "echo $x\necho y\n"]
        );
        assert!(
            names(&planned.plan)[1].ends_with(&format!("RUN {word} (echo $x...)")),
            "{:?}",
            names(&planned.plan)
        );
    }
}

#[test]
fn a_heredoc_with_a_shebang_is_a_read_only_script() {
    let planned = planned("FROM debian\nRUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF\n");
    let exec = execs(&planned.plan)[0];
    assert_eq!(words(&exec.args), ["/bin/sh", "-c", "/dev/pipes/EOF"]);
    assert_eq!(
        exec.mounts,
        [ExecMount {
            target: "/dev/pipes/EOF".to_owned(),
            kind: MountKind::Inline {
                data: "#!/usr/bin/env python3\nprint(1)\n".to_owned(),
                mode: 0o755,
            },
        }]
    );
}

#[test]
fn with_words_beside_it_the_shell_does_the_heredoc() {
    let planned = planned("FROM debian\nRUN <<EOF python3\nprint(1)\nEOF\n");
    assert_eq!(
        &*execs(&planned.plan)[0].args[2],
        "<<EOF python3\nprint(1)\nEOF"
    );
}

#[test]
fn steps_run_where_and_as_the_stage_says() {
    let planned = planned("FROM debian\nWORKDIR /w\nUSER app:grp\nRUN x\n");
    let exec = execs(&planned.plan)[0];
    assert_eq!((&*exec.cwd, &*exec.user), ("/w", "app:grp"));
    assert_eq!(&*exec.hostname, "buildkitsandbox");
    let options = args(&[("BUILDKIT_SANDBOX_HOSTNAME", "box")]);
    assert_eq!(
        &*execs(&planned_with("FROM debian\nRUN x\n", &options).plan)[0].hostname,
        "box"
    );
}

#[test]
fn a_run_on_scratch_starts_from_an_empty_tree() {
    let planned = planned("FROM scratch\nRUN x\n");
    let run = find(&planned.plan, "RUN x");
    let inputs = planned.plan.inputs(run);
    assert_eq!(planned.plan.vertex(inputs[0]).operation, Operation::Merge);
    assert!(planned.plan.inputs(inputs[0]).is_empty());
}

#[test]
fn a_bind_mount_is_of_the_context_and_read_only() {
    let planned = planned("FROM debian\nWORKDIR /w\nRUN --mount=target=src,source=a/../b x\n");
    let run = find(&planned.plan, "RUN");
    let inputs = planned.plan.inputs(run);
    assert_eq!(
        planned.plan.vertex(inputs[1]).operation,
        Operation::Context(ContextSource::Main)
    );
    assert_eq!(
        execs(&planned.plan)[0].mounts,
        [ExecMount {
            target: "/w/src".to_owned(),
            kind: MountKind::Bind {
                from: Input(1),
                source: "/b".to_owned(),
                access: Access::ReadOnly,
            },
        }]
    );
}

#[test]
fn a_bind_mount_of_the_base_itself_is_an_input_of_its_own() {
    let planned = planned("FROM debian AS a\nFROM a\nRUN --mount=from=a,target=/x,rw y\n");
    let run = find(&planned.plan, "RUN");
    assert_eq!(planned.plan.inputs(run).len(), 2);
}

#[test]
fn nothing_is_mounted_over_the_root() {
    let mistakes = mistakes_with(
        "FROM debian\nRUN --mount=type=cache,target=/ x\n",
        &PlanOptions::default(),
    );
    assert_eq!(mistakes[0].message, "invalid mount target \"/\"");
}

#[test]
fn a_cache_mount_has_defaults() {
    let mount = only_mount("type=cache,target=c/");
    assert_eq!(mount.target, "/w/c");
    let MountKind::Cache {
        id_origin,
        sharing,
        from,
        owner,
        mode,
        access,
        ..
    } = mount.kind
    else {
        panic!("{mount:?}");
    };
    assert_eq!(id_origin, CacheIdOrigin::Target);
    assert_eq!(
        (sharing, from, owner, mode, access),
        (Sharing::Shared, None, (0, 0), 0o755, Access::ReadWrite)
    );
}

#[test]
fn a_cache_mount_takes_id_namespace_sharing_owner_and_mode() {
    let options = args(&[("BUILDKIT_CACHE_MOUNT_NS", "team")]);
    let text = "FROM debian\nARG M=0700\nRUN --mount=type=cache,id=x,target=/c,sharing=locked,uid=5,gid=6,mode=$M,ro x\n";
    let planned = planned_with(text, &options);
    let MountKind::Cache {
        id,
        id_origin,
        sharing,
        owner,
        mode,
        access,
        ..
    } = &execs(&planned.plan)[0].mounts[0].kind
    else {
        panic!("a cache mount");
    };
    assert_eq!(id, "team/x");
    assert_eq!(*id_origin, CacheIdOrigin::Given);
    assert_eq!(
        (*sharing, *owner, *mode, *access),
        (Sharing::Locked, (5, 6), 0o700, Access::ReadOnly)
    );
}

#[test]
fn a_cache_mount_from_scratch_starts_empty() {
    let mount = only_mount("type=cache,target=/c,from=scratch");
    assert!(matches!(mount.kind, MountKind::Cache { from: None, .. }));
}

#[test]
fn a_secret_is_a_file_unless_it_is_only_a_variable() {
    let mount = only_mount("type=secret,id=a/token");
    assert_eq!(mount.target, "/run/secrets/token");
    let MountKind::Secret {
        file,
        env,
        presence,
        mode,
        ..
    } = mount.kind
    else {
        panic!("a secret")
    };
    assert_eq!(
        (file, env, presence, mode),
        (SecretFile::Mounted, None, Presence::Optional, 0o400)
    );
    let mount = only_mount("type=secret,id=t,env=TOKEN,required");
    let MountKind::Secret {
        file,
        env,
        presence,
        ..
    } = mount.kind
    else {
        panic!("a secret")
    };
    assert_eq!(
        (file, env.as_deref(), presence),
        (SecretFile::Absent, Some("TOKEN"), Presence::Required)
    );
    let mount = only_mount("type=secret,id=t,env=TOKEN,target=/t");
    assert_eq!(mount.target, "/t");
    assert!(matches!(
        mount.kind,
        MountKind::Secret {
            file: SecretFile::Mounted,
            ..
        }
    ));
}

#[test]
fn the_name_of_a_step_hides_a_secrets_variable() {
    let planned = planned(
        "FROM debian\nENV T=old A=1\nRUN --mount=type=secret,id=t,env=T use $T $A $unknown\n",
    );
    let name = names(&planned.plan).pop().expect("a step");
    assert!(name.ends_with("use **** 1 $unknown"), "{name}");
}

#[test]
fn ssh_sockets_are_numbered_and_the_first_is_in_the_environment() {
    let planned = planned("FROM debian\nRUN --mount=type=ssh --mount=type=ssh,id=b x\n");
    let exec = execs(&planned.plan)[0];
    assert_eq!(exec.mounts[0].target, "/run/buildkit/ssh_agent.0");
    assert_eq!(exec.mounts[1].target, "/run/buildkit/ssh_agent.1");
    assert_eq!(
        exec.env.get("SSH_AUTH_SOCK"),
        Some("/run/buildkit/ssh_agent.0")
    );
}

#[test]
fn a_variable_for_the_agent_that_is_set_stays() {
    let planned = planned("FROM debian\nENV SSH_AUTH_SOCK=/mine\nRUN --mount=type=ssh x\n");
    let exec = execs(&planned.plan)[0];
    assert_eq!(exec.env.get("SSH_AUTH_SOCK"), Some("/mine"));
}

#[test]
fn a_tmpfs_has_a_size_and_no_source() {
    assert_eq!(
        only_mount("type=tmpfs,target=/t,size=1m").kind,
        MountKind::Tmpfs {
            size: Some(1 << 20)
        }
    );
    assert_eq!(
        only_mount("type=tmpfs,target=/t").kind,
        MountKind::Tmpfs { size: None }
    );
}

#[test]
fn a_bad_mount_in_a_stage_nobody_needs_passes() {
    planned("FROM debian AS a\nRUN --mount=type=cache,target=/c,mode=what x\nFROM debian\n");
    assert!(
        !mistakes_with(
            "FROM debian\nRUN --mount=type=cache,target=/c,mode=what x\n",
            &PlanOptions::default()
        )
        .is_empty()
    );
}

#[test]
fn the_hosts_network_and_all_capabilities_need_to_be_allowed() {
    for (flag, entitlement) in [
        ("--network=host", Entitlement::NetworkHost),
        ("--security=insecure", Entitlement::SecurityInsecure),
    ] {
        let text = format!("FROM debian\nRUN {flag} x\n");
        let mistakes = mistakes_with(&text, &PlanOptions::default());
        assert!(
            mistakes[0]
                .help
                .as_ref()
                .expect("help")
                .ends_with(&format!("--allow {entitlement}"))
        );
        let mut options = PlanOptions::default();
        options.entitlements.insert(entitlement);
        let planned = planned_with(&text, &options);
        let exec = execs(&planned.plan)[0];
        assert!(exec.network == NetworkMode::Host || exec.security == SecurityMode::Insecure);
    }
}

#[test]
fn steps_with_users_of_their_own_are_the_same_and_never_root_of_the_host() {
    let mut options = PlanOptions {
        users: StepUsers::Own,
        ..PlanOptions::default()
    };
    options.entitlements.insert(Entitlement::SecurityInsecure);
    let mistakes = mistakes_with("FROM debian\nRUN --security=insecure x\n", &options);
    assert_eq!(mistakes[0].code, "insecure-with-own-users");
    let text = "FROM debian\nRUN --network=none --mount=type=cache,target=/c x\n";
    let plan = |options| planned_with(text, options).plan;
    let own = plan(&options);
    assert_eq!(execs(&own), execs(&plan(&PlanOptions::default())));
}

#[test]
fn the_build_decides_the_network_unless_the_step_does() {
    let options = PlanOptions {
        network: NetworkMode::None,
        ..PlanOptions::default()
    };
    let planned = planned_with("FROM debian\nRUN x\nRUN --network=default y\n", &options);
    let modes: Vec<_> = execs(&planned.plan)
        .iter()
        .map(|exec| exec.network)
        .collect();
    assert_eq!(modes, [NetworkMode::None, NetworkMode::Default]);
}

#[test]
fn no_cache_is_for_all_stages_or_for_some() {
    let text = "FROM debian AS a\nRUN one\nFROM debian AS b\nCOPY --from=a / /a\nRUN two\n";
    let refused = |no_cache: NoCache| {
        let options = PlanOptions {
            no_cache,
            ..PlanOptions::default()
        };
        let planned = planned_with(text, &options);
        planned
            .plan
            .vertices()
            .filter(|&id| planned.plan.vertex(id).cache_use == CacheUse::Refused)
            .count()
    };
    assert_eq!(refused(NoCache::None), 0);
    assert_eq!(refused(NoCache::All), 3);
    assert_eq!(refused(NoCache::Stages(vec!["A".to_owned()])), 1);
}

#[test]
fn without_a_context_a_bind_mount_is_empty() {
    let options = PlanOptions {
        main_context: MainContext::Absent,
        ..PlanOptions::default()
    };
    let planned = planned_with("FROM debian\nRUN --mount=target=/x y\n", &options);
    let inputs = planned.plan.inputs(find(&planned.plan, "RUN"));
    assert_eq!(planned.plan.vertex(inputs[1]).operation, Operation::Merge);
}
