//! The emulated board of `firmware-bridge/firmware`: builds its firmware, runs it under QEMU with
//! its serial port on a socket, and takes down its log. Needs the Debian package qemu-system-arm
//! and the Rust target thumbv7em-none-eabihf.

use std::env;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::binary::{PATIENCE, workspace};
use crate::broker::program;

/// A board that is running. Killed when dropped.
pub struct Board {
    child: Child,
    /// Puts the log into words.
    log_reader: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// Where a board's serial port leads.
pub enum Serial {
    /// QEMU connects to this address.
    Connect(SocketAddr),
    /// QEMU listens on this port, and runs on when its peer goes away.
    Listen(u16),
    /// Nowhere.
    None,
}

/// The node's program, built now if need be.
///
/// # Panics
///
/// When it cannot be built.
pub fn node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| build("mps2-an386", &["build", "--release", "--bin", "node"], "node"))
}

/// The tests that run on the board itself, built now if need be.
///
/// # Panics
///
/// When they cannot be built.
pub fn self_test() -> PathBuf {
    build("mps2-an386", &["test", "--release", "--no-run", "--test", "self_test"], "self_test")
}

fn log_program() -> &'static Path {
    static LOG: OnceLock<PathBuf> = OnceLock::new();
    LOG.get_or_init(|| build("log", &["build"], "board-log"))
}

/// Runs cargo in a folder of the firmware; returns the program `name` that it has built.
fn build(folder: &str, args: &[&str], name: &str) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace().join("firmware-bridge/firmware").join(folder))
        .env("CARGO_TARGET_DIR", target_dir())
        // Those of a host's build, such as a sanitizer's, mean nothing there.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{name} does not build: {}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = artifacts
        .filter(|artifact| artifact["target"]["name"] == name)
        .filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    programs.next().expect("cargo names the program it has built")
}

/// Beside the profiles of the running test.
fn target_dir() -> PathBuf {
    let test = env::current_exe().expect("the test knows its own file");
    // target/<profile>/deps/<test>
    test.ancestors().nth(3).expect("tests run from target/<profile>/deps").join("firmware")
}

impl Board {
    /// Starts `program`.
    ///
    /// # Panics
    ///
    /// When QEMU is not installed or does not start.
    pub fn start(program_file: &Path, serial: &Serial) -> Self {
        let log_program = log_program();
        let serial = match serial {
            Serial::Connect(address) => format!("tcp:{address},nodelay=on"),
            Serial::Listen(port) => format!("tcp:127.0.0.1:{port},nodelay=on,server=on,wait=off"),
            Serial::None => "none".to_string(),
        };
        let mut child = Command::new(program("qemu-system-arm", "qemu-system-arm"))
            .args(["-M", "mps2-an386", "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &serial])
            .arg("-kernel")
            .arg(program_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("QEMU starts");
        let mut log_reader = Command::new(log_program)
            .arg(program_file)
            .stdin(child.stdout.take().expect("piped"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the log's reader starts");
        let lines = BufReader::new(log_reader.stdout.take().expect("piped")).lines();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let reader = thread::spawn({
            let log = Arc::clone(&log);
            move || lines.map_while(Result::ok).for_each(|line| log.lock().expect("no reader panics").push(line))
        });
        Board { child, log_reader, log, reader: Some(reader) }
    }

    /// Starts `program` with its serial port at the other end of the stream returned.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start), and when QEMU does not connect.
    pub fn start_connected(program: &Path) -> (Self, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket can be set");
        let mut board = Self::start(program, &Serial::Connect(listener.local_addr().expect("it is bound")));
        let deadline = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a socket can be set");
                    stream.set_nodelay(true).expect("a socket can be set");
                    return (board, stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ended = board.child.try_wait().expect("a child can be asked");
                    assert!(ended.is_none() && Instant::now() < deadline, "QEMU does not connect: {ended:?}");
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("accept: {error}"),
            }
        }
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no reader panics").clone()
    }

    /// How many lines of its log so far hold `text`.
    pub fn n_logged(&self, text: &str) -> usize {
        self.log.lock().expect("no reader panics").iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for its end; returns how it ended and its log.
    ///
    /// # Panics
    ///
    /// With its log, when it runs on.
    pub fn finish(mut self) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                break status;
            }
            assert!(Instant::now() < deadline, "the board runs on: {:#?}", self.log());
            thread::sleep(Duration::from_millis(10));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        (status, self.log())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Ends by itself at the end of what it reads.
        let _ = self.log_reader.wait();
    }
}
