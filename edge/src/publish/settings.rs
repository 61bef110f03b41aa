//! How to reach a broker, as validated settings: [`config`](crate::config) makes them from a file
//! and the command line. They exist in every build, because one without MQTT has to refuse them.

use std::path::PathBuf;

use super::address::BrokerUrl;

/// How to reach a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSettings {
    /// Where it is.
    pub url: BrokerUrl,
    /// How it knows this device.
    pub client_id: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Root certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key by which this device identifies itself.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// First part of all topics.
    pub topic: String,
    /// Seconds between two signs of life.
    pub keep_alive_s: u16,
    /// Seconds between two health messages; 0 for none.
    pub health_s: u32,
    /// First part of the topics on which this device announces itself to Home Assistant; `None`
    /// where it does not.
    pub home_assistant: Option<String>,
}
