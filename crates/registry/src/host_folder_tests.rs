use super::*;

fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

fn read(dir: &tempfile::TempDir, host: &str) -> HostFolder {
    HostFolder::read(&[dir.path().to_owned()], host).expect("a folder")
}

#[test]
fn dockers_certificates_are_found_by_their_names() {
    let dir = place(&[
        ("a.io:5000/ca.crt", ""),
        ("a.io:5000/client.cert", ""),
        ("a.io:5000/client.key", ""),
        ("b.io/only.cert", ""),
    ]);
    let found = read(&dir, "a.io:5000").certificates;
    let folder = dir.path().join("a.io:5000");
    assert_eq!(found.ca, [folder.join("ca.crt")]);
    let keypair = found.keypair.expect("a client");
    assert_eq!(keypair.cert, folder.join("client.cert"));
    assert_eq!(keypair.key, folder.join("client.key"));
    assert_eq!(read(&dir, "a.io"), HostFolder::default());
    let error = HostFolder::read(&[dir.path().to_owned()], "b.io").expect_err("no key");
    assert!(error.to_string().contains("only.key is missing"), "{error}");
}

#[test]
fn containerds_hosts_are_asked_in_the_order_of_the_file() {
    let dir = place(&[(
        "docker.io/hosts.toml",
        r#"
        server = "https://registry-1.docker.io"
        [host."https://z.example.com/proxy"]
        capabilities = ["pull", "resolve"]
        ca = "z.crt"
        [host."http://a.example.com:5000/v2/hub"]
        override_path = true
        skip_verify = true
        client = [["c.pem", "c.key"]]
        [host."http://a.example.com:5000/v2/hub".header]
        x-one = "1"
        x-two = ["2", "3"]
        [host."https://only-pushes.example.com"]
        capabilities = ["push"]
        "#,
    )]);
    let found = read(&dir, "docker.io");
    let server = found.server.expect("the registry itself");
    assert_eq!(server.host, "registry-1.docker.io");
    let [z, a] = found.hosts.as_slice() else {
        panic!("{:?}", found.hosts);
    };
    assert_eq!(
        (z.host.as_str(), z.root.as_str()),
        ("z.example.com", "/proxy")
    );
    assert_eq!(z.certificates.ca, [dir.path().join("docker.io/z.crt")]);
    assert_eq!(
        (a.host.as_str(), a.root.as_str()),
        ("a.example.com:5000", "")
    );
    assert_eq!(
        (a.path.as_str(), a.is_http, a.insecure),
        ("hub", true, true)
    );
    assert_eq!(a.headers.len(), 3);
    assert!(a.certificates.keypair.is_some());
}

#[test]
fn what_is_said_of_the_registry_itself_makes_no_mirror() {
    let dir = place(&[(
        "a.io_5000_/hosts.toml",
        "[host.\"https://a.io:5000\"]\nca = [\"/ca.pem\"]\n",
    )]);
    let found = read(&dir, "a.io:5000");
    assert_eq!(found.hosts, []);
    let server = found.server.expect("the registry itself");
    assert_eq!(server.certificates.ca, [PathBuf::from("/ca.pem")]);
}

#[test]
fn hosts_without_a_folder_have_the_default() {
    let dir = place(&[
        (
            "_default/hosts.toml",
            "[host.\"https://cache.example.com\"]\n",
        ),
        ("own.io/ca.crt", ""),
    ]);
    assert_eq!(read(&dir, "any.io").hosts.len(), 1);
    assert_eq!(read(&dir, "own.io").hosts, []);
}

#[test]
fn a_mistake_is_told_with_its_file() {
    let dir = place(&[("a.io/hosts.toml", "server = 7\n")]);
    let error = HostFolder::read(&[dir.path().to_owned()], "a.io").expect_err("a mistake");
    let text = error.to_string();
    assert!(
        text.contains("a.io/hosts.toml") && text.contains("line 1"),
        "{text}"
    );
}
