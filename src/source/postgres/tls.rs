//! How far the server's certificate is checked.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{DatabaseUrl, TlsMode};
use crate::error::{Error, Kind, Result};

/// What the driver hands a connection to. With [`TlsMode::Disable`] the driver never asks for it.
pub(super) fn connector(url: &DatabaseUrl) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Bug, "setting up TLS").because(error))?;
    let config = match url.tls {
        TlsMode::VerifyFull => builder
            .with_root_certificates(authorities(url)?)
            .with_no_client_auth(),
        TlsMode::RequireNoVerify => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
            .with_no_client_auth(),
        TlsMode::Disable => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// The certificate authorities of the given file, or the system's.
fn authorities(url: &DatabaseUrl) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match &url.tls_ca {
        Some(path) => {
            let doing = || format!("reading certificate authorities from `{}`", path.display());
            let failed = |error: rustls::pki_types::pem::Error| {
                Error::new(Kind::Config, doing()).because(error.to_string())
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                store
                    .add(certificate.map_err(failed)?)
                    .map_err(|error| Error::new(Kind::Config, doing()).because(error))?;
            }
            if store.is_empty() {
                return Err(Error::new(Kind::Config, doing())
                    .because("it holds no certificate")
                    .hint("give a PEM file"));
            }
        }
        // An empty store is told apart later, by the handshake that nobody can pass.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

/// Accepts every certificate: the traffic is encrypted, and the peer may be anybody.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
