//! What other programs' files say of registries: `registries.conf`, `hosts.toml`, `certs.d`.

use std::path::Path;

use rbuild_testkit::{Registry, RegistrySetup, TestCertificates};

use crate::registries::push_busybox;
use crate::support::{Caller, Lab, Running, require};

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

/// A place, and a registry that holds busybox.
fn lab_and_registry() -> Option<(Lab, Registry)> {
    if !require("skopeo", "a registry") {
        return None;
    }
    let lab = Lab::with_bases(Caller::Root, &[])?;
    let registry = Registry::start()?;
    push_busybox(&registry);
    Some((lab, registry))
}

#[test]
fn names_are_found_where_registries_conf_says_as_podman_finds_them() {
    let Some((lab, registry)) = lab_and_registry() else {
        return;
    };
    let conf = lab.path("home/.config/containers/registries.conf");
    let (host, port) = (registry.host(), registry.port());
    write(
        &conf,
        &format!(
            "unqualified-search-registries = [\"quay.io\"]\n\
             [[registry]]\nprefix = \"example.com/team\"\nlocation = \"{host}/library\"\ninsecure = true\n\
             [[registry]]\nprefix = \"docker.io/library\"\nlocation = \"example.invalid/hub\"\n\
             [[registry.mirror]]\nlocation = \"localhost:{port}/library\"\ninsecure = true\n"
        ),
    );
    write(
        &lab.path("home/.config/containers/registries.conf.d/10-blocked.conf"),
        "[[registry]]\nprefix = \"example.com/team/secret\"\nblocked = true\n",
    );
    let names = ["example.com/team/busybox", "busybox"];
    for name in names {
        let ours = lab.rbuild(&["imagetools", "inspect", "--raw", name]);
        let mut skopeo = std::process::Command::new("skopeo");
        skopeo
            .arg("--registries-conf")
            .arg(&conf)
            .args(["inspect", "--raw"])
            .arg(format!("docker://{name}"));
        let theirs = Running::start(&mut skopeo).wait().success();
        assert_eq!(ours.success().stdout, theirs.stdout, "{name}");
    }
    let project = lab.project("FROM example.com/team/busybox\nRUN echo hello > /hello\n");
    lab.build(&project, &["-t", "app"]);
    lab.rbuild(&["pull", "example.com/team/secret/app"])
        .failure()
        .says("registries.conf blocks");

    // The named file stands in place of all others.
    let mut pull = lab.command(&["pull", "example.com/team/secret/app"]);
    pull.env("CONTAINERS_REGISTRIES_CONF", "/nonexistent.conf");
    Running::start(&mut pull)
        .wait()
        .failure()
        .says("/nonexistent.conf");
    // Only registries are concerned.
    write(&conf, "[[registry]]\nlocation = 7\n");
    lab.rbuild(&["images"]).success();
    lab.rbuild(&["pull", "busybox"]).failure().says("line 2");
}

#[test]
fn certificates_lie_where_docker_and_containerd_look_for_them() {
    if !require("openssl", "certificates") {
        return;
    }
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let certificates = TestCertificates::make(&lab.own_folder("tls")).expect("certificates");
    let setup = RegistrySetup {
        tls: Some(certificates.clone()),
        client_certificate: true,
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let host = registry.host();
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "a");
    let name = format!("{host}/mirror/me/app:1");
    lab.build(&project, &["-t", &name]);
    lab.rbuild(&["push", &name]).failure().says("certificate");

    let folder = lab.path("home/.config/docker/certs.d").join(&host);
    std::fs::create_dir_all(&folder).expect("a folder");
    for (from, to) in [
        (&certificates.ca, "ca.crt"),
        (&certificates.client_cert, "client.cert"),
        (&certificates.client_key, "client.key"),
    ] {
        std::fs::copy(from, folder.join(to)).expect("a file");
    }
    lab.rbuild(&["push", &name]).success();

    // containerd's: the same registry as a mirror of Docker Hub, on a path, by its other name.
    std::fs::remove_dir_all(&folder).expect("ours");
    write(
        &lab.path("home/.config/containerd/certs.d/docker.io/hosts.toml"),
        &format!(
            "[host.\"https://localhost:{}/v2/mirror\"]\noverride_path = true\n\
             capabilities = [\"pull\", \"resolve\"]\nca = {:?}\nclient = [[{:?}, {:?}]]\n",
            registry.port(),
            certificates.ca,
            certificates.client_cert,
            certificates.client_key
        ),
    );
    let inspect = ["imagetools", "inspect", "docker.io/me/app:1"];
    lab.rbuild(&inspect).success();
}
