//! Which servers the connection trusts: certificates of files enter, a TLS configuration leaves.
//!
//! The certificates of `ca_file` are trusted in two ways: as authorities that sign others, and
//! **pinned**: a server that presents one of them is accepted, no matter what else the certificate
//! says. Servers at home have self-signed certificates, as the usual recipe makes them, which are
//! neither good authorities nor good servers' certificates by the book (RFC 5280), but say just
//! what is needed.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, Result};

/// A server, and how the configuration treats its certificate.
pub(super) struct Peer<'a> {
    /// What it is, in words: `broker`.
    pub(super) what: &'static str,
    /// The section of the configuration that names it: `mqtt`.
    pub(super) section: &'static str,
    /// Its name or address, without brackets.
    pub(super) host: String,
    /// Certificates to trust instead of the system's.
    pub(super) ca_file: Option<&'a Path>,
    /// Certificate and key by which this device identifies itself.
    pub(super) client_cert: Option<(&'a Path, &'a Path)>,
}

/// The certificate that a server has presented.
pub(super) type Presented = OnceLock<CertificateDer<'static>>;

/// The configuration for a connection to `peer`; what it presents is in `presented` then.
///
/// # Errors
///
/// For certificates and keys that cannot be used.
pub(super) fn config(peer: &Peer<'_>, presented: &Arc<Presented>) -> Result<ClientConfig> {
    // Named here and not taken from the process: a default provider would need cmake and a C
    // compiler for every target.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::usage(peer.key("url"), error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust::new(peer, provider, presented)?));
    let Some((cert_file, key_file)) = peer.client_cert else {
        return Ok(builder.with_no_client_auth());
    };
    let (cert_key, key_key) = (peer.key("cert_file"), peer.key("key_file"));
    let certificates = certificates(&cert_key, cert_file)?;
    let key = PrivateKeyDer::from_pem_slice(&text(&read(&key_key, key_file)?))
        .map_err(|error| file_error(&key_key, key_file, format!("no private key in it: {error}")))?;
    builder.with_client_auth_cert(certificates, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let reason = format!("the key in {} does not belong to this certificate", key_file.display());
            file_error(&cert_key, cert_file, reason)
        }
        error => file_error(&cert_key, cert_file, error),
    })
}

impl Peer<'_> {
    /// The dotted name of a key of its section.
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.section)
    }
}

/// Accepts pinned certificates and those that the authorities have signed for the broker's name.
#[derive(Debug)]
struct Trust {
    pinned: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
    /// The server's name as configured. A connection may have been made to one of its addresses.
    name: ServerName<'static>,
    /// What it is, and the key that names the pinned certificates, for the log.
    what: &'static str,
    ca_key: String,
    has_said: AtomicBool,
    presented: Arc<Presented>,
}

impl Trust {
    fn new(peer: &Peer<'_>, provider: Arc<CryptoProvider>, presented: &Arc<Presented>) -> Result<Self> {
        let ca_key = peer.key("ca_file");
        let (roots, pinned) = match peer.ca_file {
            Some(path) => {
                let certificates = certificates(&ca_key, path)?;
                let mut roots = RootCertStore::empty();
                for certificate in &certificates {
                    let refused = |error| file_error(&ca_key, path, format!("not a usable certificate: {error}"));
                    roots.add(certificate.clone()).map_err(refused)?;
                }
                (roots, certificates)
            }
            None => (system_roots(peer)?, Vec::new()),
        };
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::usage(&ca_key, error))?;
        let name = ServerName::try_from(peer.host.clone()).map_err(|error| Error::usage(peer.key("url"), error))?;
        let presented = Arc::clone(presented);
        Ok(Trust { pinned, authorities, name, what: peer.what, ca_key, has_said: AtomicBool::new(false), presented })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The first is as good as those of later connections.
        let _ = self.presented.set(end_entity.clone().into_owned());
        let verdict = self.authorities.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now);
        match verdict {
            Err(error) if self.pinned.iter().any(|pinned| pinned == end_entity) => {
                if !self.has_said.swap(true, Ordering::Relaxed) {
                    let Trust { what, ca_key, .. } = self;
                    let flaw = flaw(&error);
                    tracing::info!("the {what} shows the certificate of {ca_key} and is trusted, although {flaw}");
                }
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// What is not as it should be about a certificate that is pinned, in words.
fn flaw(error: &rustls::Error) -> String {
    use rustls::CertificateError as Flaw;
    let text = error.to_string();
    match error {
        rustls::Error::InvalidCertificate(Flaw::Expired | Flaw::ExpiredContext { .. }) => "it has expired".into(),
        rustls::Error::InvalidCertificate(Flaw::NotValidYet | Flaw::NotValidYetContext { .. }) => {
            "it is not valid yet".into()
        }
        rustls::Error::InvalidCertificate(Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) => {
            "it is for another name".into()
        }
        rustls::Error::InvalidCertificate(Flaw::UnknownIssuer | Flaw::BadSignature) => {
            "no authority has signed it".into()
        }
        _ if text.contains("CaUsedAsEndEntity") => "it is an authority's certificate (CA:TRUE)".into(),
        _ if text.contains("UnsupportedCertVersion") => "it is of X.509 version 1".into(),
        _ => format!("it is not valid otherwise ({text})"),
    }
}

fn system_roots(peer: &Peer<'_>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let (what, ca_key) = (peer.what, peer.key("ca_file"));
        let reason = format!(
            "this system has no root certificates (package ca-certificates): name the certificate of the {what} with {ca_key}"
        );
        return Err(Error::usage(peer.key("url"), reason));
    }
    Ok(roots)
}

/// The certificates of a file: PEM, with a byte order mark or without, or a single one as DER.
pub(super) fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(key, path)?;
    // A SEQUENCE with a length of two bytes, as every certificate of a practical size is.
    if bytes.starts_with(&[0x30, 0x82]) {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let text = text(&bytes);
    let contains = |words: &str| String::from_utf8_lossy(&text).contains(words);
    match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => return Ok(certificates),
        Err(error) if contains("-----BEGIN CERTIFICATE-----") => return Err(file_error(key, path, damaged(&error))),
        _ => {}
    }
    let reason = if contains("PRIVATE KEY-----") {
        "it holds a private key; the certificate is another file"
    } else if contains("CERTIFICATE REQUEST-----") {
        "it holds a request for a certificate; the certificate is what the authority made of it"
    } else {
        "no certificate in it: expected a PEM file, which has a line -----BEGIN CERTIFICATE-----, or DER"
    };
    Err(file_error(key, path, reason))
}

/// What is wrong with a PEM file. The library shows its lines as lists of bytes.
fn damaged(error: &pem::Error) -> String {
    let shown = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the file is cut short: the line -----END {}----- is missing", shown(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => format!("the line {:?} is damaged", shown(line)),
        error => format!("the file is damaged: {error}"),
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| file_error(key, path, error))
}

/// `bytes` as a text file's, without a byte order mark; UTF-16, as some editors write, becomes
/// UTF-8.
fn text(bytes: &[u8]) -> Vec<u8> {
    let utf16 = |read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units).into_bytes()
    };
    match bytes {
        [0xFF, 0xFE, ..] => utf16(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => utf16(u16::from_be_bytes),
        _ => bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).to_vec(),
    }
}

fn file_error(key: &str, path: &Path, error: impl std::fmt::Display) -> Error {
    Error::usage(key, format!("{}: {error}", path.display()))
}
