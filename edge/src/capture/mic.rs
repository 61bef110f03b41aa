//! A capture device: device blocks enter, mono samples leave.
//!
//! Two threads. The device's audio callback ([`Callback`]) converts and stores; the capture thread opens the device and
//! then looks after it (`supervise`), because neither a device that reports an error, nor one that falls silent without a word,
//! nor one that delivers at another rate than it says may look like a quiet room.
//!
//! # Real-time
//!
//! The audio callback does not allocate, lock, log or make system calls. Errors reach the capture thread through a
//! lock-free queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    BufferSize, FromSample, I24, InputCallbackInfo, SampleFormat, SizedSample, StreamConfig, StreamInstant, U24,
};
use ringbuf::traits::{Consumer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use super::device::{self, Format};
use super::pace::Pace;
use super::supervise::{Live, Opened};
use super::{Content, Mono, Session, ring_len};
use crate::error::{Error, Result};
use crate::ring::{self, Closer, Reader, Writer};
use crate::status::Status;

/// Blocks a second to ask for, 20 ms each. The default of some devices is seconds long.
const BLOCKS_PER_S: u32 = 50;

/// How long a device may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// Errors that can wait for the capture thread.
const N_FAULTS: usize = 16;

/// Driver overruns are logged no more often than this.
const XRUN_LOG: Duration = Duration::from_secs(10);

/// A microphone that can be opened.
pub(super) struct Microphone {
    /// Its id, its name, or a part of its name; `None` for the default device.
    wanted: Option<String>,
    status: Arc<Status>,
}

impl Microphone {
    pub(super) fn new(wanted: Option<&str>, status: &Arc<Status>) -> Self {
        Microphone { wanted: wanted.map(str::to_string), status: status.clone() }
    }
}

impl Live for Microphone {
    type Opened = Device;

    fn open(&mut self) -> Result<(Session, Device)> {
        open(self.wanted.as_deref(), &self.status)
    }
}

/// A device that delivers.
pub(super) struct Device {
    name: String,
    stream: cpal::Stream,
    n_delivered: Arc<AtomicU64>,
    faults: HeapCons<cpal::Error>,
    /// Ends the ring whose writer is in the stream's hands.
    closer: Closer,
    pace: Pace,
    status: Arc<Status>,
    /// Overruns of the driver that were logged, and when.
    n_xruns: u64,
    xruns_logged: Option<Instant>,
}

/// Opens a device and sets it going. Belongs on the thread that keeps the stream.
fn open(wanted: Option<&str>, status: &Arc<Status>) -> Result<(Session, Device)> {
    #[cfg(target_os = "linux")]
    let messages = super::alsa_messages::AlsaMessages::keep();
    let result = open_quietly(wanted, status);
    #[cfg(target_os = "linux")]
    let result = result.map_err(|error| match (error, messages.first()) {
        (Error::Device { device, reason }, Some(message)) => Error::device(device, format!("{reason} ({message})")),
        (error, _) => error,
    });
    result
}

fn open_quietly(wanted: Option<&str>, status: &Arc<Status>) -> Result<(Session, Device)> {
    let name = wanted.unwrap_or("default");
    let failed = |error: cpal::Error| match (wanted, error.kind()) {
        // Where there is no device at all, ALSA still has a default one, which does not open.
        (None, cpal::ErrorKind::DeviceNotAvailable) => Error::device(name, "no capture device found"),
        _ => Error::device(name, device::reason(&error)),
    };
    let device = device::find(&device::host()?, wanted)?;
    let format = device::choose_format(&device).map_err(failed)?;
    let fixed = BufferSize::Fixed(format.sample_rate / BLOCKS_PER_S);
    let (parts, reader) = build(&device, format, fixed, status)
        .or_else(|error| {
            tracing::debug!("{name}: blocks of 20 ms refused ({error}), taking the device's default");
            build(&device, format, BufferSize::Default, status)
        })
        .map_err(failed)?;
    let (stream, n_delivered, faults, closer) = parts;
    // Streams are built paused.
    stream.play().map_err(failed)?;
    let description = format!("{} ({}), {format}", device::name_of(&device), device::id_of(&device));
    let opened = Device {
        name: name.to_string(),
        stream,
        n_delivered,
        faults,
        closer,
        pace: Pace::new(format.sample_rate, Instant::now()),
        status: status.clone(),
        n_xruns: status.n_xruns(),
        xruns_logged: None,
    };
    Ok((Session { sample_rate: format.sample_rate, content: Content::Samples, description, reader }, opened))
}

type Parts = (cpal::Stream, Arc<AtomicU64>, HeapCons<cpal::Error>, Closer);

/// A stream of `format` into a ring of its own.
fn build(
    device: &cpal::Device,
    format: Format,
    buffer_size: BufferSize,
    status: &Arc<Status>,
) -> Result<(Parts, Reader), cpal::Error> {
    let (writer, reader) = ring::ring(ring_len(format.sample_rate), status.clone());
    let closer = writer.closer();
    let n_delivered = Arc::new(AtomicU64::new(0));
    let (faults_in, faults) = HeapRb::new(N_FAULTS).split();
    let callback = Callback {
        mono: Mono::new(format.n_channels.into()),
        n_channels: format.n_channels.into(),
        sample_rate: format.sample_rate,
        writer,
        n_delivered: n_delivered.clone(),
        status: status.clone(),
        n_xruns: status.n_xruns(),
        next_capture: None,
    };
    let config = StreamConfig { channels: format.n_channels, sample_rate: format.sample_rate, buffer_size };
    let on_error = fault_sink(faults_in, status.clone());
    let stream = match format.sample_format {
        SampleFormat::I8 => stream_of::<i8>(device, config, callback, on_error),
        SampleFormat::I16 => stream_of::<i16>(device, config, callback, on_error),
        SampleFormat::I24 => stream_of::<I24>(device, config, callback, on_error),
        SampleFormat::I32 => stream_of::<i32>(device, config, callback, on_error),
        SampleFormat::I64 => stream_of::<i64>(device, config, callback, on_error),
        SampleFormat::U8 => stream_of::<u8>(device, config, callback, on_error),
        SampleFormat::U16 => stream_of::<u16>(device, config, callback, on_error),
        SampleFormat::U24 => stream_of::<U24>(device, config, callback, on_error),
        SampleFormat::U32 => stream_of::<u32>(device, config, callback, on_error),
        SampleFormat::U64 => stream_of::<u64>(device, config, callback, on_error),
        SampleFormat::F32 => stream_of::<f32>(device, config, callback, on_error),
        SampleFormat::F64 => stream_of::<f64>(device, config, callback, on_error),
        _ => Err(cpal::Error::new(cpal::ErrorKind::UnsupportedConfig)),
    }?;
    Ok(((stream, n_delivered, faults, closer), reader))
}

fn stream_of<T>(
    device: &cpal::Device,
    config: StreamConfig,
    mut callback: Callback,
    on_error: impl FnMut(cpal::Error) + Send + 'static,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    device.build_input_stream(config, move |block: &[T], info| callback.store(block, info), on_error, None)
}

/// What happens on the audio thread.
struct Callback {
    mono: Mono,
    n_channels: usize,
    sample_rate: u32,
    writer: Writer,
    /// Samples so far.
    n_delivered: Arc<AtomicU64>,
    status: Arc<Status>,
    /// Driver overruns that have been accounted for.
    n_xruns: u64,
    /// When the first sample behind the last block was captured.
    next_capture: Option<StreamInstant>,
}

impl Callback {
    fn store<T>(&mut self, block: &[T], info: &InputCallbackInfo)
    where
        T: SizedSample,
        f32: FromSample<T>,
    {
        let capture = info.timestamp().capture;
        let n_xruns = self.status.n_xruns();
        if n_xruns != self.n_xruns {
            self.n_xruns = n_xruns;
            // The driver does not say how much it lost; its clock does.
            let lost = self.next_capture.map(|due| capture.saturating_duration_since(due)).unwrap_or_default();
            self.writer.mark_gap((lost.as_secs_f64() * f64::from(self.sample_rate)).round() as u64);
        }
        let Callback { mono, writer, .. } = self;
        mono.mix(block, |samples| writer.write(samples));
        let n_samples = block.len() / self.n_channels;
        let duration = Duration::from_secs_f64(n_samples as f64 / f64::from(self.sample_rate));
        self.next_capture = capture.checked_add(duration);
        self.n_delivered.fetch_add(n_samples as u64, Ordering::Relaxed);
    }
}

/// Sorts a stream's errors, on the audio thread: driver overruns are counted, the rest is handed to the capture thread.
/// What finds no room is a repetition.
fn fault_sink(mut faults: HeapProd<cpal::Error>, status: Arc<Status>) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| match error.kind() {
        cpal::ErrorKind::Xrun => status.add_xrun(),
        _ => {
            let _ = faults.try_push(error);
        }
    }
}

impl Opened for Device {
    fn look(&mut self) -> Result<bool> {
        while let Some(fault) = self.faults.try_pop() {
            let text = device::reason(&fault);
            match fault.kind() {
                cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied => {
                    tracing::warn!("capture device {}: {text}", self.name);
                }
                _ => return Err(Error::device(&self.name, text)),
            }
        }
        let n_xruns = self.status.n_xruns();
        if n_xruns != self.n_xruns && self.xruns_logged.is_none_or(|at| at.elapsed() > XRUN_LOG) {
            tracing::warn!("capture device {}: {} overruns in its driver", self.name, n_xruns - self.n_xruns);
            self.n_xruns = n_xruns;
            self.xruns_logged = Some(Instant::now());
        }
        let n_delivered = self.n_delivered.load(Ordering::Relaxed);
        self.pace.look(n_delivered, Instant::now()).map_err(|reason| Error::device(&self.name, reason))
    }

    /// Closes the device, or leaves it behind if it hangs: libpulse, for one, locks itself up when its server dies, and
    /// that must not keep the next one from being opened.
    fn close(self) {
        let Device { stream, closer, name, .. } = self;
        closer.close();
        let (closed, is_closed) = mpsc::channel();
        let spawned = thread::Builder::new().name("close".to_string()).spawn(move || {
            drop(stream);
            // Nobody waits any more if this took too long.
            let _ = closed.send(());
        });
        if spawned.is_ok() && is_closed.recv_timeout(CLOSING).is_err() {
            tracing::warn!("capture device {name} hangs and is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Chunk;

    fn callback(sample_rate: u32, n_channels: usize) -> (Callback, Reader, Arc<Status>) {
        let status = Arc::new(Status::default());
        let (writer, reader) = ring::ring(1000, status.clone());
        let callback = Callback {
            mono: Mono::new(n_channels),
            n_channels,
            sample_rate,
            writer,
            n_delivered: Arc::default(),
            status: status.clone(),
            n_xruns: 0,
            next_capture: None,
        };
        (callback, reader, status)
    }

    fn captured_at(ms: u64) -> InputCallbackInfo {
        let at = StreamInstant::from_millis(ms);
        InputCallbackInfo::new(cpal::InputStreamTimestamp { callback: at, capture: at })
    }

    #[test]
    fn a_driver_overrun_becomes_a_gap_of_the_time_it_lasted() {
        let (mut callback, mut reader, status) = callback(1_000, 2);
        callback.store(&[0_i16; 40], &captured_at(100));
        status.add_xrun();
        // 20 frames of 1 ms were due until 120; the next block was captured at 175.
        callback.store(&[0_i16; 40], &captured_at(175));
        callback.store(&[0_i16; 40], &captured_at(199));
        let mut buffer = [0.0; 100];
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(20));
        assert_eq!(reader.read(&mut buffer), Chunk::Gap(55));
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(40), "clock jitter without an overrun is no gap");
        assert_eq!(callback.n_delivered.load(Ordering::Relaxed), 60);
    }

    #[test]
    fn overruns_are_counted_and_other_faults_are_passed_on() {
        let (faults_in, mut faults) = HeapRb::new(2).split();
        let status = Arc::new(Status::default());
        let mut sink = fault_sink(faults_in, status.clone());
        sink(cpal::Error::new(cpal::ErrorKind::Xrun));
        for _ in 0..3 {
            sink(cpal::Error::new(cpal::ErrorKind::DeviceNotAvailable));
        }
        assert_eq!(status.n_xruns(), 1);
        assert_eq!(faults.try_pop().unwrap().kind(), cpal::ErrorKind::DeviceNotAvailable);
    }
}
