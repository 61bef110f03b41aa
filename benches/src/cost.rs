//! What the daemon costs while it listens to simulated microphones: numbers of streams and of
//! viewers of the page enter, processor time and resident memory leave.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::microphone;

/// Longer than the daemon's buffers, so that all of their memory has been touched.
const WARM_UP: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(40);
/// The kernel's unit of processor time (`sysconf(_SC_CLK_TCK)`), the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// What the daemon took while it listened.
pub struct Cost {
    /// Percent of one core.
    pub cpu_percent: f64,
    /// Resident memory at the end, in megabytes.
    pub rss_mb: f64,
    /// Lines of the daemon's log that are not for information.
    pub warnings: Vec<String>,
}

/// Runs the daemon on `n_streams` FIFOs, each of which is fed `raw` at the pace of real time. With
/// a number of viewers it serves the page, and that many live views are open.
///
/// # Errors
///
/// If the daemon does not start, or a viewer cannot connect to it.
pub fn measure(n_streams: usize, viewers: Option<usize>, raw: &Arc<Vec<u8>>) -> io::Result<Cost> {
    let dir = tempfile::tempdir()?;
    let fifos = microphone::make(dir.path(), n_streams)?;
    let log = dir.path().join("log");
    // A port that is free now.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let page = viewers.map_or(String::new(), |_| format!("[web]\nlisten = \"{address}\"\n"));
    let daemon = microphone::start(dir.path(), &fifos, &page, Stdio::null(), File::create(&log)?.into())?;
    let id = daemon.0.id();
    let begin = Instant::now();
    for fifo in fifos {
        let raw = Arc::clone(raw);
        // Ends with the daemon, which is the reader of the FIFO.
        thread::spawn(move || microphone::feed(&fifo, &raw, begin));
    }
    for _ in 0..viewers.unwrap_or(0) {
        let mut view = connect(address, begin)?;
        view.write_all(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        // Ends with the daemon, too.
        thread::spawn(move || {
            let mut messages = [0; 16_384];
            while view.read(&mut messages).is_ok_and(|n| n > 0) {}
        });
    }
    thread::sleep(WARM_UP.saturating_sub(begin.elapsed()));
    let (begin, used) = (Instant::now(), cpu_s(id)?);
    thread::sleep(MEASURED);
    let (elapsed_s, used) = (begin.elapsed().as_secs_f64(), cpu_s(id)? - used);
    let rss_mb = rss_mb(id)?;
    drop(daemon);
    let log = fs::read_to_string(&log)?;
    let warnings = log.lines().filter(|line| !line.contains(" INFO ")).map(str::to_owned).collect();
    Ok(Cost { cpu_percent: 100.0 * used / elapsed_s, rss_mb, warnings })
}

/// Connects to the page as soon as it is served.
fn connect(address: SocketAddr, begin: Instant) -> io::Result<TcpStream> {
    loop {
        match TcpStream::connect(address) {
            Err(_) if begin.elapsed() < WARM_UP => thread::sleep(Duration::from_millis(50)),
            connected => return connected,
        }
    }
}

/// Processor time that a process has used in all its threads, in seconds.
fn cpu_s(id: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in brackets, may have spaces in it. utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().skip(11).take(2));
    let ticks = fields.into_iter().flatten().map(str::parse::<f64>).sum::<Result<f64, _>>();
    Ok(ticks.map_err(io::Error::other)? / TICKS_PER_S)
}

/// Resident memory of a process now.
fn rss_mb(id: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    let kib: f64 = kib.ok_or_else(|| io::Error::other("no VmRSS in the status of the daemon"))?;
    Ok(kib * 1024.0 / 1e6)
}
