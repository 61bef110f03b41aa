//! A house full of sources: one daemon hears a FIFO, a command, a camera's stream over HTTP, a
//! microcontroller and a recording in real time, and reports to a broker and to a webhook, while
//! sources stall and come back, the network to the broker flaps, and the webhook's server fails and
//! hangs up.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Dice, log, memory_kib, open};
use crate::binary::{PATIENCE, Process, make_fifo};
use crate::broker::{Broker, Subscriber, free_port};
use crate::daemon;
use crate::http::{Behaviour, Server};
use crate::node::Node;
use crate::proxy::Proxy;
use crate::tiny::{self, SAMPLE_RATE, Sound};

/// What is heard again and again: events in every second of it.
const SCENE: &[(Sound, f64)] = &[(Sound::Noise, 0.8), (Sound::Tone, 0.8), (Sound::Silence, 0.6)];

/// Seconds from one fault to the next.
const FAULT_S: f64 = 4.0;

/// Seconds until memory has its usual size.
const WARM_UP_S: f64 = 30.0;

const SOURCES: [&str; 5] = ["fifo", "command", "camera", "node", "recording"];

/// What happened in the house.
#[derive(Debug)]
pub struct HouseReport {
    /// Seconds that it was lived in.
    pub wall_s: f64,
    /// Faults by what they were.
    pub faults: BTreeMap<&'static str, u32>,
    /// Lines of events by source.
    pub n_reported: BTreeMap<String, usize>,
    /// Those that never reached the broker's subscriber.
    pub n_lost_by_broker: usize,
    /// Those that were never taken by the webhook's server.
    pub n_lost_by_webhook: usize,
    /// Onsets without an offset.
    pub n_open: usize,
    /// Lines of the log after the start.
    pub n_log_lines: usize,
    /// Kinds of faults in them, by the part that has them.
    pub kinds: Vec<String>,
    /// Lines of a day on which those of the camera and of the broker keep coming back all the time,
    /// with as many recoveries.
    pub n_log_lines_per_day: usize,
    /// Growth of resident memory after the first half minute, KiB.
    pub growth_kib: i64,
}

impl HouseReport {
    /// As a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "wall_s": self.wall_s,
            "faults": self.faults,
            "n_reported": self.n_reported,
            "n_lost_by_broker": self.n_lost_by_broker,
            "n_lost_by_webhook": self.n_lost_by_webhook,
            "n_open": self.n_open,
            "n_log_lines": self.n_log_lines,
            "kinds": self.kinds,
            "n_log_lines_per_day": self.n_log_lines_per_day,
            "growth_kib": self.growth_kib,
        })
    }

    /// Whether nothing was lost or left open, every source was heard, and the log stays short.
    pub fn is_sound(&self) -> bool {
        self.n_lost_by_broker == 0
            && self.n_lost_by_webhook == 0
            && self.n_open == 0
            && SOURCES.iter().all(|source| self.n_reported.get(*source).is_some_and(|n| *n > 0))
            && self.n_log_lines_per_day < 200
            && self.growth_kib < 1024
    }
}

/// The daemon and what is around it.
pub(super) struct House {
    dir: tempfile::TempDir,
    daemon: Process,
    // Both live as long as the house.
    _broker: Broker,
    subscriber: Subscriber,
    network: Proxy,
    webhook: Server,
    camera: Option<Process>,
    camera_port: u16,
    node: Node,
    /// Says to the FIFO's writer what to do: see [`write_to`].
    fifo: Arc<AtomicU64>,
    dice: Dice,
    begun: Instant,
    next_fault: Instant,
    /// When the network works again.
    network_back: Option<Instant>,
    faults: BTreeMap<&'static str, u32>,
    rss_kib: Vec<(f64, u64)>,
}

impl House {
    pub(super) fn start(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let broker = Broker::start(
            dir.path(),
            free_port(),
            "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n",
        );
        let subscriber = Subscriber::start(broker.port, Some("listener"));
        let network = Proxy::start(broker.port);
        let webhook = Server::start(Behaviour::Answer(200, ""));
        let node = Node::start(tiny::samples(SCENE), SAMPLE_RATE);
        let camera_port = free_port();
        tiny::write_wav(&dir.path().join("scene.wav"), SCENE);
        let fifo_path = dir.path().join("fifo");
        make_fifo(&fifo_path);
        let fifo = Arc::new(AtomicU64::new(FLOW));
        thread::spawn({
            let (path, fifo) = (fifo_path, Arc::clone(&fifo));
            move || write_to(&path, &fifo)
        });
        let config = configure(dir.path(), network.port, &webhook, camera_port, node.port);
        let mut house = House {
            camera: None,
            daemon: Process::start(&mut daemon::run(&config)),
            dir,
            _broker: broker,
            subscriber,
            network,
            webhook,
            camera_port,
            node,
            fifo,
            dice: Dice(seed),
            begun: Instant::now(),
            next_fault: Instant::now() + Duration::from_secs(5),
            network_back: None,
            faults: BTreeMap::new(),
            rss_kib: Vec::new(),
        };
        house.serve();
        house
    }

    /// What is due: faults, and their ends.
    pub(super) fn live(&mut self) {
        assert!(self.daemon.is_running(), "the daemon has ended: {:#?}", self.daemon.stderr());
        // ffmpeg serves one client and ends.
        if self.camera.as_mut().is_some_and(|camera| !camera.is_running()) {
            self.serve();
        }
        let now = Instant::now();
        if self.network_back.is_some_and(|at| now >= at) {
            self.network_back = None;
            self.network.swallow(false);
            self.network.cut();
        }
        if now < self.next_fault {
            return;
        }
        self.rss_kib.push((self.begun.elapsed().as_secs_f64(), memory_kib(self.daemon.id()).0));
        self.next_fault = now + Duration::from_secs_f64(FAULT_S * (0.5 + self.dice.unit()));
        self.fail();
    }

    fn fail(&mut self) {
        let name = match self.dice.below(12) {
            0 | 1 => {
                self.network.cut();
                "broker's network flaps"
            }
            2 => {
                self.network.swallow(true);
                self.network_back = Some(Instant::now() + Duration::from_secs(3));
                "broker's network swallows"
            }
            3 => {
                // Dropped means killed; the next look starts it again.
                if let Some(camera) = &self.camera {
                    camera.signal("KILL");
                }
                "camera ends"
            }
            4 => {
                if let Some(camera) = &self.camera {
                    camera.signal("STOP");
                    let continued = format!("sleep 7; kill -CONT {}", camera.id());
                    // It may have ended by then.
                    let _ = Process::start(Command::new("sh").args(["-c", &continued]));
                }
                "camera stalls"
            }
            5 => {
                self.fifo.store(STALL, Ordering::Relaxed);
                "pipe stalls"
            }
            6 => {
                self.fifo.store(CLOSE, Ordering::Relaxed);
                "pipe's writer ends"
            }
            7 => {
                self.node.tear();
                "line is torn"
            }
            8 => {
                let id = fs::read_to_string(self.dir.path().join("command.pid")).unwrap_or_default();
                // It may be between two lives.
                let _ = Command::new("sh").args(["-c", &format!("kill -9 {}", id.trim())]).status();
                "command is killed"
            }
            9 => {
                self.webhook.set(Behaviour::Answer(500, ""));
                "webhook fails"
            }
            10 => {
                self.webhook.set([Behaviour::HangUp, Behaviour::Babble][self.dice.below(2) as usize].clone());
                "webhook hangs up"
            }
            _ => {
                self.daemon.signal("HUP");
                "configuration read again"
            }
        };
        if !name.starts_with("webhook") {
            self.webhook.set(Behaviour::Answer(200, ""));
        }
        *self.faults.entry(name).or_default() += 1;
    }

    /// Starts the camera: a stream over HTTP at the pace of time.
    fn serve(&mut self) {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]);
        ffmpeg.arg(self.dir.path().join("scene.wav")).args(["-f", "wav", "-listen", "1"]);
        ffmpeg.arg(format!("http://127.0.0.1:{}/live.wav", self.camera_port));
        self.camera = Some(Process::try_start(&mut ffmpeg).expect("install the package ffmpeg"));
    }

    /// Ends all faults and the daemon, and waits for what is still on its way.
    pub(super) fn end(mut self) -> HouseReport {
        self.webhook.set(Behaviour::Answer(200, ""));
        if self.network_back.take().is_some() {
            self.network.swallow(false);
            self.network.cut();
        }
        let wall_s = self.begun.elapsed().as_secs_f64();
        self.daemon.signal("TERM");
        let output = self.daemon.finish(PATIENCE);
        assert!(output.status.success(), "{:#?}", output.stderr);
        assert!(output.stderr.iter().all(|line| !line.contains("panicked")), "{:#?}", output.stderr);
        let mut reported = output.stdout;
        // What its end did not leave time for waits in the journal, for the next daemon.
        let deadline = Instant::now() + PATIENCE;
        let (by_broker, by_webhook) = loop {
            let mut arrived: HashSet<String> = HashSet::new();
            for source in SOURCES {
                arrived.extend(self.subscriber.payloads(&format!("earwitness/{source}/event")));
            }
            let taken: HashSet<String> = self.webhook.taken().into_iter().map(|request| request.body).collect();
            let lost = |have: &HashSet<String>| reported.iter().filter(|event| !have.contains(*event)).count();
            let lost = (lost(&arrived), lost(&taken));
            if lost == (0, 0) || Instant::now() > deadline {
                break lost;
            }
            let next = Process::start(&mut daemon::run(&self.dir.path().join("house.toml")));
            thread::sleep(Duration::from_secs(4));
            next.signal("TERM");
            reported.extend(next.finish(PATIENCE).stdout);
        };
        let mut n_reported = BTreeMap::new();
        for event in tiny::events(&reported) {
            *n_reported.entry(event["device"].as_str().unwrap_or("?").to_string()).or_default() += 1;
        }
        let log = log::after_start(&output.stderr);
        let kinds = log::kinds(&log);
        HouseReport {
            wall_s,
            faults: self.faults,
            n_reported,
            n_lost_by_broker: by_broker,
            n_lost_by_webhook: by_webhook,
            n_open: open(&reported),
            n_log_lines: log.len(),
            n_log_lines_per_day: log::lines_per_day(&kinds),
            kinds,
            growth_kib: growth_kib(&self.rss_kib),
        }
    }
}

/// What the writer of the FIFO is to do.
const FLOW: u64 = 0;
const STALL: u64 = 1;
const CLOSE: u64 = 2;

/// Writes the scene to the FIFO at `path` at the pace of time, again and again; once it is to
/// stall or to close, it does so for some seconds.
fn write_to(path: &Path, what: &AtomicU64) {
    let bytes: Vec<u8> = tiny::samples(SCENE).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let block_len = 2 * SAMPLE_RATE as usize / 50;
    while let Ok(mut fifo) = OpenOptions::new().write(true).open(path) {
        for block in bytes.chunks(block_len).cycle() {
            match what.swap(FLOW, Ordering::Relaxed) {
                STALL => thread::sleep(Duration::from_secs(5)),
                CLOSE => break,
                _ => thread::sleep(Duration::from_millis(20)),
            }
            if fifo.write_all(block).is_err() {
                break;
            }
        }
        drop(fifo);
        thread::sleep(Duration::from_secs(1));
    }
}

fn configure(dir: &Path, broker: u16, webhook: &Server, camera: u16, node: u16) -> PathBuf {
    let command = "exec:echo $$ > command.pid; exec ffmpeg -loglevel error -re -stream_loop -1 -i scene.wav -f wav -";
    let text = format!(
        "[model]\ndir = \"{}\"\nprecision = \"f32\"\n[journal]\nfile = \"journal\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{broker}\"\nhealth_s = 0\n[[webhook]]\nurl = \"{}\"\n\
         [[sources]]\nname = \"fifo\"\ninput = \"file:fifo\"\nrate = {SAMPLE_RATE}\nlive = true\n\
         [[sources]]\nname = \"command\"\ninput = '{}'\n\
         [[sources]]\nname = \"camera\"\ninput = \"http://viewer:secret@127.0.0.1:{camera}/live.wav\"\n\
         [[sources]]\nname = \"node\"\ninput = \"serial:tcp://127.0.0.1:{node}\"\n\
         [[sources]]\nname = \"recording\"\ninput = \"file:scene.wav\"\n",
        tiny::model().display(),
        webhook.url("/hook"),
        command.replacen("exec:", &format!("exec:cd {} && ", dir.display()), 1),
    );
    let path = dir.join("house.toml");
    fs::write(&path, text).expect("the folder can be written");
    path
}

/// Mean of the last quarter less that of the first one after the warm-up; 0 for short lives.
fn growth_kib(rss_kib: &[(f64, u64)]) -> i64 {
    let warm: Vec<f64> = rss_kib.iter().filter(|(at_s, _)| *at_s > WARM_UP_S).map(|(_, kib)| *kib as f64).collect();
    let n = warm.len() / 4;
    if n == 0 {
        return 0;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    (mean(&warm[warm.len() - n..]) - mean(&warm[..n])).round() as i64
}
