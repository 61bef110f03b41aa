//! Where a node is, as written in a source behind `serial:`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Rate of a port whose address names none, baud.
const DEFAULT_BAUD: u32 = 921_600;

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
                _ => return Err(format!("{baud:?} is no rate in baud")),
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
}
