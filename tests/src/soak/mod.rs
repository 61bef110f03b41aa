//! A long life in a short time: the real daemon hears hours of made-up kitchens through a pipe, as
//! fast as it can, and reports to a real broker, while everything around it fails: sounds that are
//! none, torn and stalled pipes, brokers that stop, hang and are killed, configurations good and
//! bad. Beside it another daemon hears a whole house in real time.
//!
//! Afterwards every event that they reported must have reached the broker's subscriber, every onset
//! must have its offset, and their memory must not have grown.

mod house;
mod log;
mod world;

pub use house::HouseReport;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use house::House;
use world::World;

/// Samples a second through the pipe.
const SAMPLE_RATE: u32 = 24_000;

/// Different kitchens; each is heard again and again, at another level.
const N_SCENES: u64 = 12;

/// Faults an hour of sound.
const FAULTS_AN_HOUR: f64 = 12.0;

/// What a life was like.
#[derive(Debug)]
pub struct Report {
    /// Hours of sound that were heard.
    pub hours: f64,
    /// Seconds that it took.
    pub wall_s: f64,
    /// Faults by what they were.
    pub faults: BTreeMap<&'static str, u32>,
    /// Lines of events that the daemon reported.
    pub n_reported: usize,
    /// Those of them that never reached the subscriber.
    pub n_lost: usize,
    /// Events of the subscriber that the daemon did not report.
    pub n_invented: usize,
    /// Onsets without an offset.
    pub n_open: usize,
    /// Resident memory, KiB, after each hour of sound.
    pub rss_kib: Vec<u64>,
    /// Largest resident memory, KiB.
    pub peak_rss_kib: u64,
    /// What happened in the house meanwhile.
    pub house: HouseReport,
}

impl Report {
    /// Growth of the memory: the last hours' mean less that of as many hours after the first, KiB.
    /// 0 for lives under five hours.
    pub fn growth_kib(&self) -> i64 {
        let n = (self.rss_kib.len().saturating_sub(1) / 2).min(4);
        if n < 2 {
            return 0;
        }
        let mean = |values: &[u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
        (mean(&self.rss_kib[self.rss_kib.len() - n..]) - mean(&self.rss_kib[1..=n])).round() as i64
    }

    /// As a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "hours": self.hours,
            "wall_s": self.wall_s,
            "faults": self.faults,
            "n_reported": self.n_reported,
            "n_lost": self.n_lost,
            "n_invented": self.n_invented,
            "n_open": self.n_open,
            "rss_kib": self.rss_kib,
            "growth_kib": self.growth_kib(),
            "peak_rss_kib": self.peak_rss_kib,
            "house": self.house.to_json(),
        })
    }

    /// Whether nothing was lost, invented or left open, and memory has not grown.
    pub fn is_sound(&self) -> bool {
        (self.n_lost, self.n_invented, self.n_open) == (0, 0, 0) && self.growth_kib() < 1024 && self.house.is_sound()
    }
}

/// Lives for `hours` of sound, and at least for `least_s` seconds of the house; `seed` decides what
/// happens when. `progress` receives the hours so far.
///
/// # Panics
///
/// When the daemon ends before its time, or panics.
pub fn live(hours: f64, least_s: f64, seed: u64, mut progress: impl FnMut(f64)) -> Report {
    let begun = Instant::now();
    let mut world = World::new(seed);
    let mut house = House::start(seed);
    let scenes: Vec<Vec<f32>> = (0..N_SCENES).map(|n| sounds::demo_scene_at(n, SAMPLE_RATE).samples).collect();
    let (mut heard_s, mut rss_kib, mut peak_rss_kib) = (0.0, Vec::new(), 0);
    while heard_s < hours * 3600.0 {
        house.live();
        let scene = &scenes[world.dice.below(N_SCENES) as usize];
        let gain = 10_f32.powf(world.dice.unit() as f32 * 2.0 - 1.5);
        heard_s += world.hear(scene.iter().map(|x| x * gain).collect());
        if world.dice.unit() < FAULTS_AN_HOUR * scene.len() as f64 / f64::from(SAMPLE_RATE) / 3600.0 {
            heard_s += world.fail();
        }
        let (rss, peak) = memory_kib(world.daemon.id());
        peak_rss_kib = peak;
        if heard_s >= 3600.0 * (rss_kib.len() + 1) as f64 {
            rss_kib.push(rss);
            progress(heard_s / 3600.0);
        }
    }
    let wall_s = begun.elapsed().as_secs_f64();
    let (reported, arrived, faults) = world.end();
    while begun.elapsed().as_secs_f64() < least_s {
        house.live();
        std::thread::sleep(Duration::from_millis(50));
    }
    let (reported_set, arrived_set): (HashSet<_>, HashSet<_>) = (reported.iter().collect(), arrived.iter().collect());
    Report {
        hours: heard_s / 3600.0,
        wall_s,
        faults,
        n_reported: reported.len(),
        n_lost: reported_set.difference(&arrived_set).count(),
        n_invented: arrived_set.difference(&reported_set).count(),
        n_open: open(&reported),
        rss_kib,
        peak_rss_kib,
        house: house.end(),
    }
}

/// Resident memory of a process and its peak, KiB.
fn memory_kib(id: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Onsets without an offset.
fn open(events: &[String]) -> usize {
    let mut open = HashSet::new();
    for line in events {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let id = event["id"].to_string();
        match event["phase"].as_str() {
            Some("onset") => assert!(open.insert(id), "an id was used twice: {line}"),
            _ => assert!(open.remove(&id), "an offset without an onset: {line}"),
        }
    }
    open.len()
}

/// Chance that repeats (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
