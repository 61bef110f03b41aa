//! A network between a daemon and its broker that can fail without a word: bytes vanish, and
//! connections stay open.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes connections on to a port of this machine. Ends with the process.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    swallows: [Arc<AtomicBool>; 2],
    n_closed: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Starts to pass connections on to `target`.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let swallows: [Arc<AtomicBool>; 2] = Default::default();
        let shared = swallows.clone();
        let n_closed = Arc::new(AtomicUsize::new(0));
        let n_to_close = Arc::clone(&n_closed);
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&connections);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if n_to_close.load(Ordering::Relaxed) > 0 {
                    n_to_close.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                kept.lock().expect("no reader panics").extend(near.try_clone());
                for ((from, to), swallows) in [(&near, &far), (&far, &near)].into_iter().zip(&shared) {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let swallows = Arc::clone(swallows);
                    thread::spawn(move || pass(from, to, &swallows));
                }
            }
        });
        Proxy { port, swallows, n_closed, connections }
    }

    /// The next `n` connections are accepted and closed, as by a proxy whose target is not there
    /// yet.
    pub fn close_next(&self, n: usize) {
        self.n_closed.store(n, Ordering::Relaxed);
    }

    /// Ends all connections.
    ///
    /// # Panics
    ///
    /// When one of its threads has.
    pub fn cut(&self) {
        let connections = self.connections.lock().expect("no reader panics");
        connections.iter().for_each(|near| drop(near.shutdown(std::net::Shutdown::Both)));
    }

    /// From now on all bytes vanish, in both directions, or none any more. What has vanished stays
    /// so: connections of that time are of no use afterwards.
    pub fn swallow(&self, swallows: bool) {
        self.swallows.iter().for_each(|each| each.store(swallows, Ordering::Relaxed));
    }

    /// From now on all bytes to the target vanish. What the target has to say still arrives, such
    /// as its acknowledgements of earlier bytes.
    pub fn swallow_sent(&self) {
        self.swallows[0].store(true, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, swallows: &AtomicBool) {
    let mut buffer = [0; 4096];
    let mut torn = false;
    while let Ok(n) = from.read(&mut buffer) {
        torn |= swallows.load(Ordering::Relaxed);
        if n == 0 || (!torn && to.write_all(&buffer[..n]).is_err()) {
            break;
        }
    }
    // The end of a stream is passed on only where the network still works.
    if !torn {
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}
