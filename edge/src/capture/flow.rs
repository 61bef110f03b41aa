//! A stream of bytes that is open: bytes of a pipe enter, mono samples leave to the ring. Pipes,
//! FIFOs and programs are read in the same way, and so are samples and encoded sound.
//!
//! A thread of its own reads, and never waits for longer than [`TICK`].

use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Session;
use super::bytes::{Bytes, Got};
use super::delivery::{Delivery, Stream, StreamShared};
use super::encoded::{self, DecoderInput, Encoded};
use super::head::{self, Head, head};
use super::raw::Layout;
use super::supervise::{TICK, Watch};
use crate::error::{Error, Result};
use crate::mono::Mono;

/// Bytes asked for at once: what a Linux pipe holds.
const BUFFER_LEN: usize = 65_536;

/// How long the header of encoded sound may take once it has begun.
const PATIENCE_FOR_HEADER: Duration = Duration::from_secs(15);

/// What waiting for the first bytes of a stream has brought.
pub(super) enum First {
    /// Raw samples that begin with these bytes, or a WAV file that has begun.
    Sound(Layout, Vec<u8>),
    /// Encoded sound that begins with these bytes.
    Encoded(Vec<u8>),
    /// Sound that is not decoded here.
    Foreign(String),
    /// Something else.
    NoSound(String),
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
        let is_all = match bytes.read(&mut buffer[..head::LONGEST - all.len().min(head::LONGEST - 1)], TICK)? {
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
            Head::Encoded => return Ok(First::Encoded(all)),
            Head::Foreign(what) => return Ok(First::Foreign(what)),
            Head::NoSound(what) => return Ok(First::NoSound(what)),
            Head::Raw if is_all && all.len() < raw.frame_len() => return Ok(First::End),
            Head::Raw => return Ok(First::Sound(raw, all)),
            Head::Unfinished => {}
        }
    }
    Ok(First::Stopped)
}

/// A stream that is being read.
pub(super) struct Flow {
    shared: Arc<StreamShared>,
    n_seen: u64,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the reading thread reports.
pub(super) enum Motion {
    /// Samples have come since the last look.
    Flows,
    /// Nothing has come for this long.
    Still(Duration),
    /// There are no more bytes.
    Ended(io::Result<()>),
}

impl Flow {
    /// Continues with the samples in `bytes`, which begin with `start`.
    ///
    /// # Errors
    ///
    /// When there is no such channel, or no thread.
    pub(super) fn of_samples(stream: &Stream, bytes: Bytes, start: Vec<u8>, layout: Layout) -> Result<(Session, Flow)> {
        let n_channels = usize::from(layout.n_channels);
        stream.channels.check(n_channels).map_err(|reason| Error::source(stream.name.clone(), reason))?;
        let mono = Mono::of(n_channels, &stream.channels, layout.rate);
        let shared = StreamShared::new(stream);
        let (delivery, session) = Delivery::new(stream, (layout.rate, &layout.to_string()), mono.balance(), &shared);
        let name = stream.name.clone();
        let samples = Samples { name, bytes, layout, mono, delivery, shared: shared.clone() };
        Ok((session, Flow::begin(shared, move || samples.run(start))?))
    }

    /// Decodes the sound in `bytes`, which begins with `start`. Waits for its header while `watch`
    /// continues.
    ///
    /// # Errors
    ///
    /// When the decoder refuses it, the header does not come, there is no such channel, or no
    /// thread.
    pub(super) fn of_encoded(
        stream: &Stream,
        bytes: Bytes,
        start: Vec<u8>,
        watch: &Watch<'_>,
    ) -> Result<(Session, Flow)> {
        let stream = Stream { pause: stream.pause.max(encoded::PAUSE), ..stream.clone() };
        let shared = StreamShared::new(&stream);
        let feed = DecoderInput { bytes, start: Cursor::new(start), shared: shared.clone() };
        let (sender, opened) = mpsc::sync_channel(1);
        let name = stream.name.clone();
        // If no one waits for the header any more, the stream is closing.
        let flow = Flow::begin(shared, move || match Encoded::open(&stream, feed) {
            Ok((encoded, session)) => sender.send(Ok(session)).map_or(Ok(()), |()| encoded.run()),
            Err(error) => sender.send(Err(error)).or(Ok(())),
        })?;
        let begin = Instant::now();
        loop {
            match opened.recv_timeout(TICK) {
                Ok(session) => return session.map(|session| (session, flow)),
                Err(mpsc::RecvTimeoutError::Timeout) if watch.goes_on() && begin.elapsed() < PATIENCE_FOR_HEADER => {}
                Err(_) => {
                    flow.close();
                    return Err(Error::source(
                        name,
                        "begins like encoded sound, but the rest of its header does not arrive",
                    ));
                }
            }
        }
    }

    fn begin(shared: Arc<StreamShared>, body: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<Flow> {
        let thread = thread::Builder::new().name("pipe".to_string()).spawn(body);
        let thread = thread.map_err(Error::io("cannot start the thread that reads the pipe"))?;
        Ok(Flow { shared, n_seen: 0, thread: Some(thread) })
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
        Motion::Still(self.shared.still_for())
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
            // It looks at the flag between two reads. What it reports now is no longer of interest.
            let _ = thread.join();
        }
    }
}

/// Samples that are being read.
struct Samples {
    /// The name of the source.
    name: String,
    bytes: Bytes,
    layout: Layout,
    mono: Mono,
    delivery: Delivery,
    shared: Arc<StreamShared>,
}

impl Samples {
    fn run(mut self, start: Vec<u8>) -> io::Result<()> {
        let frame_len = self.layout.frame_len();
        let mut bytes = start;
        let mut n_bytes = bytes.len();
        bytes.resize(bytes.len().max(BUFFER_LEN).next_multiple_of(frame_len), 0);
        let mut samples = Vec::with_capacity(bytes.len() / self.layout.format.n_bytes());
        loop {
            // A read may end within a frame: whole frames go on, the rest waits for its other part.
            let n_whole = n_bytes - n_bytes % frame_len;
            samples.clear();
            self.layout.format.decode(&bytes[..n_whole], &mut samples);
            bytes.copy_within(n_whole..n_bytes, 0);
            n_bytes -= n_whole;
            if n_whole > 0 && !self.deliver(&samples) {
                return Ok(());
            }
            match self.bytes.read(&mut bytes[n_bytes..], TICK)? {
                Got::Some(n) => {
                    n_bytes += n;
                    self.shared.flows();
                }
                Got::Nothing if self.shared.closing.load(Relaxed) => return Ok(()),
                Got::Nothing => self.shared.is_still(),
                Got::End => {
                    if n_bytes > 0 && !self.shared.is_live.load(Relaxed) {
                        tracing::warn!("{}: the stream ended within a sample: {n_bytes} bytes ignored", self.name);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Hands samples on. `false` when the stream is to end.
    fn deliver(&mut self, samples: &[f32]) -> bool {
        let Samples { mono, delivery, layout, .. } = self;
        let n_samples = (samples.len() / usize::from(layout.n_channels)) as u64;
        delivery.deliver(n_samples, |writer, closing| {
            let mut goes_on = true;
            mono.mix_by(samples, |sample| sample, |block| goes_on = goes_on && writer.write_blocking(block, closing));
            goes_on
        })
    }
}
