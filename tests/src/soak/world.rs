//! One daemon that hears a pipe as fast as it can, and what fails around it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use super::{Dice, SAMPLE_RATE};
use crate::binary::{PATIENCE, Process, earwitness_bin, model_dir};
use crate::broker::{Broker, Subscriber, free_port};

const EVENT: &str = "earwitness/ear/event";

/// The daemon and what is around it.
pub(super) struct World {
    dir: tempfile::TempDir,
    port: u16,
    broker: Option<Broker>,
    subscriber: Option<Subscriber>,
    arrived: Vec<String>,
    pub(super) daemon: Process,
    input: ChildStdin,
    pub(super) dice: Dice,
    faults: BTreeMap<&'static str, u32>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        // The session is on the broker's disk from the start, so that one that was killed knows it,
        // too.
        let broker = start_broker(dir.path(), port);
        drop(Subscriber::start(port, Some("listener")));
        broker.stop();
        let broker = start_broker(dir.path(), port);
        let subscriber = Subscriber::start(port, Some("listener"));
        let config = configure(dir.path(), port, "");
        let mut command = Command::new(earwitness_bin());
        let (daemon, input) = Process::start_with_input(command.arg("run").arg("--config").arg(config));
        World {
            dir,
            port,
            broker: Some(broker),
            subscriber: Some(subscriber),
            arrived: Vec::new(),
            daemon,
            input,
            dice: Dice(seed),
            faults: BTreeMap::new(),
        }
    }

    /// Has the daemon hear `samples`, in pieces of any length, and returns how many seconds that
    /// were.
    pub(super) fn hear(&mut self, samples: Vec<f32>) -> f64 {
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let n = rest.len().min(1 + self.dice.below(200_000) as usize);
            let written = self.input.write_all(&rest[..n]);
            assert!(written.is_ok(), "the daemon reads no more: {:#?}", self.daemon.stderr());
            rest = &rest[n..];
        }
        samples.len() as f64 / f64::from(SAMPLE_RATE)
    }

    /// Something goes wrong. Returns how many seconds were heard meanwhile.
    pub(super) fn fail(&mut self) -> f64 {
        let n = SAMPLE_RATE as usize * (1 + self.dice.below(60) as usize);
        let (name, heard_s) = match self.dice.below(12) {
            0 => ("zeros", self.hear(vec![0.0; n])),
            1 => ("offset", self.hear(vec![0.5; n])),
            2 => ("clipping", self.hear((0..n).map(|k| (k as f32 * 0.3).sin().signum()).collect())),
            3 => ("no numbers", self.hear((0..n).map(|k| if k % 7 == 0 { f32::NAN } else { f32::INFINITY }).collect())),
            4 => ("absurd values", self.hear((0..n).map(|k| if k % 2 == 0 { 1e30 } else { -1e-40 }).collect())),
            5 => {
                let mut dice = Dice(self.dice.next());
                ("white noise", self.hear((0..n).map(|_| dice.unit() as f32 * 2.0 - 1.0).collect()))
            }
            6 => {
                std::thread::sleep(Duration::from_millis(self.dice.below(400)));
                ("stalled pipe", 0.0)
            }
            7 => {
                if let Some(broker) = &self.broker {
                    broker.signal("STOP");
                    std::thread::sleep(Duration::from_millis(300));
                    broker.signal("CONT");
                }
                ("broker hangs", 0.0)
            }
            8 => {
                self.lose_broker(Broker::stop);
                ("broker restarted", self.return_broker())
            }
            9 => {
                self.pass_on();
                self.lose_broker(drop);
                ("broker killed", self.return_broker())
            }
            10 => {
                let change =
                    ["", "[decide]\nthreshold_on = 0.5\nthreshold_off = 0.2\n", "[decide]\ndeny = [\"blender\"]\n"];
                let change = change[self.dice.below(3) as usize];
                configure(self.dir.path(), self.port, change);
                self.daemon.signal("HUP");
                ("configuration changed", 0.0)
            }
            _ => {
                configure(self.dir.path(), self.port, "[decide]\nthreshold_on = 70\n");
                self.daemon.signal("HUP");
                std::thread::sleep(Duration::from_millis(200));
                configure(self.dir.path(), self.port, "");
                ("bad configuration", 0.0)
            }
        };
        *self.faults.entry(name).or_default() += 1;
        heard_s
    }

    /// The broker goes, in the way that `end` says.
    fn lose_broker(&mut self, end: impl FnOnce(Broker)) {
        if let Some(broker) = self.broker.take() {
            end(broker);
        }
        if let Some(subscriber) = self.subscriber.take() {
            subscriber.wait_for_end();
            self.arrived.extend(subscriber.payloads(EVENT));
        }
    }

    /// Lets the broker pass on what it has acknowledged, and stop there: what it has in its memory
    /// alone when it is killed is lost, which is its fault and not looked for here.
    fn pass_on(&self) {
        self.daemon.signal("STOP");
        if let (Some(broker), Some(subscriber)) = (&self.broker, &self.subscriber) {
            subscriber.wait_for_quiet(EVENT);
            broker.signal("STOP");
        }
        self.daemon.signal("CONT");
    }

    /// The broker comes back, after a minute of silence.
    fn return_broker(&mut self) -> f64 {
        let heard_s = self.hear(vec![0.0; SAMPLE_RATE as usize * 60]);
        self.broker = Some(start_broker(self.dir.path(), self.port));
        self.subscriber = Some(Subscriber::start(self.port, Some("listener")));
        heard_s
    }

    /// Lets the daemon come to its end; returns what it reported, what has arrived, and what went
    /// wrong.
    pub(super) fn end(self) -> (Vec<String>, Vec<String>, BTreeMap<&'static str, u32>) {
        drop(self.input);
        let output = self.daemon.finish(PATIENCE);
        assert!(output.status.success(), "{:#?}", output.stderr);
        assert!(output.stderr.iter().all(|line| !line.contains("panicked")), "{:#?}", output.stderr);
        // What its end did not leave time for waits in the spool, for the next daemon.
        let silence = self.dir.path().join("silence.raw");
        fs::write(&silence, vec![0_u8; 4 * SAMPLE_RATE as usize]).expect("the folder can be written");
        let deadline = Instant::now() + PATIENCE;
        let mut reported = output.stdout;
        loop {
            let subscriber = self.subscriber.as_ref().map_or_else(Vec::new, |subscriber| subscriber.payloads(EVENT));
            let mut seen = HashSet::new();
            let all = self.arrived.iter().chain(&subscriber).filter(|event| seen.insert(*event));
            let arrived: Vec<String> = all.cloned().collect();
            if reported.iter().all(|event| arrived.contains(event)) || Instant::now() > deadline {
                return (reported, arrived, self.faults);
            }
            let config = configure(self.dir.path(), self.port, "");
            let (next, mut input) =
                Process::start_with_input(Command::new(earwitness_bin()).arg("run").arg("--config").arg(config));
            std::thread::sleep(Duration::from_secs(2));
            input.write_all(&fs::read(&silence).expect("it was written")).expect("the daemon reads");
            drop(input);
            reported.extend(next.finish(PATIENCE).stdout);
        }
    }
}

fn start_broker(dir: &Path, port: u16) -> Broker {
    Broker::start(dir, port, "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
}

fn configure(dir: &Path, port: u16, change: &str) -> PathBuf {
    let path = dir.join("ear.toml");
    let text = format!(
        "name = \"ear\"\n[source]\ninput = \"stdin\"\nrate = {SAMPLE_RATE}\nformat = \"f32le\"\n[model]\ndir = \"{}\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nhealth_s = 0\nspool.file = \"spool\"\n{change}",
        model_dir().display()
    );
    fs::write(&path, text).expect("the folder can be written");
    path
}
