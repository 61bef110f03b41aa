//! How to talk to a broker: validated settings enter, options of the MQTT library leave.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;

use crate::error::Result;
use crate::publish::MqttSettings;
use crate::publish::tls::{self, Peer};

/// Largest packet in either direction, bytes. The library's default of 10 KiB is close to what
/// discovery messages need.
const MAX_PACKET: usize = 256 * 1024;

/// What every attempt to connect has in common.
pub(super) struct ConnectOptions {
    settings: MqttSettings,
    tls: Option<Arc<ClientConfig>>,
    will_topic: String,
    will: &'static str,
}

impl ConnectOptions {
    /// For `settings`, with `will` on the status topic as the last will.
    ///
    /// # Errors
    ///
    /// For certificates that cannot be read.
    pub(super) fn new(settings: &MqttSettings, will_topic: String, will: &'static str) -> Result<Self> {
        let tls = if settings.url.tls { Some(Arc::new(tls::config(&peer(settings), &Arc::default())?)) } else { None };
        Ok(ConnectOptions { settings: settings.clone(), tls, will_topic, will })
    }

    /// The library's options for a connection to `target`, a name or an address without brackets. A
    /// broker that keeps no messages takes no last will that is to be kept.
    pub(super) fn to(&self, target: &str, keep_will: bool) -> MqttOptions {
        let mut options = login(&self.settings, self.tls.as_ref(), target);
        options.set_clean_session(false);
        options.set_last_will(LastWill::new(&self.will_topic, self.will, QoS::AtLeastOnce, keep_will));
        options
    }
}

/// The library's options for a connection to `target` that leaves nothing behind.
pub(super) fn login(settings: &MqttSettings, tls: Option<&Arc<ClientConfig>>, target: &str) -> MqttOptions {
    let mut options = MqttOptions::new(&settings.client_id, target, settings.url.port);
    options.set_keep_alive(Duration::from_secs(u64::from(settings.keep_alive_s)));
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    if let Some(user) = &settings.user {
        options.set_credentials(user, settings.password.as_deref().unwrap_or_default());
    }
    if let Some(tls) = tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(tls))));
    }
    options
}

/// The broker's certificate and this device's according to `settings`.
pub(super) fn peer(settings: &MqttSettings) -> Peer<'_> {
    Peer {
        what: "broker",
        section: "mqtt",
        host: settings.url.host.bare(),
        ca_file: settings.ca_file.as_deref(),
        client_cert: settings.client_cert.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path())),
    }
}
