//! A recording as a source: a file enters, samples leave at the pace of real time, or as fast as
//! they are taken.
//!
//! Runs on a reader thread. The pace comes from a monotonic clock and the sample count since the
//! start, so sleeping too long once does not delay the rest. A ring that is full makes the reader
//! wait: a file loses nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use edge_frontend::FrontendConfig;

use super::bytes::{is_fifo, is_missing};
use super::kind::{Setup, SourceKind};
use super::pipe::{self, PipeOrigin};
use super::{Source, SourceOption, SourceOptions};
use crate::audio::AudioReader;
use crate::error::Result;
use crate::mono::Balance;
use crate::ring::Writer;

/// Blocks a second when played in real time: 20 ms each, as a sound interface delivers them.
const BLOCKS_PER_S: u32 = 50;

/// A recording in the file system. A FIFO there is a pipe, and so is what is said to be live and
/// does not exist yet: another service may make the FIFO later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Where it is.
    pub path: PathBuf,
}

impl FileSpec {
    /// Whether it is read as a pipe.
    fn is_pipe(&self, options: &SourceOptions) -> bool {
        is_fifo(&self.path) || options.live == Some(true) && is_missing(&self.path)
    }
}

impl SourceKind for FileSpec {
    fn is_live(&self, options: &SourceOptions) -> Option<bool> {
        if self.is_pipe(options) { options.live } else { Some(false) }
    }

    fn takes(&self, option: SourceOption) -> bool {
        match option {
            SourceOption::Device => false,
            SourceOption::Layout | SourceOption::Live => is_fifo(&self.path) || is_missing(&self.path),
            SourceOption::Fast | SourceOption::Channels | SourceOption::Gain => true,
        }
    }

    fn describe(&self, options: &SourceOptions) -> String {
        let path = self.path.display();
        match (self.is_pipe(options), options.fast) {
            (true, _) => {
                let yet = if is_missing(&self.path) { ", which does not exist yet" } else { "" };
                format!("the FIFO {path}{yet}: {}, unless its header says otherwise", options.layout)
            }
            (false, true) => format!("the recording {path}, as fast as possible"),
            (false, false) => format!("the recording {path}, in real time"),
        }
    }

    fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        if self.is_pipe(setup.options) {
            return pipe::start(PipeOrigin::Fifo(self.path.clone()), self.is_live(setup.options), setup);
        }
        start(&self.path, setup)
    }

    fn check(&self, options: &SourceOptions, _: &FrontendConfig) -> Result<()> {
        // A FIFO waits for its writer.
        if self.is_pipe(options) { Ok(()) } else { open(&self.path, options).map(drop) }
    }
}

impl fmt::Display for FileSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.path.display())
    }
}

/// Opens the file at `path`, of which some channels are heard.
fn open(path: &Path, options: &SourceOptions) -> Result<(AudioReader, Arc<Balance>)> {
    let mut reader = AudioReader::open(path)?;
    let balance = reader.choose(&options.channels)?;
    Ok((reader, balance))
}

/// Starts to play the file at `path`.
fn start(path: &Path, setup: &Setup<'_>) -> Result<Source> {
    let fast = setup.options.fast;
    let (mut reader, balance) = open(path, setup.options)?;
    let sample_rate = reader.sample_rate();
    let description =
        format!("{}, {sample_rate} Hz, {}", path.display(), if fast { "as fast as possible" } else { "in real time" });
    Source::recording((sample_rate, description, balance), setup, move |writer, stop| {
        let result = play(&mut reader, fast, writer, stop);
        reader.log_damage();
        result
    })
}

fn play(reader: &mut AudioReader, fast: bool, mut writer: Writer, stop: &AtomicBool) -> Result<()> {
    let sample_rate = reader.sample_rate();
    let block_len = (sample_rate / BLOCKS_PER_S).max(1) as usize;
    let mut pace = (!fast).then(|| RealTimePace { start: Instant::now(), sample_rate, n_samples: 0 });
    let mut decoded = Vec::new();
    while reader.next_block(&mut decoded)? {
        for block in decoded.chunks(block_len) {
            if let Some(pace) = &mut pace {
                pace.wait_for(block.len());
            }
            if !writer.write_blocking(block, stop) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// When the samples of a stream that began at `start` are due.
struct RealTimePace {
    start: Instant,
    sample_rate: u32,
    n_samples: u64,
}

impl RealTimePace {
    /// Sleeps until a device would deliver the next `n_samples`: when the last of them has been
    /// recorded.
    fn wait_for(&mut self, n_samples: usize) {
        self.n_samples += n_samples as u64;
        let due = self.start + Duration::from_secs_f64(self.n_samples as f64 / f64::from(self.sample_rate));
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Hearing, Session, SourceSpec, start};
    use crate::ring::Chunk;
    use crate::status::Status;

    fn wav(dir: &Path, n_samples: usize) -> std::path::PathBuf {
        let path = dir.join("a.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        (0..n_samples).for_each(|n| writer.write_sample(n as f32 / n_samples as f32).unwrap());
        writer.finalize().unwrap();
        path
    }

    /// A source on the file at `path`, and its session.
    fn opened(path: std::path::PathBuf, fast: bool) -> (Source, Session) {
        let spec = SourceSpec::File(FileSpec { path });
        let mut source = start(
            &spec,
            &SourceOptions { fast, ..SourceOptions::default() },
            &FrontendConfig::student(),
            &Arc::new(Status::default()),
            &Arc::new(Hearing::of("file")),
        )
        .unwrap();
        let session = source.next_session(&AtomicBool::new(false)).unwrap();
        (source, session)
    }

    fn read_to_end(session: &mut Session) -> Vec<f32> {
        let mut buffer = [0.0; 1000];
        let mut all = Vec::new();
        loop {
            match session.reader.read(&mut buffer) {
                Chunk::Samples(n) => all.extend_from_slice(&buffer[..n]),
                Chunk::Gap(n) => panic!("a file lost {n} samples"),
                Chunk::Empty => thread::sleep(Duration::from_millis(1)),
                Chunk::Ended => return all,
            }
        }
    }

    #[test]
    fn a_file_passes_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        // Longer than the ring, so that the reader thread has to wait.
        let n = 16_000 * 6;
        let path = wav(dir.path(), n);
        let (source, mut session) = opened(path, true);
        assert_eq!(session.sample_rate, 16_000);
        let samples = read_to_end(&mut session);
        assert_eq!(samples.len(), n);
        assert!(samples.iter().enumerate().all(|(index, x)| *x == index as f32 / n as f32));
        source.finish().unwrap();
    }

    #[test]
    fn a_file_plays_in_real_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = wav(dir.path(), 16_000 / 2);
        let begin = Instant::now();
        let (_source, mut session) = opened(path, false);
        assert_eq!(read_to_end(&mut session).len(), 8_000);
        let elapsed = begin.elapsed();
        assert!(elapsed >= Duration::from_millis(500), "{elapsed:?}");
    }

    #[test]
    fn a_file_without_audio_ends_in_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = wav(dir.path(), 0);
        let (source, mut session) = opened(path, true);
        assert!(read_to_end(&mut session).is_empty());
        assert!(source.finish().unwrap_err().to_string().contains("contains no audio"));
    }

    #[test]
    fn a_source_that_is_stopped_early_ends_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = wav(dir.path(), 16_000 * 60);
        let begin = Instant::now();
        let (source, _session) = opened(path, false);
        source.finish().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(50), "long before the end of the recording");
    }
}
