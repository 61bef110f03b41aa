//! Where the broker is and how to talk to it: validated settings enter, options of the MQTT library leave.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};
use crate::publish::MqttSettings;

/// Largest packet in either direction, bytes. The library's default of 10 KiB is close to what discovery messages need.
const MAX_PACKET: usize = 256 * 1024;

/// The library's options for `settings`, with `offline` on the status topic as the last will.
pub(super) fn options(settings: &MqttSettings, will_topic: String, will: &str) -> Result<MqttOptions> {
    let url = &settings.url;
    let mut options = MqttOptions::new(&settings.client_id, &url.host, url.port);
    options.set_clean_session(false);
    options.set_keep_alive(Duration::from_secs(u64::from(settings.keep_alive_s)));
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    options.set_last_will(LastWill::new(will_topic, will, QoS::AtLeastOnce, true));
    if let Some(user) = &settings.user {
        options.set_credentials(user, settings.password.as_deref().unwrap_or_default());
    }
    if url.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls(settings)?))));
    }
    Ok(options)
}

fn tls(settings: &MqttSettings) -> Result<ClientConfig> {
    let roots = match &settings.ca_file {
        Some(path) => private_roots(path)?,
        None => system_roots()?,
    };
    // Named here and not taken from the process: a default provider would need cmake and a C compiler for every target.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::usage("mqtt.url", error))?
        .with_root_certificates(roots);
    let Some((cert_file, key_file)) = &settings.client_cert else {
        return Ok(builder.with_no_client_auth());
    };
    let certificates = certificates("mqtt.cert_file", cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| file_error("mqtt.key_file", key_file, error))?;
    builder.with_client_auth_cert(certificates, key).map_err(|error| file_error("mqtt.cert_file", cert_file, error))
}

fn private_roots(path: &PathBuf) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("mqtt.ca_file", path)? {
        roots.add(certificate).map_err(|error| file_error("mqtt.ca_file", path, error))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason =
            "this system has no root certificates (package ca-certificates): name the broker's with mqtt.ca_file";
        return Err(Error::usage("mqtt.url", reason));
    }
    Ok(roots)
}

fn certificates(key: &str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file_error(key, path, error))?;
    if certificates.is_empty() {
        return Err(file_error(key, path, "no certificate in it"));
    }
    Ok(certificates)
}

fn file_error(key: &str, path: &Path, error: impl std::fmt::Display) -> Error {
    Error::usage(key, format!("{}: {error}", path.display()))
}
