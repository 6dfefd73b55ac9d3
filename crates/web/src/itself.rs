//! Servers that show the very certificate that was given as trusted.
//!
//! `openssl req -x509` makes, unless told otherwise, a certificate that may sign others (`CA:TRUE`), and most private
//! registries have one of these, since Go's programs (docker, podman) take it. By the letter an authority's certificate
//! is no server's, and rustls refuses it. Here it is taken where it is, byte for byte, one that the user gave: it then
//! vouches for itself, and there is nothing to sign. Its dates and its names count as always.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// How webpki calls an authority's certificate that a server shows. It looks at the dates before.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Believes whom `inner` believes, and the servers that show one of `given` themselves.
#[derive(Debug)]
pub(crate) struct ItselfTrusted {
    pub(crate) inner: Arc<WebPkiServerVerifier>,
    pub(crate) given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ItselfTrusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match judged {
            Err(error) if is_authority(&error) && self.given.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether all that is wrong with a certificate is that it may sign others.
fn is_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.to_string() == CA_AS_SERVER
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::RootCertStore;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    // `openssl req -x509 -addext subjectAltName=DNS:registry.example.com`, from 2026 on for a hundred years.
    const OWN: &[u8] = include_bytes!("../testdata/own.pem");
    const OTHER: &[u8] = include_bytes!("../testdata/other.pem");
    const IN_2030: u64 = 1_893_456_000;
    const IN_2200: u64 = 7_258_118_400;
    const IN_2000: u64 = 946_684_800;

    fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).expect("a certificate")
    }

    /// What somebody who trusts [`OWN`] says to a server.
    fn judge(shown: &[u8], name: &str, seconds: u64) -> Result<(), String> {
        let own = certificate(OWN);
        let mut roots = RootCertStore::empty();
        roots.add(own.clone()).expect("a root");
        let provider = Arc::new(ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let verifier = ItselfTrusted {
            inner: inner.build().expect("a verifier"),
            given: vec![own],
        };
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let judged = verifier.verify_server_cert(&certificate(shown), &[], &name, &[], now);
        judged.map(drop).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn the_very_certificate_that_is_trusted_is_a_server_s() {
        judge(OWN, "registry.example.com", IN_2030).expect("it is itself trusted");
    }

    #[test]
    fn its_names_and_dates_count_as_always() {
        let refused = |name, seconds| judge(OWN, name, seconds).expect_err("refused");
        let elsewhere = refused("other.example.com", IN_2030);
        assert!(elsewhere.contains("NotValidForName"), "{elsewhere}");
        let late = refused("registry.example.com", IN_2200);
        assert!(late.contains("Expired"), "{late}");
        let early = refused("registry.example.com", IN_2000);
        assert!(early.contains("NotValidYet"), "{early}");
    }

    #[test]
    fn another_of_the_same_name_is_not() {
        let refused = judge(OTHER, "registry.example.com", IN_2030).expect_err("refused");
        assert!(refused.contains(CA_AS_SERVER), "{refused}");
    }
}
