//! Passwords, tokens, certificates, and where they must not go.

use std::sync::Arc;

use crate::common::{
    Always, Scene, client, client_with, config, impatient, password, pull_bytes, push_bytes,
    reference,
};
use rbuild_image::Platform;
use rbuild_registry::{
    Anonymous, Client, Credential, Fault as Cause, RegistryConfig, RegistryError,
};
use rbuild_testkit::{
    Fault, FaultProxy, PASSWORD, Registry, RegistrySetup, Rule, TestCertificates, TokenRules,
    USERNAME, require,
};

/// base64 of `rbuild:correct horse`.
const BASIC: &str = "cmJ1aWxkOmNvcnJlY3QgaG9yc2U=";

fn rules() -> TokenRules {
    TokenRules {
        basic: Some(BASIC.to_owned()),
        ..TokenRules::default()
    }
}

fn right() -> Client {
    client_with(RegistryConfig::default(), password(USERNAME, PASSWORD))
}

fn assert_a_wrong_password_is_told(scene: &Scene) {
    let client = client_with(RegistryConfig::default(), password(USERNAME, "hunter2"));
    let error = client.resolve(&scene.name()).expect_err("a wrong password");
    let text = error.to_string();
    assert!(
        text.contains("401 Unauthorized: incorrect username or password"),
        "{text}"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_registry_with_a_password_is_used() {
    let setup = RegistrySetup {
        password: true,
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let name = reference(&registry.host(), "a/b:1");
    push_bytes(&right(), &name, b"bytes").expect("an upload");

    for (client, what) in [
        (client(), "no password"),
        (
            client_with(RegistryConfig::default(), password(USERNAME, "hunter2")),
            "a wrong one",
        ),
    ] {
        let error = push_bytes(&client, &name, b"bytes").expect_err(what);
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert!(error.hint().expect("a hint").contains("rbuild login"));
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("Basic "),
            "{shown}"
        );
    }
}

#[test]
fn tokens_are_fetched_once_for_each_scope() {
    let Some(scene) = Scene::start(1000) else {
        return;
    };
    scene.proxy.require_tokens(rules());
    let client = right();
    let name = scene.name();
    let image = client
        .pull_manifest(&name, &Platform::host())
        .expect("a manifest");
    client
        .config(&name, image.manifest.config())
        .expect("a config");
    for layer in image.manifest.layers() {
        pull_bytes(&client, &name, layer).expect("a layer");
    }
    assert_eq!(scene.proxy.tokens_given(), 1);
    push_bytes(&client, &name, b"new").expect("an upload");
    assert_eq!(scene.proxy.tokens_given(), 2);
    let unauthorized = scene
        .proxy
        .requests()
        .iter()
        .filter(|request| request.header("authorization").is_none())
        .count();
    assert_eq!(
        unauthorized, 1,
        "one challenge; from then on tokens are asked for at once"
    );
}

#[test]
fn anonymous_tokens_and_identity_tokens_work() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene.proxy.require_tokens(TokenRules::default());
    client().resolve(&scene.name()).expect("for everyone");
    scene.proxy.require_tokens(TokenRules {
        identity_token: Some("refresh me".to_owned()),
        ..TokenRules::default()
    });
    scene.proxy.revoke_tokens();
    let identity = Arc::new(Always(Credential::IdentityToken("refresh me".to_owned())));
    let client = client_with(RegistryConfig::default(), identity);
    client
        .resolve(&scene.name())
        .expect("with an identity token");
}

#[test]
fn a_token_server_that_takes_passwords_in_forms_only_gets_one() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene.proxy.require_tokens(TokenRules {
        password_form: Some((USERNAME.to_owned(), PASSWORD.to_owned())),
        ..TokenRules::default()
    });
    right().resolve(&scene.name()).expect("with the password");
    assert_a_wrong_password_is_told(&scene);
}

#[test]
fn a_registry_that_says_only_at_its_door_what_it_wants_gets_it() {
    let setup = RegistrySetup {
        password: true,
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    proxy.inject(Rule::once("POST", "/blobs/", Fault::status(401)));
    let name = reference(&proxy.host(), "a:1");
    push_bytes(&right(), &name, b"x").expect("with the password");
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() {
    let Some(scene) = Scene::start(500_000) else {
        return;
    };
    scene.proxy.require_tokens(rules());
    let client = right();
    let name = scene.name();
    client.resolve(&name).expect("a manifest");
    scene.proxy.revoke_tokens();
    pull_bytes(&client, &name, &scene.layer()).expect("a layer");
    push_bytes(&client, &name, b"one").expect("an upload");
    scene.proxy.revoke_tokens();
    push_bytes(&client, &name, b"two").expect("an upload");
    assert_eq!(scene.proxy.tokens_given(), 4);
}

#[test]
fn a_token_server_that_says_no_is_believed() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene.proxy.require_tokens(rules());
    assert_a_wrong_password_is_told(&scene);
}

#[test]
fn mounting_asks_for_the_source_too() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene.proxy.require_tokens(rules());
    let target = reference(&scene.proxy.host(), "other:1");
    right()
        .mount_blob(&target, &scene.layout.layers[0], &scene.name())
        .expect("a mount");
    let token = scene
        .proxy
        .requests()
        .into_iter()
        .rfind(|request| request.path.starts_with("/token"));
    let path = token.expect("a token was asked for").path;
    assert!(path.contains("repository%3Aother%3Apull%2Cpush"), "{path}");
    assert!(
        path.contains("repository%3Alibrary%2Ftest%3Apull"),
        "{path}"
    );
}

#[test]
fn credentials_stay_with_their_host_when_blobs_are_elsewhere() {
    let Some(scene) = Scene::start(1000) else {
        return;
    };
    let storage = FaultProxy::in_front_of(&scene.registry.host()).expect("a proxy");
    scene.proxy.require_tokens(rules());
    let layer = scene.layer();
    let url = format!(
        "http://{}/v2/library/test/blobs/{}?signature=secret",
        storage.host(),
        layer.digest()
    );
    scene.proxy.inject(Rule::always(
        "GET",
        "/blobs/",
        Fault::status_with(307, "Location", &url),
    ));
    pull_bytes(&right(), &scene.name(), &layer).expect("a layer");
    let asked = storage.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn redirects_in_a_circle_end() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene.proxy.inject(Rule::always(
        "GET",
        "/manifests/",
        Fault::status_with(302, "Location", "/v2/library/test/manifests/latest"),
    ));
    let error = client()
        .resolve(&scene.name())
        .expect_err("a circle")
        .to_string();
    assert!(error.contains("too many redirects"), "{error}");
}

#[test]
fn https_needs_a_trusted_certificate() {
    if !require("openssl", "https_needs_a_trusted_certificate") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let certificates = TestCertificates::make(dir.path()).expect("certificates");
    let setup = RegistrySetup {
        tls: Some(certificates.clone()),
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let name = reference(&registry.host(), "a:1");
    let table = |line: &str| config(&format!("[registry.\"{}\"]\n{line}", registry.host()));

    let error = push_bytes(&client(), &name, b"x").expect_err("a stranger's certificate");
    assert!(
        matches!(
            &error,
            RegistryError::Unreachable {
                fault: Cause::Certificate,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().expect("a hint").contains("ca = [..]"));

    let trusting = table(&format!("ca = [{:?}]", certificates.ca));
    push_bytes(&client_with(trusting, Arc::new(Anonymous)), &name, b"x")
        .expect("a known authority");
    push_bytes(
        &client_with(table("insecure = true"), Arc::new(Anonymous)),
        &name,
        b"x",
    )
    .expect("anyone's");
    let mut options = impatient();
    options.web.root_certificates = vec![certificates.ca, "/nonexistent.pem".into()];
    let client = Client::with_options(RegistryConfig::default(), Arc::new(Anonymous), options);
    push_bytes(&client, &name, b"x").expect("an authority for all");

    let plain = client_with(table("http = true"), Arc::new(Anonymous));
    let error = push_bytes(&plain, &name, b"x").expect_err("it speaks HTTPS");
    assert!(
        error
            .hint()
            .expect("a hint")
            .contains("remove `http = true`"),
        "{error}"
    );
}

#[test]
fn a_server_may_show_the_very_certificate_that_is_trusted_as_openssl_makes_it() {
    if !require("openssl", "a certificate that is its own authority") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let certificates = TestCertificates::self_signed(dir.path()).expect("certificates");
    let setup = RegistrySetup {
        tls: Some(certificates.clone()),
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let name = reference(&registry.host(), "a:1");
    let table = format!(
        "[registry.\"{}\"]\nca = [{:?}]",
        registry.host(),
        certificates.ca
    );
    let trusting = client_with(config(&table), Arc::new(Anonymous));
    push_bytes(&trusting, &name, b"x").expect("that very certificate");
    let mut options = impatient();
    options.web.root_certificates = vec![certificates.ca];
    let trusting = Client::with_options(RegistryConfig::default(), Arc::new(Anonymous), options);
    push_bytes(&trusting, &name, b"x").expect("trusted for all");

    let error = push_bytes(&client(), &name, b"x").expect_err("trusted by nobody");
    assert!(
        error.to_string().contains("this very certificate"),
        "{error}"
    );
    assert!(error.hint().expect("a hint").contains("ca = [..]"));
}

#[test]
fn plain_http_is_not_spoken_where_https_is_demanded() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let name = reference(&registry.host(), "a:1");
    let strict = config(&format!("[registry.\"{}\"]\nhttp = false", registry.host()));
    let error = push_bytes(&client_with(strict, Arc::new(Anonymous)), &name, b"x")
        .expect_err("no TLS there");
    assert!(
        error.hint().expect("a hint").contains("set `http = true`"),
        "{error}"
    );
}

#[test]
fn a_client_certificate_is_shown_to_its_registry() {
    if !require("openssl", "a_client_certificate_is_shown_to_its_registry") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let certificates = TestCertificates::make(dir.path()).expect("certificates");
    let setup = RegistrySetup {
        tls: Some(certificates.clone()),
        client_certificate: true,
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let name = reference(&registry.host(), "a:1");
    let host = registry.host();
    let trusting = format!(
        "[registry.\"{host}\"]\nhttp = false\nca = [{:?}]\n",
        certificates.ca
    );
    let stranger = client_with(config(&trusting), Arc::new(Anonymous));
    push_bytes(&stranger, &name, b"x").expect_err("no client certificate");
    let known = format!(
        "{trusting}[[registry.\"{host}\".keypair]]\ncert = {:?}\nkey = {:?}\n",
        certificates.client_cert, certificates.client_key
    );
    let known = client_with(config(&known), Arc::new(Anonymous));
    push_bytes(&known, &name, b"x").expect("the authority's client");
}

#[test]
fn a_proxy_is_used_for_hosts_elsewhere_and_never_for_loopback() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let mut options = impatient();
    options.web.proxies.http = Some(format!("http://{}", scene.proxy.host()));
    options.web.proxies.no_proxy = Some("direct.invalid".to_owned());
    let table = config(
        "[registry.\"registry.invalid\"]\nhttp = true\n[registry.\"direct.invalid\"]\nhttp = true",
    );
    let client = Client::with_options(table, Arc::new(Anonymous), options);
    let name = |host: &str| reference(host, "library/test:latest");
    client
        .resolve(&name("registry.invalid"))
        .expect("through the proxy");
    assert_eq!(scene.proxy.requests().len(), 1);
    client
        .resolve(&name("direct.invalid"))
        .expect_err("no such host, and no proxy for it");
    client
        .resolve(&name(&scene.registry.host()))
        .expect("directly");
    assert_eq!(scene.proxy.requests().len(), 1);
}
