//! Passwords, tokens, and where they must not go.

use std::sync::Arc;

use crate::common::{
    Always, Scene, client, client_with, password, pull_bytes, push_bytes, reference,
};
use rbuild_image::Platform;
use rbuild_registry::{Client, Credential, RegistryConfig, RegistryError};
use rbuild_testkit::{
    Fault, FaultProxy, PASSWORD, Registry, RegistrySetup, Rule, TokenRules, USERNAME,
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
