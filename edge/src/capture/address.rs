//! Where a node is and what it is to send, as written in a source after `serial:`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Rate of a port whose address names none, baud.
const DEFAULT_BAUD: u32 = 921_600;

/// A node as a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Where it is.
    pub address: Address,
    /// How its sound is to travel; `None` for the best that it has, of those that are sound.
    pub encoding: Option<NodeEncoding>,
    /// Sound fainter than this many decibels below full scale need not be sent; 0: all is wanted.
    pub gate_db: u8,
}

/// How a node's sound travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeEncoding {
    /// 16-bit samples.
    Pcm,
    /// 8-bit mu-law.
    MuLaw,
    /// IMA ADPCM, half a byte per sample.
    Adpcm,
    /// Log-mel frames, which the node computes: no sound leaves it.
    Features,
}

impl NodeEncoding {
    /// The names of all of them, for messages.
    pub(super) const ALL: [Self; 4] = [Self::Pcm, Self::MuLaw, Self::Adpcm, Self::Features];

    /// As it is written in a source.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcm => "pcm",
            Self::MuLaw => "mulaw",
            Self::Adpcm => "adpcm",
            Self::Features => "features",
        }
    }
}

impl From<Address> for NodeSpec {
    /// The node at `address`, with the best encoding that it offers.
    fn from(address: Address) -> Self {
        NodeSpec { address, encoding: None, gate_db: 0 }
    }
}

impl FromStr for NodeSpec {
    type Err = String;

    /// An [`Address`], and after a question mark, joined by `&`,
    /// `encoding=pcm|mulaw|adpcm|features` and `gate=DECIBELS`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, options) = text.split_once('?').unwrap_or((text, ""));
        let mut spec = NodeSpec::from(address.parse::<Address>()?);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("encoding", name)) => {
                    let encoding = NodeEncoding::ALL.into_iter().find(|encoding| encoding.name() == name);
                    let names = NodeEncoding::ALL.map(NodeEncoding::name).join(", ");
                    spec.encoding = Some(encoding.ok_or(format!("encoding {name:?} is not one of {names}"))?);
                }
                Some(("gate", level)) => match level.parse() {
                    Ok(gate_db @ 1..) => spec.gate_db = gate_db,
                    _ => return Err(format!("gate {level:?} is not a level from 1 to 255 dB below full scale")),
                },
                _ => return Err(format!("{option:?} is neither encoding=NAME nor gate=DECIBELS")),
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for NodeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = self.encoding.map(|encoding| format!("encoding={}", encoding.name()));
        let gate = (self.gate_db > 0).then(|| format!("gate={}", self.gate_db));
        let options: Vec<String> = encoding.into_iter().chain(gate).collect();
        match options.is_empty() {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}?{}", self.address, options.join("&")),
        }
    }
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A serial port of this machine.
    Device {
        /// `/dev/ttyACM0`.
        path: PathBuf,
        /// Rate of the line; ports over USB ignore it.
        baud: u32,
    },
    /// A socket at whose other end a serial port is, such as a bridge's or an emulator's.
    Tcp {
        /// `host:port`.
        address: String,
    },
}

impl FromStr for Address {
    type Err = String;

    /// `PATH`, `PATH@BAUD` or `tcp://HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("tcp://") {
            let is_whole =
                address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            return match is_whole {
                true => Ok(Address::Tcp { address: address.to_string() }),
                false => Err(format!("{text:?} is not tcp://HOST:PORT")),
            };
        }
        let (path, baud) = match text.rsplit_once('@') {
            None => (text, DEFAULT_BAUD),
            Some((path, baud)) => match baud.parse() {
                Ok(baud @ 1..) => (path, baud),
                _ => return Err(format!("{baud:?} is not a baud rate, such as 115200")),
            },
        };
        match path {
            "" => Err("needs a path, as in serial:/dev/ttyACM0".to_string()),
            path => Ok(Address::Device { path: path.into(), baud }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Device { path, baud } => write!(f, "{}@{baud}", path.display()),
            Address::Tcp { address } => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in
            ["/dev/ttyACM0@921600", "COM3@115200", "/dev/serial/by-id/usb-a@b@9600", "tcp://[::1]:4000", "tcp://nook:1"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("/dev/ttyACM0".parse::<Address>().unwrap().to_string(), "/dev/ttyACM0@921600");
        for (text, reason) in
            [("", "path"), ("@9600", "path"), ("/dev/x@fast", "\"fast\""), ("/dev/x@0", "baud"), ("tcp://nook", "HOST")]
        {
            assert!(text.parse::<Address>().unwrap_err().contains(reason), "{text}");
        }
    }

    #[test]
    fn what_a_node_is_to_send_is_read_and_written_alike() {
        for text in [
            "/dev/ttyACM0@921600",
            "/dev/ttyACM0@115200?encoding=features",
            "tcp://nook:1?encoding=adpcm&gate=50",
            "COM3@9600?gate=1",
        ] {
            assert_eq!(text.parse::<NodeSpec>().unwrap().to_string(), text);
        }
        let spec: NodeSpec = "/dev/x?gate=40&encoding=mulaw".parse().unwrap();
        assert_eq!((spec.encoding, spec.gate_db), (Some(NodeEncoding::MuLaw), 40));
        for (text, reason) in [
            ("/dev/x?encoding=mp3", "encoding \"mp3\" is not one of pcm, mulaw, adpcm, features"),
            ("/dev/x?gate=-50", "gate \"-50\" is not a level from 1 to 255"),
            ("/dev/x?gate=0", "gate \"0\""),
            ("/dev/x?loud", "\"loud\" is neither encoding=NAME nor gate=DECIBELS"),
            ("?gate=3", "path"),
        ] {
            assert!(text.parse::<NodeSpec>().unwrap_err().contains(reason), "{text}");
        }
    }
}
