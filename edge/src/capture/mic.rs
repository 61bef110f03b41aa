//! A capture device: device blocks enter, mono samples leave.
//!
//! Two threads. The device's audio callback ([`Callback`]) converts and stores; the capture thread
//! opens the device and then looks after it (`supervise`), because a device that reports an error,
//! falls silent without an error, or delivers at another rate than it claims must not look like a
//! quiet room.
//!
//! # Real-time
//!
//! The audio callback does not allocate, lock, log or make system calls. Errors reach the capture
//! thread through a lock-free queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, FromSample, I24, InputCallbackInfo, SampleFormat, SizedSample, StreamConfig, U24};
use ringbuf::traits::{Consumer, Split};
use ringbuf::{HeapCons, HeapRb};

use super::callback::{Callback, fault_sink};
use super::device::{self, Format};
use super::hearing::{Hearing, fault};
use super::kind::Setup;
use super::pace::{Pace, Unpaced};
use super::supervise::{Failure, LiveSource, Look, Opened, Watch};
use super::{Content, Session, Source, SourceOptions, ring_len};
use crate::error::{Error, Result};
use crate::fault::{Fault, FaultLog};
use crate::mono::{Balance, Mono};
use crate::ring::{self, Closer, Reader};
use crate::status::Status;

/// Lengths of a block to ask for, milliseconds; the default of some devices is seconds long. Where
/// samples went missing, a longer one is asked for next: a sound server may hand over more at once
/// than two of the blocks hold.
const BLOCKS_MS: [u32; 4] = [20, 60, 180, 360];

/// How long a device may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// Errors that can wait for the capture thread.
const N_FAULTS: usize = 16;

/// Devices of all sources that did not close, each with its threads and descriptors, after which no
/// other is opened: a new process removes them all, and this one ends before the system refuses it
/// threads.
const MAX_ABANDONED: u64 = 6;

/// Devices of all sources that did not close.
static N_ABANDONED: AtomicU64 = AtomicU64::new(0);

/// A microphone that can be opened.
pub(super) struct Microphone {
    /// Its id, its name, or a part of its name; `None` for the default device.
    wanted: Option<String>,
    options: SourceOptions,
    status: Arc<Status>,
    hearing: Arc<Hearing>,
    /// Which of [`BLOCKS_MS`] to ask for, and whether samples went missing with it.
    block: usize,
    is_lossy: Arc<AtomicBool>,
}

/// Begins to listen to a microphone.
pub(super) fn start(wanted: Option<&str>, setup: &Setup<'_>) -> Result<Source> {
    let microphone = Microphone {
        wanted: wanted.map(str::to_string),
        options: setup.options.clone(),
        status: setup.status.clone(),
        hearing: setup.hearing.clone(),
        block: 0,
        is_lossy: Arc::default(),
    };
    Source::supervised(microphone, Arc::new(AtomicBool::new(true)), setup)
}

impl LiveSource for Microphone {
    type Opened = OpenMicrophone;

    fn open(&mut self, _: &Watch<'_>) -> Result<(Session, OpenMicrophone), Failure> {
        self.choose_block();
        let n_abandoned = N_ABANDONED.load(Ordering::Relaxed);
        if n_abandoned >= MAX_ABANDONED {
            let reason = format!("{n_abandoned} devices did not close; only a restart of the daemon helps");
            self.hearing.ask_to_restart();
            let error = Error::device(self.wanted.as_deref().unwrap_or("default"), reason);
            return Err(Failure { is_final: true, ..Failure::new(fault::FAILED, error) });
        }
        Ok(self.open_device()?)
    }
}

/// A device that delivers.
pub(super) struct OpenMicrophone {
    name: String,
    stream: cpal::Stream,
    n_delivered: Arc<AtomicU64>,
    faults: HeapCons<cpal::Error>,
    /// Ends the ring whose writer is in the stream's hands.
    closer: Closer,
    pace: Pace,
    status: Arc<Status>,
    hearing: Arc<Hearing>,
    is_lossy: Arc<AtomicBool>,
    /// Overruns of the driver that were logged.
    n_xruns: u64,
    xrun_log: FaultLog,
}

impl Microphone {
    /// Takes a longer block where samples went missing with the last one.
    fn choose_block(&mut self) {
        if self.is_lossy.swap(false, Ordering::Relaxed) && self.block + 1 < BLOCKS_MS.len() {
            self.block += 1;
            let (name, ms) = (self.hearing.name(), BLOCKS_MS[self.block]);
            tracing::info!(source = name, "{name}: samples went missing; asking for blocks of {ms} ms");
        }
    }

    /// Opens the device and sets it going. Belongs on the thread that keeps the stream.
    fn open_device(&self) -> Result<(Session, OpenMicrophone)> {
        #[cfg(target_os = "linux")]
        let messages = super::alsa_messages::AlsaMessages::keep();
        let result = self.open_quietly();
        #[cfg(target_os = "linux")]
        let result = result.map_err(|error| match (error, messages.first()) {
            (Error::Device { device, reason }, Some(message)) => Error::device(device, format!("{reason} ({message})")),
            (error, _) => error,
        });
        result
    }

    fn open_quietly(&self) -> Result<(Session, OpenMicrophone)> {
        let (wanted, status) = (self.wanted.as_deref(), &self.status);
        let name = wanted.unwrap_or("default");
        let failed = |error: cpal::Error| match (wanted, error.kind()) {
            // Where there is no device at all, ALSA still has a default one, which does not open.
            (None, cpal::ErrorKind::DeviceNotAvailable) => Error::device(name, "no capture device found"),
            _ => Error::device(name, device::reason(&error)),
        };
        let device = device::find(&device::host()?, wanted)?;
        let channels = &self.options.channels;
        let format = device::choose_format(&device, channels.n_least()).map_err(failed)?;
        channels.check(format.n_channels.into()).map_err(|reason| Error::device(name, reason))?;
        let mono = || Mono::of(format.n_channels.into(), channels, format.sample_rate);
        let ms = BLOCKS_MS[self.block];
        let fixed = BufferSize::Fixed((u64::from(format.sample_rate) * u64::from(ms) / 1000) as u32);
        let (parts, reader, balance) = build(&device, format, fixed, mono(), status)
            .or_else(|error| {
                tracing::debug!("{name}: blocks of {ms} ms refused ({error}), using the device's default");
                build(&device, format, BufferSize::Default, mono(), status)
            })
            .map_err(failed)?;
        let (stream, n_delivered, faults, closer) = parts;
        // Streams are built paused.
        stream.play().map_err(failed)?;
        let description = format!("{} ({}), {format}", device::name_of(&device), device::id_of(&device));
        let opened = OpenMicrophone {
            name: name.to_string(),
            stream,
            n_delivered,
            faults,
            closer,
            pace: Pace::new(format.sample_rate, Instant::now()),
            status: status.clone(),
            hearing: self.hearing.clone(),
            is_lossy: self.is_lossy.clone(),
            n_xruns: status.n_xruns(),
            xrun_log: FaultLog::default(),
        };
        let session = Session {
            sample_rate: format.sample_rate,
            content: Content::Samples,
            description,
            reader,
            balance: Some(balance),
        };
        Ok((session, opened))
    }
}

type Parts = (cpal::Stream, Arc<AtomicU64>, HeapCons<cpal::Error>, Closer);

/// A stream of `format` into a ring of its own.
fn build(
    device: &cpal::Device,
    format: Format,
    buffer_size: BufferSize,
    mono: Mono,
    status: &Arc<Status>,
) -> Result<(Parts, Reader, Arc<Balance>), cpal::Error> {
    let (writer, reader) = ring::ring(ring_len(format.sample_rate), status.clone());
    let closer = writer.closer();
    let n_delivered = Arc::new(AtomicU64::new(0));
    let (faults_in, faults) = HeapRb::new(N_FAULTS).split();
    let balance = mono.balance();
    let callback = Callback {
        mono,
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
        SampleFormat::I24 => stream_of_i24(device, config, callback, on_error),
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
    Ok(((stream, n_delivered, faults, closer), reader, balance))
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
    let store = move |block: &[T], info: &InputCallbackInfo| callback.store(block, |x| x.to_sample(), info);
    device.build_input_stream(config, store, on_error, None)
}

/// Of 24 bits in 4 bytes. What is in the upper byte differs from driver to driver: copies of the
/// sign, or zeros.
fn stream_of_i24(
    device: &cpal::Device,
    config: StreamConfig,
    mut callback: Callback,
    on_error: impl FnMut(cpal::Error) + Send + 'static,
) -> Result<cpal::Stream, cpal::Error> {
    let store = move |block: &[I24], info: &InputCallbackInfo| callback.store(block, of_i24, info);
    device.build_input_stream(config, store, on_error, None)
}

fn of_i24(sample: I24) -> f32 {
    (sample.inner() << 8) as f32 / 2_147_483_648.0
}

impl Opened for OpenMicrophone {
    fn look(&mut self) -> Result<Look, Failure> {
        let failed = |kind, reason: String| Failure::new(kind, Error::device(&self.name, reason));
        while let Some(fault) = self.faults.try_pop() {
            let text = device::reason(&fault);
            match fault.kind() {
                cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied => {
                    tracing::warn!("capture device {}: {text}", self.name);
                }
                _ => return Err(failed(fault::FAILED, text)),
            }
        }
        let n_new = self.status.n_xruns() - self.n_xruns;
        if n_new > 0 {
            self.is_lossy.store(true, Ordering::Relaxed);
            let fault = Fault::new(
                "overrun",
                format!("capture device {}: its driver lost samples ({n_new} overruns)", self.name),
            );
            if self.xrun_log.occurred(&fault).is_some() {
                tracing::warn!("{fault}");
                self.n_xruns += n_new;
            }
        }
        let n_delivered = self.n_delivered.load(Ordering::Relaxed);
        match self.pace.look(n_delivered, Instant::now()) {
            Ok(true) => Ok(Look::Delivers),
            Ok(false) => Ok(Look::Nothing),
            Err(Unpaced::Stalled(reason)) => Err(failed(fault::STALLED, reason)),
            Err(Unpaced::Fast(reason)) => Err(failed(fault::RATE, reason)),
            Err(Unpaced::Slow(reason)) => {
                self.is_lossy.store(true, Ordering::Relaxed);
                Err(failed(fault::RATE, reason))
            }
        }
    }

    /// Closes the device, or abandons it if it hangs: libpulse, for one, locks itself up when its
    /// server dies, and that must not keep the next one from being opened.
    fn close(self) {
        let OpenMicrophone { stream, closer, name, hearing, .. } = self;
        closer.close();
        let (closed, is_closed) = mpsc::channel();
        let spawned = thread::Builder::new().name("close".to_string()).spawn(move || {
            drop(stream);
            // Nobody waits any more if this took too long.
            let _ = closed.send(());
        });
        if spawned.is_ok() && is_closed.recv_timeout(CLOSING).is_err() {
            let n_abandoned = abandon(&hearing);
            tracing::warn!(n_abandoned, "capture device {name} did not close; abandoning it ({n_abandoned} so far)");
        }
    }
}

/// Counts a device that did not close; returns how many there are, of all sources.
fn abandon(hearing: &Hearing) -> u64 {
    hearing.abandoned();
    N_ABANDONED.fetch_add(1, Ordering::Relaxed) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn microphone() -> Microphone {
        Microphone {
            wanted: None,
            options: SourceOptions::default(),
            status: Arc::default(),
            hearing: Arc::new(Hearing::of("ear")),
            block: 0,
            is_lossy: Arc::default(),
        }
    }

    #[test]
    fn devices_that_do_not_close_are_counted_and_a_restart_comes_before_the_limit() {
        // All sources share the threads that a process may have.
        let [mut one, other] = [microphone(), microphone()];
        (1..=MAX_ABANDONED).for_each(|n| {
            let hearing = if n.is_multiple_of(2) { &one.hearing } else { &other.hearing };
            assert_eq!(abandon(hearing), n);
        });
        let hearing = one.hearing.clone();
        let failure = one.open(&Watch::new(&hearing, &AtomicBool::new(false))).err().unwrap();
        assert!(failure.is_final && hearing.is_asked_to_restart());
        assert_eq!(hearing.snapshot().n_abandoned, MAX_ABANDONED / 2);
        assert!(failure.error.unwrap().to_string().contains("restart"));
    }

    #[test]
    fn after_samples_went_missing_longer_blocks_are_asked_for() {
        let mut microphone = microphone();
        let mut next = |is_lossy| {
            microphone.is_lossy.store(is_lossy, Ordering::Relaxed);
            microphone.choose_block();
            BLOCKS_MS[microphone.block]
        };
        assert_eq!([false, true, false, true, true, true].map(&mut next), [20, 60, 60, 180, 360, 360]);
    }

    #[test]
    fn the_upper_byte_of_24_bits_does_not_matter() {
        for (bits, value) in [(0x40_0000, 0.5), (0x80_0000, -1.0), (-0x80_0000, -1.0), (0xff_ffff, -1.0 / 8_388_608.0)]
        {
            assert_eq!(of_i24(I24::new_unchecked(bits)), value);
        }
    }
}
