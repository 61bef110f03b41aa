//! The last seconds of one source, and the clips that are to be cut from them. The worker brings
//! samples, the main thread events, and the thread `clips` takes what is complete.
//!
//! # Real-time
//!
//! Not for the audio callback: there is a lock. It is never held for longer than it takes to copy a
//! second of sound, and never while anything is written.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::ClipSettings;
use super::stretch::{Piece, Stretch};
use crate::audio::MAX_FLAC_RATE_HZ;
use crate::event::{Event, Phase};

/// How much longer than a clip sound is kept: the disk may keep the writer busy for this long
/// before the beginning of a waiting clip is lost. Seconds.
const LAG_S: f64 = 5.0;

/// Sessions that are remembered: a clip of the one before is cut after its end.
const N_STRETCHES: usize = 2;

/// How often a recording that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The last seconds of one source.
#[derive(Debug)]
pub struct RecentSound {
    name: String,
    lengths: Lengths,
    state: Mutex<State>,
    changed: Condvar,
    /// The thread that writes clips.
    writer: Thread,
}

/// Seconds.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    before: f64,
    after: f64,
    most: f64,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first; the last one goes on.
    stretches: Vec<Stretch>,
    wanted: Vec<Wanted>,
    /// Onsets and offsets that may or may not be reported; it is not known yet.
    n_unsettled: usize,
    n_begun: u64,
    n_lost: u64,
}

/// A clip that is to be cut.
#[derive(Debug)]
struct Wanted {
    event: Event,
    /// Serial number of its stretch.
    stretch: u64,
    from: u64,
    to: u64,
}

/// A clip that was cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// As it was known then: an onset where the sound outlasts the clip.
    pub(super) event: Event,
    pub(super) sample_rate: u32,
    pub(super) samples: Vec<i16>,
    /// How many of them are silent because they were lost.
    pub(super) n_missing: u64,
    /// Seconds from the beginning of the clip to the onset.
    pub(super) onset_at_s: f64,
}

impl RecentSound {
    /// Of the source `name`; `writer` takes the clips.
    pub(super) fn new(name: &str, settings: &ClipSettings, writer: Thread) -> Arc<Self> {
        let lengths = Lengths {
            before: settings.pre_roll.as_secs_f64(),
            after: settings.post_roll.as_secs_f64(),
            most: settings.max_length.as_secs_f64(),
        };
        let (name, state) = (name.to_string(), Mutex::default());
        Arc::new(RecentSound { name, lengths, state, changed: Condvar::new(), writer })
    }

    /// A session begins, whose first sample is number `position` of stream time at `sample_rate`.
    /// Allocates.
    pub fn begin(&self, sample_rate: u32, position: u64) {
        let mut state = self.lock();
        if sample_rate > MAX_FLAC_RATE_HZ {
            let name = &self.name;
            tracing::warn!(
                source = name,
                sample_rate,
                "{name}: there are no clips of sound at {sample_rate} Hz: set the source to {MAX_FLAC_RATE_HZ} Hz or less"
            );
            return;
        }
        let capacity = ((self.lengths.most + LAG_S) * f64::from(sample_rate)) as usize;
        if state.stretches.len() == N_STRETCHES {
            let gone = state.stretches.remove(0).serial;
            state.give_up(|wanted| wanted.stretch == gone);
        }
        state.n_begun += 1;
        let serial = state.n_begun;
        state.stretches.push(Stretch::new(serial, sample_rate, position, capacity));
    }

    /// Says that the source sends no sound: it computes its features itself.
    pub fn begin_without_sound(&self) {
        let name = &self.name;
        tracing::warn!(source = name, "{name}: the node sends features instead of sound, so its clips cannot be kept");
    }

    /// Takes the next samples, as they are recognised. With `waits` they are those of a recording:
    /// it waits, until that is set, while it is not known whether earlier events are reported, or
    /// while a clip still needs what these samples would overwrite.
    pub fn push(&self, samples: &[f32], waits: Option<&AtomicBool>) {
        let mut state = self.lock();
        if let Some(stop) = waits {
            while state.is_ahead(samples.len()) && !stop.load(Relaxed) {
                self.writer.unpark();
                state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if let Some(stretch) = state.current() {
            stretch.push(samples);
        }
        self.wake(&state);
    }

    /// This many samples are missing.
    pub fn gap(&self, n_missing: u64) {
        let mut state = self.lock();
        if let Some(stretch) = state.current() {
            stretch.gap(n_missing);
        }
        self.wake(&state);
    }

    /// The session has ended.
    pub fn end(&self) {
        let mut state = self.lock();
        if let Some(stretch) = state.current() {
            stretch.is_over = true;
        }
        self.wake(&state);
    }

    /// An onset or offset is on its way to whoever decides whether it is reported, and
    /// [`settle`](RecentSound::settle)s it.
    pub fn expect(&self) {
        self.lock().n_unsettled += 1;
    }

    /// An onset or offset is reported as this event, or not at all.
    pub fn settle(&self, event: Option<&Event>) {
        let mut state = self.lock();
        state.n_unsettled = state.n_unsettled.saturating_sub(1);
        if let Some(event) = event {
            state.want(event, self.lengths);
        }
        self.wake(&state);
        drop(state);
        self.changed.notify_all();
    }

    /// Cuts out the next clip that is complete; with `all`, also those that are not.
    pub(super) fn take(&self, all: bool) -> Option<Cut> {
        let mut state = self.lock();
        let (event, serial, from, to) = {
            let wanted = state.wanted.iter().find(|wanted| all || state.is_due(wanted))?;
            (wanted.event.clone(), wanted.stretch, wanted.from, wanted.to)
        };
        let from = from.max(state.stretch(serial).map_or(from, Stretch::start));
        let sample_rate = state.stretch(serial).map_or(1, |stretch| stretch.sample_rate);
        let mut piece = Piece::default();
        // A second at a time: the worker may want the lock.
        for at in (from..to).step_by(sample_rate as usize) {
            if let Some(stretch) = state.stretch(serial) {
                stretch.copy(&(at..to.min(at + u64::from(sample_rate))), &mut piece);
            }
            drop(state);
            state = self.lock();
        }
        state.wanted.retain(|wanted| wanted.event.id != event.id);
        drop(state);
        self.changed.notify_all();
        let onset_at_s = event.t_onset_s - from as f64 / f64::from(sample_rate);
        Some(Cut { event, sample_rate, samples: piece.samples, n_missing: piece.n_missing, onset_at_s })
    }

    /// Clips of which no sound was left, since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.lock().n_lost)
    }

    /// Wakes the writer if there is something to write.
    fn wake(&self, state: &State) {
        if state.wanted.iter().any(|wanted| state.is_due(wanted)) {
            self.writer.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The stretch that goes on.
    fn current(&mut self) -> Option<&mut Stretch> {
        self.stretches.last_mut().filter(|stretch| !stretch.is_over)
    }

    fn stretch(&self, serial: u64) -> Option<&Stretch> {
        self.stretches.iter().find(|stretch| stretch.serial == serial)
    }

    /// Whether a recording has to wait before its next `n` samples.
    fn is_ahead(&self, n: usize) -> bool {
        let is_needed = |stretch: &Stretch, wanted: &Wanted| {
            wanted.stretch == stretch.serial && stretch.would_overwrite(wanted.from, n)
        };
        let newest = self.stretches.last();
        self.n_unsettled > 0 || newest.is_some_and(|newest| self.wanted.iter().any(|wanted| is_needed(newest, wanted)))
    }

    /// Whether a clip is complete.
    fn is_due(&self, wanted: &Wanted) -> bool {
        let Some(stretch) = self.stretch(wanted.stretch) else { return true };
        wanted.to <= stretch.end() || stretch.is_over && wanted.event.phase == Phase::Offset
    }

    /// Notes that a clip of `event` is wanted, or where it ends.
    fn want(&mut self, event: &Event, Lengths { before, after, most }: Lengths) {
        let known = self.wanted.iter().position(|wanted| wanted.event.id == event.id);
        let Some(known) = known else {
            // An offset alone is that of a clip that was written already, because it was as long as
            // can be.
            let Some(stretch) = self.stretches.iter().rev().find(|stretch| stretch.reaches(event.t_onset_s)) else {
                return;
            };
            if event.phase == Phase::Onset {
                let from = stretch.sample_at(event.t_onset_s - before).max(stretch.start());
                let to = from + stretch.sample_at(most);
                self.wanted.push(Wanted { event: event.clone(), stretch: stretch.serial, from, to });
            }
            return;
        };
        let end = event.t_offset_s.zip(self.stretch(self.wanted[known].stretch));
        let end = end.map(|(t_offset_s, stretch)| stretch.sample_at(t_offset_s + after));
        let wanted = &mut self.wanted[known];
        wanted.event = event.clone();
        wanted.to = end.map_or(wanted.to, |end| end.min(wanted.to));
    }

    fn give_up(&mut self, is_lost: impl Fn(&Wanted) -> bool) {
        let n_before = self.wanted.len();
        self.wanted.retain(|wanted| !is_lost(wanted));
        self.n_lost += (n_before - self.wanted.len()) as u64;
    }
}
