//! Hands the samples of a stream to the ring: blocks as they come enter, and the session's ring
//! gets them with its gaps. Runs on the thread that reads the stream.
//!
//! The writer's pace is ours: a ring that is full stops the reading, and the pipe stops the writer.
//! After a pause in a live stream, the time that is missing is marked as a gap, so that stream time
//! stays true. Streams that come in lumps, such as playlists and pages of Ogg, pause between them
//! without having lost anything; for those only a longer pause is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::hearing::Hint;
use super::tempo::{Tempo, Verdict};
use super::{Content, Hearing, Session, ring_len};
use crate::fault::Fault;
use crate::mono::{Balance, Channels};
use crate::ring::{self, Reader, Writer};
use crate::status::Status;

/// A longer pause in a live stream of samples is a gap in its time.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// A writer that could not write for this long was held up.
const HELD_UP: Duration = Duration::from_millis(20);

/// What is known of a stream before it is read.
#[derive(Clone)]
pub(super) struct Stream {
    /// What it is called, without secrets.
    pub(super) name: String,
    /// Which of its channels are heard.
    pub(super) channels: Channels,
    /// Whether it is live, as far as is known.
    pub(super) is_live: Arc<AtomicBool>,
    /// Whether its pace is to show that, and its rate.
    pub(super) watches_pace: bool,
    /// A longer pause is a gap in its time.
    pub(super) pause: Duration,
    pub(super) status: Arc<Status>,
    pub(super) hearing: Arc<Hearing>,
}

/// What the reading thread and the one that looks after it have in common.
#[derive(Debug)]
pub(super) struct StreamShared {
    pub(super) closing: AtomicBool,
    pub(super) n_samples: AtomicU64,
    pub(super) is_live: Arc<AtomicBool>,
    /// Since when there has been nothing to read, milliseconds after `begin`; 0 while there is.
    still_since_ms: AtomicU64,
    begin: Instant,
}

impl StreamShared {
    pub(super) fn new(stream: &Stream) -> Arc<Self> {
        Arc::new(StreamShared {
            closing: AtomicBool::new(false),
            n_samples: AtomicU64::new(0),
            is_live: stream.is_live.clone(),
            still_since_ms: AtomicU64::new(0),
            begin: Instant::now(),
        })
    }

    /// Bytes have come.
    pub(super) fn flows(&self) {
        self.still_since_ms.store(0, Relaxed);
    }

    /// No bytes have come for a while.
    pub(super) fn is_still(&self) {
        let now = (self.begin.elapsed().as_millis() as u64).max(1);
        // Only the first of these looks counts.
        let _ = self.still_since_ms.compare_exchange(0, now, Relaxed, Relaxed);
    }

    /// How long nothing has come.
    pub(super) fn still_for(&self) -> Duration {
        match self.still_since_ms.load(Relaxed) {
            0 => Duration::ZERO,
            ms => self.begin.elapsed().saturating_sub(Duration::from_millis(ms)),
        }
    }
}

/// The way to the ring.
pub(super) struct Delivery {
    rate: u32,
    pause: Duration,
    writer: Writer,
    shared: Arc<StreamShared>,
    tempo: Option<Tempo>,
    hearing: Arc<Hearing>,
    last: Instant,
}

impl Delivery {
    /// For samples at `rate`; `what` is in the stream.
    pub(super) fn new(
        stream: &Stream,
        (rate, what): (u32, &str),
        balance: Arc<Balance>,
        shared: &Arc<StreamShared>,
    ) -> (Self, Session) {
        let (writer, reader): (Writer, Reader) = ring::ring(ring_len(rate), stream.status.clone());
        let delivery = Delivery {
            rate,
            pause: stream.pause,
            writer,
            shared: shared.clone(),
            tempo: stream.watches_pace.then(|| Tempo::new(rate, shared.is_live.load(Relaxed))),
            hearing: stream.hearing.clone(),
            last: Instant::now(),
        };
        let description = format!("{}, {what}", stream.name);
        let content = Content::Samples;
        (delivery, Session { sample_rate: rate, content, description, reader, balance: Some(balance) })
    }

    /// Hands `n_samples` to the ring, which `write` does. `false` when the stream is to end.
    pub(super) fn deliver(&mut self, n_samples: u64, write: impl FnOnce(&mut Writer, &AtomicBool) -> bool) -> bool {
        let now = Instant::now();
        let pause = now.saturating_duration_since(self.last);
        if self.shared.n_samples.load(Relaxed) > 0 && self.shared.is_live.load(Relaxed) {
            self.writer.mark_gap(n_missing(pause, self.pause, self.rate, n_samples));
        }
        let goes_on = write(&mut self.writer, &self.shared.closing);
        // Where the reader was held up, the pause is ours.
        self.last = Instant::now();
        let n_all = self.shared.n_samples.fetch_add(n_samples, Relaxed) + n_samples;
        let held_up = self.last.saturating_duration_since(now) > HELD_UP;
        let verdict = self.tempo.as_mut().map_or(Verdict::Nothing, |tempo| tempo.look(n_all, now, pause, held_up));
        self.heed(&verdict);
        goes_on
    }

    /// Does what the pace calls for.
    fn heed(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::Live => {
                self.shared.is_live.store(true, Relaxed);
                let name = self.hearing.name();
                tracing::info!(source = name, "{name}: samples arrive in real time, so it is treated as a live source");
            }
            Verdict::Even => self.hearing.hint(Hint::Rate, None),
            Verdict::Odd(rate) => {
                let said = self.rate;
                let text = format!("{rate:.0} samples arrive per second instead of {said}: is the rate right?");
                self.hearing.hint(Hint::Rate, Some(Fault::new("wrong-rate", text)));
            }
        }
    }
}

/// Samples that are missing when `n_samples` arrive after a pause. Pauses up to `longest` lose
/// nothing.
fn n_missing(pause: Duration, longest: Duration, rate: u32, n_samples: u64) -> u64 {
    if pause <= longest {
        return 0;
    }
    ((pause.as_secs_f64() * f64::from(rate)) as u64).saturating_sub(n_samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_gap_unless_the_stream_comes_in_lumps() {
        let second = Duration::from_secs(1);
        assert_eq!(n_missing(3 * second, PAUSE, 48_000, 4_000), 140_000);
        assert_eq!(n_missing(second, PAUSE, 48_000, 4_000), 0);
        // A piece of a playlist every six seconds.
        assert_eq!(n_missing(6 * second, 20 * second, 48_000, 4_000), 0);
        assert_eq!(n_missing(21 * second, 20 * second, 48_000, 48_000), 20 * 48_000);
    }
}
