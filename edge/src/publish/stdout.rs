//! Events as JSON lines on standard output, or on any other writer. One thread writes and flushes each line.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Message, QUEUE_EVENTS, Sink};
use crate::error::{Error, Result};

/// What to do when the reader of the lines does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Drop the new line and count it: a live source does not wait.
    Drop,
    /// Wait: a file that is read faster than real time can.
    Wait,
}

/// A writer of JSON lines.
pub struct Lines {
    sender: Option<SyncSender<Arc<Message>>>,
    open: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    when_full: WhenFull,
    n_dropped: u64,
}

impl Lines {
    /// Lines on standard output.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn stdout(when_full: WhenFull) -> Result<Self> {
        Self::new(io::stdout(), when_full)
    }

    /// Lines on `writer`.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn new(writer: impl Write + Send + 'static, when_full: WhenFull) -> Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_EVENTS);
        let open = Arc::new(AtomicBool::new(true));
        let thread_open = Arc::clone(&open);
        let thread = std::thread::Builder::new()
            .name("lines".into())
            .spawn(move || {
                write_lines(writer, &receiver);
                thread_open.store(false, Ordering::Release);
            })
            .map_err(Error::io("start the thread that writes lines"))?;
        Ok(Lines { sender: Some(sender), open, thread: Some(thread), when_full, n_dropped: 0 })
    }
}

impl Sink for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn publish(&mut self, messages: &[Arc<Message>]) {
        let Some(sender) = &self.sender else { return };
        for message in messages.iter().map(Arc::clone) {
            match self.when_full {
                // A closed channel means a closed pipe, which `is_open` reports.
                WhenFull::Wait => drop(sender.send(message)),
                WhenFull::Drop => {
                    if let Err(TrySendError::Full(_)) = sender.try_send(message) {
                        self.n_dropped += 1;
                        if self.n_dropped.is_power_of_two() {
                            let n_dropped = self.n_dropped;
                            tracing::warn!(
                                n_dropped,
                                "the reader of the event lines does not keep up: {n_dropped} lines dropped"
                            );
                        }
                    }
                }
            }
        }
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn finish(&mut self, deadline: Instant) {
        self.sender = None;
        // A reader that has stopped reading must not keep the daemon from ending, so the thread is joined only once it is done.
        while self.is_open() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.is_open() {
            tracing::warn!("the reader of the event lines does not read, lines lost");
        } else if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes lines ended in a panic");
        }
    }
}

fn write_lines(mut writer: impl Write, receiver: &Receiver<Arc<Message>>) {
    for message in receiver {
        let written = writeln!(writer, "{}", message.json).and_then(|()| writer.flush());
        if let Err(error) = written {
            // The reader went away, as `head` does: that is its way of saying that it has had enough.
            if error.kind() != ErrorKind::BrokenPipe {
                tracing::error!(%error, "event lines cannot be written any more: {error}");
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::publish::FINISH_TIMEOUT;
    use crate::publish::tests::message;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_queued_is_written_before_the_end() {
        let out = Shared::default();
        let mut lines = Lines::new(out.clone(), WhenFull::Wait).unwrap();
        let message = message("bell");
        for _ in 0..10 {
            lines.publish(&vec![Arc::clone(&message); 10]);
        }
        lines.finish(Instant::now() + FINISH_TIMEOUT);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, format!("{}\n", message.json).repeat(100));
    }

    #[test]
    fn a_closed_pipe_closes_the_sink() {
        let mut lines = Lines::new(Closed, WhenFull::Drop).unwrap();
        assert!(lines.is_open());
        lines.publish(&[message("bell")]);
        lines.finish(Instant::now() + FINISH_TIMEOUT);
        assert!(!lines.is_open());
        lines.publish(&[message("bell")]);
    }
}
