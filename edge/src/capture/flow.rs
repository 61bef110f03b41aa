//! A stream of bytes that is open: bytes of a pipe enter, mono samples leave to the ring. Pipes,
//! FIFOs and programs are read in the same way.
//!
//! A thread of its own reads, and never waits for longer than [`WAIT`]. The writer's pace is ours:
//! a ring that is full stops the reading, and the pipe stops the writer. After a pause in a live
//! stream, the time that is missing is marked as a gap, so that stream time stays true.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bytes::{Bytes, Got};
use super::head::{self, Head, head};
use super::hearing::Hint;
use super::raw::Layout;
use super::supervise::{TICK, Watch};
use super::tempo::{Tempo, Verdict};
use super::{Content, Hearing, Options, Session, ring_len};
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::mono::Mono;
use crate::ring::{self, Writer};
use crate::status::Status;

/// Bytes asked for at once: what a Linux pipe holds.
const BUFFER_LEN: usize = 65_536;

/// How long a read waits for bytes.
const WAIT: Duration = TICK;

/// A longer pause in a live stream is a gap in its time.
const PAUSE: Duration = Duration::from_secs(1);

/// A writer that could not write for this long was held up.
const HELD_UP: Duration = Duration::from_millis(20);

/// What waiting for the first bytes of a stream has brought.
pub(super) enum First {
    /// Raw samples, of which these bytes are the first, or a WAV file that has begun.
    Sound(Layout, Vec<u8>),
    /// Something else.
    Foreign(String),
    /// The end, before a whole sample.
    End,
    /// Nothing in time.
    Late,
    /// The daemon ends.
    Stopped,
}

/// Waits for the first bytes, `patience` long; `raw` is the layout of samples without a header.
///
/// # Errors
///
/// When reading fails.
pub(super) fn first(
    bytes: &mut Bytes,
    raw: Layout,
    watch: &Watch<'_>,
    patience: Option<Duration>,
) -> io::Result<First> {
    let begin = Instant::now();
    let mut all = Vec::new();
    let mut buffer = vec![0; BUFFER_LEN];
    while watch.goes_on() {
        let is_all = match bytes.read(&mut buffer[..head::LONGEST - all.len().min(head::LONGEST - 1)], WAIT)? {
            Got::Some(n) => {
                all.extend_from_slice(&buffer[..n]);
                false
            }
            Got::End if all.is_empty() => return Ok(First::End),
            Got::End => true,
            Got::Nothing if patience.is_some_and(|patience| begin.elapsed() > patience) => return Ok(First::Late),
            Got::Nothing => continue,
        };
        match head(&all, is_all) {
            Head::Wav { layout, n_bytes } => {
                all.drain(..n_bytes);
                return Ok(First::Sound(layout, all));
            }
            Head::Foreign(what) => return Ok(First::Foreign(what)),
            Head::Raw if is_all && all.len() < raw.frame_len() => return Ok(First::End),
            Head::Raw => return Ok(First::Sound(raw, all)),
            Head::Unfinished => {}
        }
    }
    Ok(First::Stopped)
}

/// A stream that is being read.
pub(super) struct Flow {
    shared: Arc<Shared>,
    n_seen: u64,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the reading thread has to say.
pub(super) enum Motion {
    /// Samples have come since the last look.
    Flows,
    /// Nothing has come for this long.
    Still(Duration),
    /// There are no more bytes.
    Ended(io::Result<()>),
}

#[derive(Debug)]
struct Shared {
    closing: AtomicBool,
    n_samples: AtomicU64,
    /// Since when there has been nothing to read, milliseconds after `begin`; 0 while there is.
    still_since_ms: AtomicU64,
    begin: Instant,
    is_live: Arc<AtomicBool>,
}

impl Flow {
    /// Goes on with `bytes`, of which `first` are the first. If its pace is to be watched,
    /// `is_live` is set once the stream comes at that of time.
    ///
    /// # Errors
    ///
    /// When there is no such channel, or no thread.
    pub(super) fn begin(
        name: &str,
        (bytes, first, layout): (Bytes, Vec<u8>, Layout),
        options: &Options,
        (is_live, watches_pace): (Arc<AtomicBool>, bool),
        (status, hearing): (&Arc<Status>, &Arc<Hearing>),
    ) -> Result<(Session, Flow)> {
        let n_channels = usize::from(layout.n_channels);
        options.channels.check(n_channels).map_err(|reason| Error::source(name, reason))?;
        let mono = Mono::of(n_channels, &options.channels, layout.rate);
        let balance = mono.balance();
        let (writer, reader) = ring::ring(ring_len(layout.rate), status.clone());
        let shared = Arc::new(Shared {
            closing: AtomicBool::new(false),
            n_samples: AtomicU64::new(0),
            still_since_ms: AtomicU64::new(0),
            begin: Instant::now(),
            is_live,
        });
        let tempo = watches_pace.then(|| Tempo::new(layout.rate, shared.is_live.load(Relaxed)));
        let reading = Reading { bytes, layout, mono, writer, shared: shared.clone(), tempo, hearing: hearing.clone() };
        let thread = thread::Builder::new()
            .name("pipe".to_string())
            .spawn(move || reading.run(first))
            .map_err(Error::io("start the thread that reads the pipe"))?;
        let session = Session {
            sample_rate: layout.rate,
            content: Content::Samples,
            description: format!("{name}, {layout}"),
            reader,
            balance: Some(balance),
        };
        Ok((session, Flow { shared, n_seen: 0, thread: Some(thread) }))
    }

    /// What has happened since the last call.
    pub(super) fn look(&mut self) -> Motion {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            let panicked = |_| Err(io::Error::other("the thread that reads it panicked"));
            return Motion::Ended(self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(panicked)));
        }
        let n_samples = self.shared.n_samples.load(Relaxed);
        if n_samples != self.n_seen {
            self.n_seen = n_samples;
            return Motion::Flows;
        }
        match self.shared.still_since_ms.load(Relaxed) {
            0 => Motion::Still(Duration::ZERO),
            ms => Motion::Still(self.shared.begin.elapsed().saturating_sub(Duration::from_millis(ms))),
        }
    }

    /// Samples so far.
    pub(super) fn n_samples(&self) -> u64 {
        self.shared.n_samples.load(Relaxed)
    }

    /// Whether the stream is known to be live.
    pub(super) fn is_live(&self) -> bool {
        self.shared.is_live.load(Relaxed)
    }

    /// Stops reading and ends the session.
    pub(super) fn close(mut self) {
        self.shared.closing.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It looks at the flag between two reads. What it says now is old news.
            let _ = thread.join();
        }
    }
}

/// What the reading thread has.
struct Reading {
    bytes: Bytes,
    layout: Layout,
    mono: Mono,
    writer: Writer,
    shared: Arc<Shared>,
    tempo: Option<Tempo>,
    hearing: Arc<Hearing>,
}

impl Reading {
    fn run(mut self, first: Vec<u8>) -> io::Result<()> {
        let frame_len = self.layout.frame_len();
        let mut bytes = first;
        let mut n_bytes = bytes.len();
        bytes.resize(bytes.len().max(BUFFER_LEN).next_multiple_of(frame_len), 0);
        let mut samples = Vec::with_capacity(bytes.len() / self.layout.format.n_bytes());
        let mut last = Instant::now();
        loop {
            // A read may end within a frame: whole frames go on, the rest waits for its other part.
            let n_whole = n_bytes - n_bytes % frame_len;
            samples.clear();
            self.layout.format.decode(&bytes[..n_whole], &mut samples);
            bytes.copy_within(n_whole..n_bytes, 0);
            n_bytes -= n_whole;
            if n_whole > 0 && !self.deliver(&samples, &mut last) {
                return Ok(());
            }
            match self.bytes.read(&mut bytes[n_bytes..], WAIT)? {
                Got::Some(n) => {
                    n_bytes += n;
                    self.shared.still_since_ms.store(0, Relaxed);
                }
                Got::Nothing if self.shared.closing.load(Relaxed) => return Ok(()),
                Got::Nothing => {
                    if self.shared.still_since_ms.load(Relaxed) == 0 {
                        let since = last.saturating_duration_since(self.shared.begin);
                        self.shared.still_since_ms.store((since.as_millis() as u64).max(1), Relaxed);
                    }
                }
                Got::End => {
                    if n_bytes > 0 && !self.shared.is_live.load(Relaxed) {
                        tracing::warn!("the stream ended within a sample: {n_bytes} bytes ignored");
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Does what the pace calls for.
    fn heed(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::Live => {
                self.shared.is_live.store(true, Relaxed);
                let name = self.hearing.name();
                tracing::info!(source = name, "{name}: samples arrive in real time; this is treated as a live source");
            }
            Verdict::Even => self.hearing.hint(Hint::Rate, None),
            Verdict::Odd(rate) => {
                let said = self.layout.rate;
                let text = format!("{rate:.0} samples arrive per second instead of {said}: is the rate right?");
                self.hearing.hint(Hint::Rate, Some(Fault::new("wrong-rate", text)));
            }
        }
    }

    /// Hands samples to the ring. `false` when the stream is to end.
    fn deliver(&mut self, samples: &[f32], last: &mut Instant) -> bool {
        let n_samples = (samples.len() / usize::from(self.layout.n_channels)) as u64;
        let now = Instant::now();
        let pause = now.saturating_duration_since(*last);
        let is_first = self.shared.n_samples.load(Relaxed) == 0;
        if pause > PAUSE && !is_first && self.shared.is_live.load(Relaxed) {
            let n_passed = (pause.as_secs_f64() * f64::from(self.layout.rate)) as u64;
            self.writer.mark_gap(n_passed.saturating_sub(n_samples));
        }
        let Reading { mono, writer, shared, .. } = self;
        let mut goes_on = true;
        mono.mix_by(
            samples,
            |sample| sample,
            |block| {
                goes_on = goes_on && writer.write_blocking(block, &shared.closing);
            },
        );
        // Where the reader was held up, the pause is ours.
        *last = Instant::now();
        let n_all = shared.n_samples.fetch_add(n_samples, Relaxed) + n_samples;
        let held_up = last.saturating_duration_since(now) > HELD_UP;
        let verdict = self.tempo.as_mut().map_or(Verdict::Nothing, |tempo| tempo.look(n_all, now, pause, held_up));
        self.heed(&verdict);
        goes_on
    }
}
