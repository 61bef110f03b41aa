//! Claim: a microphone is heard through the sound servers that homes have, whatever those hand over
//! at once and however often they die. Real servers, the real binary.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::broker::free_port;
use tests::daemon;
use tests::heard::{Event, alike, events, relative};
use tests::pipewire::PipeWire;
use tests::tiny::{self, Sound};
use tests::virtual_mic::Room;

/// A lost thirtieth would shorten the tone by more than a pulse.
const SOUNDS: &[(Sound, f64)] =
    &[(Sound::Silence, 0.5), (Sound::Tone, 3.0), (Sound::Silence, 1.0), (Sound::Noise, 1.0), (Sound::Silence, 1.0)];

/// The recording is played until it was heard whole, because a busy machine may lose samples of its
/// own, but not every time.
const MAX_PLAYINGS: usize = 10;

/// So long after the end of a playing its last event comes at the latest, if it comes at all.
const AFTER_PLAYING: Duration = Duration::from_secs(10);

/// The tasks that the unit of systemd allows.
const MAX_THREADS: usize = 64;

/// What a capture device holds at most while it is open, and keeps if it does not close.
const PER_DEVICE: (usize, usize) = (4, 10);

/// After six devices that did not close no other is opened; one more may be closing then.
const MAX_ABANDONED: usize = 7;

/// Each may cost both sources a device.
const N_DEATHS: usize = 4;

fn run(source: &str) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.arg("run").arg("--model").arg(tiny::model()).args(["--source", source]).env("EARWITNESS_LOG", "info");
    command
}

fn start_in(room: &PipeWire) -> Process {
    let mut command = run("mic");
    room.configure(command.args(["--device", "pipewiremic"]));
    let mut daemon = Process::start(&mut command);
    wait_until_heard(&mut daemon, room);
    daemon
}

/// The threads and descriptors that the daemon holds once it takes no more.
fn settled(daemon: &Process) -> (usize, usize) {
    let mut before = (0, 0);
    loop {
        let holds = daemon.holds();
        if holds == before {
            return holds;
        }
        before = holds;
        thread::sleep(Duration::from_secs(1));
    }
}

fn wait_until_heard(daemon: &mut Process, room: &PipeWire) {
    daemon.wait_until("the daemon listens to the room", PATIENCE, |_| {
        // To ask is to start a program, which need not be done all the time.
        thread::sleep(Duration::from_millis(100));
        room.is_heard()
    });
}

/// What the daemon finds in the file `wav`.
fn found_in_file(wav: &Path) -> Vec<Event> {
    let output = Process::start(run(&format!("file:{}", wav.display())).arg("--fast")).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    relative(events(&output.stdout))
}

/// The daemon begins with blocks of 20 ms, of which its ring holds two. A quantum that is longer
/// loses samples at every turn, until blocks of `block_ms` are asked for.
fn assert_quantum_is_heard(quantum: u32, block_ms: u32) {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("sounds.wav");
    tiny::write_wav(&wav, SOUNDS);
    let found = found_in_file(&wav);
    assert_eq!(found.len(), 2, "{found:#?}");

    let room = PipeWire::open(quantum);
    let mut daemon = start_in(&room);
    let asks = format!("samples went missing; asking for blocks of {block_ms} ms");
    daemon.wait_until("a longer block is asked for", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains(&asks))
    });
    let mut heard = Vec::new();
    for _ in 0..MAX_PLAYINGS {
        wait_until_heard(&mut daemon, &room);
        let n_before = daemon.stdout().len();
        room.play(&wav);
        // The server holds some quanta; then the last sound passes through the network's context.
        let deadline = Instant::now() + AFTER_PLAYING;
        daemon.wait_until("open events end", PATIENCE, |daemon| {
            let n = daemon.stdout().len() - n_before;
            n == 2 * found.len() || Instant::now() >= deadline && n.is_multiple_of(2)
        });
        heard = relative(events(&daemon.stdout()[n_before..]));
        if alike(&heard, &found) {
            return;
        }
    }
    panic!("at last {heard:#?}\ninstead of {found:#?}\n{:#?}", daemon.stderr());
}

#[test]
fn pipewire_with_twice_its_usual_quantum_is_heard_whole() {
    assert_quantum_is_heard(2048, 60);
}

#[test]
fn pipewire_with_eight_times_its_usual_quantum_is_heard_whole() {
    assert_quantum_is_heard(8192, 180);
}

#[test]
fn pipewire_that_dies_is_heard_again_and_nothing_is_left_of_it() {
    let mut room = PipeWire::open(1024);
    let mut daemon = start_in(&room);
    let (n_threads, n_descriptors) = settled(&daemon);
    for _ in 0..4 {
        room.die_and_return();
        wait_until_heard(&mut daemon, &room);
        daemon.wait_until("no more threads and descriptors than before", PATIENCE, |daemon| {
            let holds = daemon.holds();
            holds.0 <= n_threads && holds.1 <= n_descriptors
        });
    }
    daemon.signal("TERM");
    assert_eq!(daemon.finish(PATIENCE).status.code(), Some(0));
}

/// libpulse locks up if its server is killed while it shares memory with it. What is left of a
/// device that does not close is bounded and counted, and in the end a restart removes it.
#[test]
fn pulseaudio_that_dies_leaves_no_more_than_what_is_counted() {
    let mut pair = Pair::start(Room::open());
    for _ in 0..N_DEATHS {
        pair.survive();
    }
    if pair.daemon.is_running() {
        pair.daemon.signal("TERM");
        assert_eq!(pair.daemon.finish(PATIENCE).status.code(), Some(0));
        return;
    }
    let output = pair.daemon.finish(PATIENCE);
    assert_eq!(output.status.code(), Some(1), "systemd starts it again: {output:#?}");
    assert!(output.stderr.last().unwrap().ends_with("only a restart of the daemon helps"), "{output:#?}");
}

/// The remedy that docs/sources.md names.
#[test]
fn pulseaudio_that_shares_no_memory_leaves_nothing() {
    let room = Room::open();
    room.share_no_memory();
    let mut pair = Pair::start(room);
    for _ in 0..2 {
        pair.survive();
    }
    assert!(pair.daemon.is_running() && pair.figures("abandoned") == Some([0, 0]), "{:#?}", pair.daemon.stderr());
}

/// Two sources of one daemon that listen to a room of PulseAudio's.
struct Pair {
    room: Room,
    daemon: Process,
    /// Where the daemon's figures are.
    port: u16,
    /// The threads and descriptors that it held at first.
    before: (usize, usize),
    _dir: TempDir,
}

impl Pair {
    fn start(room: Room) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let source = |name: &str| format!("[[sources]]\nname = \"{name}\"\ninput = \"mic\"\ndevice = \"pulsemic\"\n");
        let text = format!(
            "{}{}[model]\ndir = \"{}\"\n[metrics]\nport = {port}\n",
            source("hall"),
            source("stairs"),
            tiny::model().display()
        );
        let config = dir.path().join("ear.toml");
        fs::write(&config, text).unwrap();
        let mut command = daemon::run(&config);
        room.configure(&mut command);
        let mut pair = Pair { room, daemon: Process::start(&mut command), port, before: (0, 0), _dir: dir };
        pair.wait_until(|pair| pair.hears_more_than([0, 0]));
        pair.before = settled(&pair.daemon);
        pair
    }

    /// The server dies and returns. Waits until both sources hear it again, while the daemon holds
    /// no more than at first besides what it has counted, or until the daemon has ended.
    fn survive(&mut self) {
        if !self.daemon.is_running() {
            return;
        }
        // It may end itself at any time.
        let Some(n_samples) = self.figures("samples") else {
            return self.wait_until(|_| false);
        };
        self.room.collapse();
        self.room.reopen();
        self.wait_until(|pair| {
            let holds = pair.daemon.holds();
            assert!(holds.0 < MAX_THREADS, "{} threads: {:#?}", holds.0, pair.daemon.stderr());
            let Some([hall, stairs]) = pair.figures("abandoned") else { return false };
            let n_abandoned = (hall + stairs) as usize;
            assert!(n_abandoned <= MAX_ABANDONED, "{n_abandoned} devices: {:#?}", pair.daemon.stderr());
            holds.0 <= pair.before.0 + n_abandoned * PER_DEVICE.0
                && holds.1 <= pair.before.1 + n_abandoned * PER_DEVICE.1
                && pair.hears_more_than(n_samples)
        });
    }

    /// Waits until the daemon has ended, too.
    fn wait_until(&mut self, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.daemon.is_running() && !condition(self) {
            let holds = self.daemon.holds();
            assert!(Instant::now() < deadline, "{holds:?} after {:?}: {:#?}", self.before, self.daemon.stderr());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether both sources have heard half a second more.
    fn hears_more_than(&self, n_samples: [u64; 2]) -> bool {
        self.figures("samples").is_some_and(|now| (0..2).all(|ear| now[ear] > n_samples[ear] + 24_000))
            && self.room.n_listeners() == 2
    }

    /// The daemon's own count for each source.
    fn figures(&self, what: &str) -> Option<[u64; 2]> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = ureq::get(url).call().ok()?.body_mut().read_to_string().ok()?;
        let name = format!("earwitness_{what}_total{{");
        let lines = text.lines().filter(|line| line.starts_with(&name));
        let counts: Vec<u64> = lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        Some(counts.try_into().unwrap_or_else(|_| panic!("a count for each source: {text}")))
    }
}
