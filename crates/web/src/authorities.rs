//! Whose certificates are believed, and which one we show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, parse_pem};

use crate::WebError;

/// The certificates of those of `files` that exist.
pub fn authorities(files: &[PathBuf]) -> Result<Vec<Certificate<'static>>, WebError> {
    let mut found = Vec::new();
    for path in files.iter().filter(|path| path.exists()) {
        found.extend(certificates(path)?);
    }
    Ok(found)
}

/// The public authorities, which are part of this program, and `extra`.
pub fn roots(extra: Vec<Certificate<'static>>) -> RootCerts {
    if extra.is_empty() {
        return RootCerts::WebPki;
    }
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| Certificate::from_der(der));
    RootCerts::Specific(Arc::new(public.chain(extra).collect()))
}

/// All certificates of a PEM file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, WebError> {
    let found: Vec<_> = read_pem(path)?
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(wrong(path, "no certificate in it"));
    }
    Ok(found)
}

/// A certificate to show, with its key.
pub fn identity(cert: &Path, key: &Path) -> Result<ClientCert, WebError> {
    let chain = certificates(cert)?;
    let private = read_pem(key)?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    let private = private.ok_or_else(|| wrong(key, "no private key in it"))?;
    Ok(ClientCert::new_with_certs(&chain, private))
}

fn read_pem(path: &Path) -> Result<Vec<PemItem<'static>>, WebError> {
    let bytes = std::fs::read(path).map_err(|source| WebError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse_pem(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(path, "not a PEM file"))
}

fn wrong(path: &Path, reason: &'static str) -> WebError {
    WebError::Pem {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_more_authorities_the_public_ones_count_and_a_missing_file_is_passed_over() {
        let missing = authorities(&["/nowhere/ca.pem".into()]).expect("passed over");
        assert!(matches!(roots(missing), RootCerts::WebPki));
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("empty.pem");
        std::fs::write(&path, "").expect("a file");
        let error = authorities(&[path]).expect_err("nothing in it").to_string();
        assert!(
            error.ends_with("empty.pem: no certificate in it"),
            "{error}"
        );
    }
}
