//! Connections: certificates of both sides, and proxies.

use std::sync::Arc;

use crate::common::{Scene, client, client_with, config, impatient, push_bytes, reference};
use rbuild_registry::{Anonymous, Client, Fault as Cause, RegistryConfig, RegistryError};
use rbuild_testkit::{Registry, RegistrySetup, TestCertificates, require};

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
