//! A room of PipeWire's: a server and its session manager that live in a folder of their own, and
//! that the daemon hears through PipeWire's ALSA plugin.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::binary::{PATIENCE, Process, fetched};
use crate::virtual_mic::{PLAYING, environment, missing, tool, write_alsa_conf};

/// The server's only sink, whose monitor is listened to.
const SINK: &str = "context.objects = [ { factory = adapter args = { factory.name = support.null-audio-sink \
                    node.name = room media.class = Audio/Sink audio.position = [ MONO ] object.linger = true } } ]\n";

/// A room that can be listened to: the ALSA device `pipewiremic`, which is handed samples a quantum
/// at a time.
pub struct PipeWire {
    dir: TempDir,
    quantum: u32,
    /// The last to be started comes first.
    servers: Vec<Child>,
}

impl PipeWire {
    /// Starts the server with a quantum of `quantum` frames at 48 kHz, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When a tool or PipeWire's ALSA plugin is missing, or the server does not come up.
    pub fn open(quantum: u32) -> Self {
        // In a package that cannot be installed together with PulseAudio.
        let plugin = fetched("EARWITNESS_PIPEWIRE_ALSA", "libasound_module_pcm_pipewire.so");
        assert!(plugin.exists(), "{} is missing: `make pipewire-alsa` brings it", plugin.display());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let conf = dir.path().join(".config/pipewire/pipewire.conf.d");
        fs::create_dir_all(&conf).expect("a folder for the configuration");
        fs::write(conf.join("room.conf"), SINK).expect("a configuration");
        let device = format!(
            "pcm_type.pipewire {{ lib \"{}\" }}\n\
             pcm.pipewiremic {{ type pipewire capture_node \"room\" hint {{ show on description \"room\" }} }}",
            plugin.display()
        );
        write_alsa_conf(dir.path(), &device);
        let mut room = PipeWire { dir, quantum, servers: Vec::new() };
        room.start();
        room
    }

    fn start(&mut self) {
        let run = self.dir.path().join("run");
        fs::create_dir(&run).expect("a folder for sockets");
        let bus = format!("unix:path={}", run.join("bus").display());
        self.start_server(
            "dbus-daemon",
            "dbus-daemon",
            &["--session", "--nofork", "--nosyslog", "--address", &bus],
            &bus,
        );
        self.wait_for("the bus", |_| run.join("bus").exists());
        self.start_server("pipewire", "pipewire", &[], &bus);
        self.wait_for("its socket", |_| run.join("pipewire-0").exists());
        self.start_server("wireplumber", "wireplumber", &[], &bus);
        self.wait_for("the sink", |room| room.links("--output").contains("room:monitor"));
        let quantum = self.quantum.to_string();
        let set = self.tool("pw-metadata").args(["-n", "settings", "0", "clock.force-quantum", &quantum]).output();
        let set = set.unwrap_or_else(|error| missing("pw-metadata", "pipewire-bin", &error));
        assert!(String::from_utf8_lossy(&set.stdout).contains(&quantum), "the quantum was not set: {set:?}");
    }

    fn start_server(&mut self, name: &str, package: &str, args: &[&str], bus: &str) {
        let mut command = self.tool(name);
        command.args(args).env("DBUS_SESSION_BUS_ADDRESS", bus);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().unwrap_or_else(|error| missing(name, package, &error));
        self.servers.insert(0, server);
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "PipeWire does not come up: no sign of {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn tool(&self, name: &str) -> Command {
        tool(self.dir.path(), name)
    }

    fn links(&self, which: &str) -> String {
        let output = self.tool("pw-link").arg(which).output();
        let output = output.unwrap_or_else(|error| missing("pw-link", "pipewire-bin", &error));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes `command` run in this room.
    pub fn configure(&self, command: &mut Command) {
        environment(self.dir.path(), command);
        // Not what goes into the sink, but what comes out of it.
        command.env("PIPEWIRE_ALSA", "{ stream.capture.sink = true }");
    }

    /// Whether anybody listens to the room.
    pub fn is_heard(&self) -> bool {
        self.links("--links").contains("<- room:monitor")
    }

    /// Plays a WAV file into the room, to its end.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn play(&self, wav: &Path) {
        let player = Process::try_start(self.tool("pw-play").args(["--target", "room"]).arg(wav));
        let output = player.unwrap_or_else(|error| missing("pw-play", "pipewire-bin", &error)).finish(PLAYING);
        assert!(output.status.success(), "pw-play {}: {output:#?}", wav.display());
    }

    /// Ends the server without a word to those who listen, and starts it again.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open).
    pub fn die_and_return(&mut self) {
        self.collapse();
        fs::remove_dir_all(self.dir.path().join("run")).expect("the folder for sockets");
        self.start();
    }

    fn collapse(&mut self) {
        for mut server in self.servers.drain(..) {
            // It may have ended already; then there is nothing to kill.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for PipeWire {
    fn drop(&mut self) {
        self.collapse();
    }
}
