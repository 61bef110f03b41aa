//! Events as JSON lines on standard output, or on any other writer. One thread writes and flushes
//! each line.
//!
//! Begins with what happens after the start: what an earlier process has reported is not printed
//! again.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Sink, join_until};
use crate::error::{Error, Result};
use crate::journal::{Cursor, Gauge, Journal, QUEUE_EVENTS, Start, Waker};

/// Lines that are taken from the journal at once.
const BATCH: usize = 64;

/// A recording waits when this many lines are not read yet.
const BEHIND: u64 = QUEUE_EVENTS as u64 / 2;

/// How often the thread looks whether it is to end, should nothing wake it.
const TICK: Duration = Duration::from_secs(1);

/// What is to happen when the reader of the lines does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBehind {
    /// Nothing: a live source does not wait, and what the journal cannot hold is dropped and
    /// counted.
    GoOn,
    /// A recording that is read faster than real time can wait.
    Wait,
}

/// A writer of JSON lines.
pub struct StdoutSink {
    shared: Arc<Shared>,
    waker: Waker,
    when_behind: WhenBehind,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    ending: AtomicBool,
    gauge: Gauge,
    /// Why there will be no more lines, where that is not the reader's choice.
    failure: Mutex<Option<io::Error>>,
}

impl StdoutSink {
    /// Lines on standard output.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn stdout(journal: &Journal, when_behind: WhenBehind) -> Result<Self> {
        Self::new(io::stdout(), journal, when_behind)
    }

    /// Lines on `writer`.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn new(writer: impl Write + Send + 'static, journal: &Journal, when_behind: WhenBehind) -> Result<Self> {
        let cursor = journal.reader("lines", Start::Now);
        let shared =
            Arc::new(Shared { ending: AtomicBool::new(false), gauge: cursor.gauge(), failure: Mutex::new(None) });
        let thread = std::thread::Builder::new()
            .name("lines".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    if let Err(error) = write_lines(writer, cursor, &shared.ending) {
                        shared.failed(error);
                    }
                }
            })
            .map_err(Error::io("cannot start the thread that writes lines"))?;
        Ok(StdoutSink { shared, waker: journal.waker(), when_behind, thread: Some(thread) })
    }
}

impl Shared {
    fn failed(&self, error: io::Error) {
        // The reader went away, as `head` does: that is its way of saying that it has had enough.
        if error.kind() != ErrorKind::BrokenPipe {
            tracing::error!(%error, "event lines can no longer be written: {error}");
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

impl Sink for StdoutSink {
    fn name(&self) -> &str {
        "lines"
    }

    fn is_open(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn finish(&mut self, deadline: Instant) -> Result<()> {
        self.shared.ending.store(true, Ordering::Release);
        self.waker.wake();
        // A reader that has stopped reading must not keep the daemon from ending.
        if !join_until(&mut self.thread, deadline, "lines") {
            let n_unread = self.shared.gauge.depth().n_events;
            tracing::warn!(
                n_unread,
                "the program that reads the event lines has stopped reading: {n_unread} lines are not written"
            );
        }
        match self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(Error::io("standard output")(error)),
            None => Ok(()),
        }
    }

    fn is_behind(&self) -> bool {
        self.when_behind == WhenBehind::Wait && self.is_open() && self.shared.gauge.depth().n_events >= BEHIND
    }
}

fn write_lines(mut writer: impl Write, mut cursor: Cursor, ending: &AtomicBool) -> io::Result<()> {
    loop {
        // Looked at first: what comes after it is not to be waited for.
        let is_last = ending.load(Ordering::Acquire);
        let records = cursor.take(BATCH);
        for record in &records {
            writeln!(writer, "{}", record.payload)?;
            writer.flush()?;
            cursor.acknowledge(record.seq);
        }
        match (records.is_empty(), is_last) {
            (true, true) => return Ok(()),
            (true, false) => cursor.wait(TICK),
            (false, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::{event, journal};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn finish(lines: &mut StdoutSink) -> Result<()> {
        lines.finish(Instant::now() + Duration::from_secs(60))
    }

    #[test]
    fn everything_that_waits_is_written_before_the_end() {
        let (out, journal) = (Kept::default(), journal());
        let mut lines = StdoutSink::new(out.clone(), &journal, WhenBehind::Wait).unwrap();
        let event = event("bell");
        for _ in 0..10 {
            journal.append(&vec![event.clone(); 10]);
        }
        finish(&mut lines).unwrap();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, format!("{}\n", event.to_json()).repeat(100));
    }

    #[test]
    fn a_closed_pipe_closes_the_sink_and_holds_nothing_back() {
        let journal = journal();
        let mut lines = StdoutSink::new(Failing(ErrorKind::BrokenPipe), &journal, WhenBehind::Wait).unwrap();
        assert!(lines.is_open());
        journal.append(&[event("bell")]);
        finish(&mut lines).unwrap();
        assert!(!lines.is_open() && !lines.is_behind());
        journal.append(&vec![event("bell"); 100]);
        assert_eq!(journal.events(&Default::default()), [], "nobody waits for them");
    }

    /// Takes nothing until it is let go.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_or(Err(ErrorKind::BrokenPipe.into()), |()| Ok(bytes.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_recording_waits_for_a_reader_that_is_behind_and_a_live_source_does_not() {
        for (when_behind, waits) in [(WhenBehind::Wait, true), (WhenBehind::GoOn, false)] {
            let (journal, (_let_go, held)) = (journal(), std::sync::mpsc::channel());
            let lines = StdoutSink::new(Stuck(held), &journal, when_behind).unwrap();
            let batch = vec![event("bell"); QUEUE_EVENTS / 2];
            assert!(!lines.is_behind());
            journal.append(&batch);
            assert_eq!(lines.is_behind(), waits);
        }
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let journal = journal();
        let mut lines = StdoutSink::new(Failing(ErrorKind::StorageFull), &journal, WhenBehind::Wait).unwrap();
        journal.append(&[event("bell")]);
        let error = finish(&mut lines).unwrap_err();
        assert!(error.to_string().starts_with("standard output: "), "{error}");
        assert_eq!(error.kind().exit_code(), 1);
    }
}
