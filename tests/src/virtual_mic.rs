//! Microphones without hardware: sound servers and ALSA configurations that live in a folder of
//! their own.
//!
//! A missing tool is a failure that names the Debian package, never a test that did not happen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::binary::{PATIENCE, Process, make_fifo};

/// The system's ALSA configuration, which knows the plugins.
const ALSA_CONF: &str = "/usr/share/alsa/alsa.conf";

/// Where programs look for the sound of the user's own session.
const SESSION: [&str; 10] = [
    "PULSE_SERVER",
    "PULSE_RUNTIME_PATH",
    "PULSE_COOKIE",
    "PIPEWIRE_REMOTE",
    "PIPEWIRE_RUNTIME_DIR",
    "PIPEWIRE_CONFIG_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
];

/// No test plays for longer.
pub(crate) const PLAYING: Duration = Duration::from_secs(300);

/// A room that can be listened to: a PulseAudio server whose only sink's monitor is the ALSA device
/// `pulsemic`.
///
/// Samples come at the pace of real time.
pub struct Room {
    dir: TempDir,
    server: Child,
}

impl Room {
    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// When a tool is missing or the server does not come up.
    pub fn open() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("run")).expect("a folder for sockets");
        write_alsa_conf(
            dir.path(),
            r#"pcm.pulsemic { type pulse device "room.monitor" hint { show on description "room" } }"#,
        );
        let server = start_server(dir.path());
        Room { dir, server }
    }

    /// From now on, clients of the server are sent sound through its socket.
    ///
    /// # Panics
    ///
    /// When their configuration cannot be written.
    pub fn share_no_memory(&self) {
        let folder = self.dir.path().join(".config/pulse");
        fs::create_dir_all(&folder).expect("a folder for the configuration");
        fs::write(folder.join("client.conf"), "enable-shm = no\n").expect("a configuration");
    }

    /// Starts the server again after it has [collapsed](Self::collapse).
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open).
    pub fn reopen(&mut self) {
        // What a server that was killed leaves behind.
        fs::remove_dir_all(self.dir.path().join("run")).expect("the folder for sockets");
        fs::create_dir(self.dir.path().join("run")).expect("a folder for sockets");
        self.server = start_server(self.dir.path());
    }

    /// Makes `command` run in this room.
    pub fn configure(&self, command: &mut Command) {
        environment(self.dir.path(), command);
    }

    /// Whether anybody listens to the room.
    pub fn is_heard(&self) -> bool {
        self.n_listeners() > 0
    }

    /// How many streams listen to the room.
    pub fn n_listeners(&self) -> usize {
        list(self.dir.path(), "source-outputs").lines().count()
    }

    /// Plays a WAV file into the room, to its end.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn play(&self, wav: &Path) {
        let output = self.start_playing(wav).finish(PLAYING);
        assert!(output.status.success(), "paplay {}: {output:#?}", wav.display());
    }

    /// Begins to play a WAV file into the room.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn start_playing(&self, wav: &Path) -> Process {
        let mut command = tool(self.dir.path(), "paplay");
        Process::try_start(command.arg("--device=room").arg(wav))
            .unwrap_or_else(|error| missing("paplay", "pulseaudio-utils", &error))
    }

    /// Ends the server without a word to those who listen.
    pub fn collapse(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn start_server(dir: &Path) -> Child {
    let mut command = tool(dir, "pulseaudio");
    command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]);
    command.args(["-L", "module-native-protocol-unix"]);
    command.args(["-L", "module-null-sink sink_name=room rate=48000"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap_or_else(|error| missing("pulseaudio", "pulseaudio", &error));
    let deadline = Instant::now() + PATIENCE;
    while !list(dir, "sources").contains("room.monitor") {
        if let Ok(Some(status)) = server.try_wait() {
            panic!("pulseaudio ended before it answered: {status}");
        }
        assert!(Instant::now() < deadline, "pulseaudio does not answer");
        thread::sleep(Duration::from_millis(50));
    }
    server
}

fn list(dir: &Path, what: &str) -> String {
    let output = tool(dir, "pactl").args(["list", "short", what]).output();
    let output = output.unwrap_or_else(|error| missing("pactl", "pulseaudio-utils", &error));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Drop for Room {
    fn drop(&mut self) {
        self.collapse();
    }
}

/// An ALSA configuration without a sound server.
pub struct AlsaConfig {
    dir: TempDir,
}

impl AlsaConfig {
    /// A machine without any capture device.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    pub fn without_devices() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(conf(dir.path()), "# no devices\n").expect("an ALSA configuration");
        AlsaConfig { dir }
    }

    /// The device `virtmic`, which gives `samples` over and over, unscaled and as fast as they are
    /// read.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    pub fn unpaced(samples: &[f32]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let raw = dir.path().join("room.raw");
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(&raw, bytes).expect("a raw recording");
        // The file plugin ignores formats: it hands out the bytes of the file for whatever was
        // asked for. So say which.
        let device = format!(
            r#"pcm.virtmic {{
    type plug
    slave {{
        pcm {{ type file slave.pcm null file /dev/null infile "{}" format raw }}
        format FLOAT_LE
        channels 1
        rate 48000
    }}
    hint {{ show on description "virtual microphone" }}
}}"#,
            raw.display()
        );
        write_alsa_conf(dir.path(), &device);
        AlsaConfig { dir }
    }

    /// The device `virtmic`, whose driver never comes back from opening it.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    pub fn hanging() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        // Nobody writes into it, and ALSA waits for one who does.
        let fifo = dir.path().join("fifo");
        make_fifo(&fifo);
        let device = format!(
            r#"pcm.virtmic {{ type file slave.pcm null file /dev/null infile "{}" format raw hint {{ show on description "virtual microphone" }} }}"#,
            fifo.display()
        );
        write_alsa_conf(dir.path(), &device);
        AlsaConfig { dir }
    }

    /// Makes `command` see these devices and no others.
    pub fn configure(&self, command: &mut Command) {
        environment(self.dir.path(), command);
    }
}

pub(crate) fn write_alsa_conf(dir: &Path, device: &str) {
    assert!(Path::new(ALSA_CONF).exists(), "{ALSA_CONF} is missing: install the package libasound2-data");
    fs::write(conf(dir), format!("<{ALSA_CONF}>\n{device}\n")).expect("an ALSA configuration");
}

fn conf(dir: &Path) -> PathBuf {
    dir.join("asound.conf")
}

/// Sets aside whatever sound the user's own session has.
pub(crate) fn environment(dir: &Path, command: &mut Command) {
    command.env("ALSA_CONFIG_PATH", conf(dir)).env("HOME", dir).env("XDG_RUNTIME_DIR", dir.join("run"));
    for name in SESSION {
        command.env_remove(name);
    }
}

pub(crate) fn tool(dir: &Path, name: &str) -> Command {
    let mut command = Command::new(name);
    environment(dir, &mut command);
    command
}

pub(crate) fn missing(tool: &str, package: &str, error: &std::io::Error) -> ! {
    panic!("{tool} does not start ({error}): install the package {package}")
}
