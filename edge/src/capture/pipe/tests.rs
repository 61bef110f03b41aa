//! FIFOs and those who write into them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use edge_frontend::FrontendConfig;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;
use crate::capture::{Condition, SourceSpec, start};
use crate::ring::Chunk;

/// A WAV header of 16-bit mono at 16 kHz, as ffmpeg writes it to a pipe.
const WAV_HEADER: &[u8] = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
    data\xff\xff\xff\xff";

const PATIENCE: Duration = Duration::from_secs(60);

fn listen(path: &Path, live: Option<bool>) -> (Source, Arc<Hearing>) {
    let spec: SourceSpec = format!("file:{}", path.display()).parse().unwrap();
    let options = SourceOptions { live, ..SourceOptions::default() };
    let hearing = Arc::new(Hearing::of("fifo"));
    let source = start(&spec, &options, &FrontendConfig::student(), &Arc::new(Status::default()), &hearing).unwrap();
    (source, hearing)
}

/// Writes some samples again and again, as a shell that starts a program in a loop, until `stop` is
/// set.
fn write_samples(path: PathBuf, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let samples: Vec<u8> = (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    thread::spawn(move || {
        while !stop.load(Relaxed) {
            // Where nobody reads at the moment, the next attempt finds a reader.
            let fifo = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
            let _ = fifo.and_then(|mut fifo| fifo.write(&samples));
            thread::sleep(Duration::from_millis(50));
        }
    })
}

/// Waits until samples arrive, in whichever session.
fn wait_for_samples(source: &mut Source) {
    let (begin, mut buffer) = (Instant::now(), [0.0; 1000]);
    let mut session: Option<Session> = None;
    loop {
        assert!(begin.elapsed() < PATIENCE, "no samples arrive");
        session = source.try_session().or(session);
        match session.as_mut().map(|session| session.reader.read(&mut buffer)) {
            Some(Chunk::Samples(_)) => return,
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Whether the samples of a next writer at `path` are heard.
fn assert_hears_the_next_writer((mut source, hearing): (Source, Arc<Hearing>), path: &Path) {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = write_samples(path.to_path_buf(), stop.clone());
    wait_for_samples(&mut source);
    assert_ne!(hearing.condition(), Condition::Ended);
    stop.store(true, Relaxed);
    writer.join().unwrap();
    source.finish().unwrap();
}

#[test]
fn a_live_fifo_is_opened_again_for_its_next_writer_however_far_the_last_one_came() {
    for beginning in [WAV_HEADER, b"fLaC\0\0\0\x22", b"fLaC", b"\x01"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let listening = listen(&path, Some(true));
        fs::write(&path, beginning).unwrap();
        assert_hears_the_next_writer(listening, &path);
    }
}

#[test]
fn a_fifo_that_is_not_known_to_be_live_ends_with_an_empty_recording() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let (mut source, _) = listen(&path, None);
    fs::write(&path, WAV_HEADER).unwrap();
    while source.next_session(&AtomicBool::new(false)).is_some() {}
    let error = source.finish().unwrap_err().to_string();
    assert!(error.contains("has ended without any audio"), "{error}");
}

#[test]
fn a_live_fifo_that_is_made_later_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let (source, hearing) = listen(&path, Some(true));
    let wait_for = |reason: &str| {
        let begin = Instant::now();
        while !hearing.snapshot().capture_reason.is_some_and(|text| text.contains(reason)) {
            assert!(begin.elapsed() < PATIENCE, "{reason}: {:?}", hearing.snapshot());
            thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for("No such file");
    fs::write(&path, "a recording is not read as a pipe").unwrap();
    wait_for("it is no FIFO");
    fs::remove_file(&path).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert_hears_the_next_writer((source, hearing.clone()), &path);
}

#[test]
fn a_fifo_that_is_removed_and_made_again_is_opened_again() {
    for has_writer in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let (mut source, hearing) = listen(&path, Some(true));
        // One who keeps the removed FIFO open, after some sound.
        let _writer = has_writer.then(|| {
            let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
            writer.write_all(&[1; 2000]).unwrap();
            wait_for_samples(&mut source);
            writer
        });
        fs::remove_file(&path).unwrap();
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert_hears_the_next_writer((source, hearing), &path);
    }
}
