//! A program at a terminal of 80 x 24: what is typed enters, the screen as it is seen leaves. The
//! terminal is that of `script` (package bsdutils).

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::binary::PATIENCE;

/// Size of the terminal.
pub const ROWS: u16 = 24;
/// See [`ROWS`].
pub const COLUMNS: u16 = 80;

/// A program at a terminal. Killed when dropped.
pub struct Terminal {
    child: Child,
    input: ChildStdin,
    screen: Arc<Mutex<vt100::Parser>>,
    all: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts `command` at a terminal.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn start(command: &Command) -> Self {
        let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"));
        let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).map(quote).collect();
        let line = format!("stty rows {ROWS} cols {COLUMNS}; exec {}", words.join(" "));
        let mut script = Command::new("script");
        // The exit status is the program's, and output comes at once.
        script.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            script.current_dir(dir);
        }
        script.env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = script.spawn().unwrap_or_else(|error| panic!("script: {error}: install the package bsdutils"));
        let input = child.stdin.take().expect("piped");
        let mut output = child.stdout.take().expect("piped");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let all: Arc<Mutex<Vec<u8>>> = Arc::default();
        let reader = thread::spawn({
            let (screen, all) = (Arc::clone(&screen), Arc::clone(&all));
            move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = output.read(&mut buffer) {
                    screen.lock().expect("no reader panics").process(&buffer[..n]);
                    all.lock().expect("no reader panics").extend_from_slice(&buffer[..n]);
                }
            }
        });
        Terminal { child, input, screen, all, reader }
    }

    /// Types keys.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    pub fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).and_then(|()| self.input.flush()).expect("somebody reads the keys");
    }

    /// What is on the screen, without colours.
    pub fn screen(&self) -> String {
        self.screen.lock().expect("no reader panics").screen().contents()
    }

    /// The background colours of a row of the screen.
    pub fn backgrounds(&self, row: u16) -> Vec<vt100::Color> {
        let parser = self.screen.lock().expect("no reader panics");
        (0..COLUMNS).filter_map(|column| Some(parser.screen().cell(row, column)?.bgcolor())).collect()
    }

    /// Everything that was ever written.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.all.lock().expect("no reader panics")).into_owned()
    }

    /// Waits until `condition` holds of the screen, and returns that screen.
    ///
    /// # Panics
    ///
    /// With `what` and the screen, when it does not come to hold.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if condition(&screen) {
                return screen;
            }
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "waited for: {what}; ended: {ended:?}; the screen:\n{screen}\nall of it:\n{}",
                self.written()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of the program, and until everything that it wrote has been read.
    ///
    /// # Panics
    ///
    /// When it goes on.
    pub fn finish(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.child.try_wait().expect("a child can be asked");
            if let Some(status) = status.filter(|_| self.reader.is_finished()) {
                return status;
            }
            assert!(Instant::now() < deadline, "still running; the screen:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
