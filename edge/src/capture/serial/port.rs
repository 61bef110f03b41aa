//! The line to a node: an address enters, bytes go both ways. Reads and writes end by themselves
//! after [`TIMEOUT`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::capture::Address;
use crate::error::{Error, Result};

/// How long a read or a write waits: as long as a frame lasts.
const TIMEOUT: Duration = Duration::from_millis(20);

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// An open line.
pub(super) enum Port {
    Device(Box<dyn serialport::SerialPort>),
    Tcp(TcpStream),
}

impl Port {
    /// Opens the line for this program only.
    ///
    /// # Errors
    ///
    /// Why it does not open, with its address.
    pub(super) fn open(address: &Address) -> Result<Self> {
        match address {
            Address::Device { path, baud } => serialport::new(path.to_string_lossy(), *baud)
                .timeout(TIMEOUT)
                .open()
                .map(Port::Device)
                .map_err(|error| Error::device(address.to_string(), error)),
            Address::Tcp { address: host } => {
                connect(host).map(Port::Tcp).map_err(|error| Error::device(address.to_string(), error))
            }
        }
    }

    /// Reads what has come; 0 if that is nothing.
    ///
    /// # Errors
    ///
    /// Why nothing will come any more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = match self {
            Port::Device(port) => port.read(buffer),
            Port::Tcp(stream) => stream.read(buffer),
        };
        match result {
            // Where something may still come, the time is up instead.
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the other end has closed the connection")),
            result => or_none(result),
        }
    }

    /// Writes what the line takes; 0 if that is nothing.
    ///
    /// # Errors
    ///
    /// Why nothing can be written any more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_none(match self {
            Port::Device(port) => port.write(bytes),
            Port::Tcp(stream) => stream.write(bytes),
        })
    }
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn or_none(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(0)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_quiet_line_is_no_error_and_a_closed_one_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp { address: listener.local_addr().unwrap().to_string() };
        let mut port = Port::open(&address).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        assert_eq!(port.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(port.write(b"abc").unwrap(), 3);
        let mut got = [0; 3];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"abc");
        drop(peer);
        assert!(port.read(&mut [0; 8]).unwrap_err().to_string().contains("closed"));
    }

    #[test]
    fn what_does_not_open_says_where_and_why() {
        let address: Address = "/nowhere/ttyACM0@9600".parse().unwrap();
        let error = Port::open(&address).err().unwrap().to_string();
        assert!(error.contains("/nowhere/ttyACM0@9600") && error.contains("No such file"), "{error}");
    }
}
