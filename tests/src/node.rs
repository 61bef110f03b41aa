//! A microcontroller of the library on a socket of this machine: it plays sounds again and again at
//! the pace of time, and its line can be torn.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use firmware_bridge::frame::max_encoded_len;
use firmware_bridge::msg::{Encoding, Encodings};
use firmware_bridge::node::{self, Abilities, Timing};
use firmware_bridge::pace::Pace;

/// Samples at once, 10 ms of 24 kHz.
const BLOCK_LEN: usize = 240;

type Library = node::Node<'static, { max_encoded_len(2 * BLOCK_LEN) }>;

/// A node that listens until the process ends.
pub struct Node {
    /// Where it listens.
    pub port: u16,
    line: Arc<Mutex<Option<TcpStream>>>,
}

impl Node {
    /// Starts a node that plays `samples` at a rate.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn start(samples: Vec<i16>, rate_hz: u32) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let line: Arc<Mutex<Option<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&line);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *kept.lock().expect("no reader panics") = stream.try_clone().ok();
                play(stream, &samples, rate_hz);
            }
        });
        Node { port, line }
    }

    /// Tears the line; it listens for another one.
    ///
    /// # Panics
    ///
    /// When its thread has.
    pub fn tear(&self) {
        if let Some(line) = self.line.lock().expect("no reader panics").take() {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}

/// Plays until the line is torn.
fn play(stream: TcpStream, samples: &[i16], rate_hz: u32) {
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    let abilities = Abilities {
        name: "nook",
        rates_hz: [rate_hz, 0, 0, 0],
        n_channels: 1,
        encodings: Encodings::of(&[Encoding::Pcm16]),
        n_lamps: 1,
        features: None,
    };
    let mut node = Library::new(abilities, Timing::default(), Pace::unlimited());
    let (mut uart, begin) = (Uart(stream), Instant::now());
    for (n, block) in samples.chunks_exact(BLOCK_LEN).cycle().enumerate() {
        node.capture(block);
        let due = begin + Duration::from_secs_f64((n + 1) as f64 * BLOCK_LEN as f64 / f64::from(rate_hz));
        loop {
            if node.poll(begin.elapsed().as_millis() as u32, &mut uart, |_| {}).is_err() {
                return;
            }
            if Instant::now() >= due {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A socket as a microcontroller's port.
struct Uart(TcpStream);

impl embedded_io::ErrorType for Uart {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, embedded_io::ErrorKind> {
        match self.0.peek(&mut [0]) {
            Ok(0) => Err(embedded_io::ErrorKind::BrokenPipe),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(embedded_io::ErrorKind::Other),
        }
    }
}

impl embedded_io::Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.0.read(buffer).map_err(|_| embedded_io::ErrorKind::Other)
    }
}

impl embedded_io::WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, embedded_io::ErrorKind> {
        Ok(true)
    }
}

impl embedded_io::Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, embedded_io::ErrorKind> {
        match self.0.write(bytes) {
            // As a wire does: what nobody takes is lost.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(bytes.len()),
            written => written.map_err(|_| embedded_io::ErrorKind::Other),
        }
    }

    fn flush(&mut self) -> Result<(), embedded_io::ErrorKind> {
        Ok(())
    }
}
