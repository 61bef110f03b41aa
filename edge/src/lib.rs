//! Earwitness: a streaming sound-event recogniser.
//!
//! Samples enter at one end, labelled events leave at the other; the modules are the stages
//! between, in data-flow order:
//!
//! | module | thread | enters | leaves |
//! |---|---|---|---|
//! | [`audio`] | caller | files | mono samples |
//! | [`capture`] | audio callback or reader thread | device blocks, any rate, format, channels | mono f32 samples |
//! | [`ring`] | lock-free hand-over | samples | samples, gap marks, overrun count |
//! | `edge_frontend` | worker | samples | log-mel frames |
//! | [`engine`] | worker | a pulse of frames | frame logits |
//! | [`decide`] | worker | frame logits | onsets and offsets |
//! | [`live`] | worker | pulses and scores | copies for viewers |
//! | [`quiet`] | main | onsets and offsets | those that are reported at their hour |
//! | [`event`] | main | onsets and offsets | JSON objects |
//! | [`journal`] | main | events | records, in memory and on disk, at each sink's own pace |
//! | [`history`] | caller | records | sounds of hours and days, counts, CSV |
//! | [`publish`] | one thread per sink | records | JSON lines, MQTT, webhooks |
//! | [`clips`] | `clips` | mono samples, events | FLAC files, where they are wanted |
//! | `show` | one per terminal | what there is to see | lines of JSON for `earwitness top --attach` |
//! | `web` | one of its own | what there is to see | the local page, over HTTP |
//!
//! [`audition`] tries a source out. [`pipeline`] joins the worker's stages, [`classify`] runs them
//! over a whole recording, and [`heard`] keeps what they put out for one whose sounds are known;
//! [`status`] and [`clock`] are read by any thread; [`model`] and [`config`] are what the daemon
//! reads before it starts, and [`error`] says why it cannot start or go on; [`fault`] is for what
//! may pass. [`daemon`] joins all of them, [`logging`] is what it logs by, [`port`] is where it
//! listens, and [`folder`] says whether it can write somewhere.
//!
//! # Example
//!
//! Samples to events, without the daemon:
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use edge::clock::Clock;
//! use edge::decide::Rules;
//! use edge::engine::{PrecisionChoice, load_engine};
//! use edge::event::EventBuilder;
//! use edge::model::Model;
//! use edge::pipeline::Chain;
//!
//! let model = Model::load(Path::new("../models/home"))?;
//! let engine = load_engine(&model, PrecisionChoice::F32)?;
//! let mut decision = model.manifest.decision.clone();
//! decision.classes.clear();
//! (decision.threshold_on, decision.threshold_off) = (0.3, 0.2);
//! let rules = Rules::new(&model.manifest, &decision);
//!
//! let sound = edge::audio::decode_file(Path::new("../models/home/golden/clip.wav"))?;
//! let mut chain = Chain::new(&model.manifest, rules, engine, sound.sample_rate, Arc::default())?;
//! let mut transitions = Vec::new();
//! for block in sound.samples.chunks(1024) {
//!     chain.push(block)?;
//!     transitions.extend(chain.transitions());
//! }
//! chain.finish()?;
//! transitions.extend(chain.transitions());
//!
//! let clock = Clock::starting_now();
//! let mut events = EventBuilder::new("kitchen", model.id(), &model.manifest.labels);
//! let events: Vec<_> = transitions.iter().map(|t| events.build(t, |t_s| clock.wall_time(t_s))).collect();
//! for event in &events {
//!     println!("{}", event.to_json());
//! }
//! assert!(events.iter().any(|event| event.label == "water-flowing"));
//! # Ok::<(), edge::Error>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audio;
pub mod audition;
pub mod capture;
pub mod classify;
pub mod clips;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod engine;
pub mod error;
pub mod event;
pub mod fault;
pub mod folder;
#[cfg(feature = "evaluate")]
pub mod heard;
pub mod history;
mod identity;
pub mod journal;
pub mod live;
pub mod logging;
pub mod model;
mod mono;
pub mod pipeline;
pub mod port;
pub mod publish;
pub mod quiet;
mod rate;
pub mod ring;
#[cfg(any(feature = "web", feature = "top"))]
pub mod show;
pub mod status;
#[cfg(feature = "web")]
pub mod web;
mod wording;

pub use error::{Error, ErrorKind, Result};
