//! Keeps a live source open: a way to open it enters, one [`Session`] per opening leaves. Runs on
//! the capture thread, for microphones, microcontrollers, pipes, programs and network streams
//! alike.
//!
//! What does not open is tried again, what fails is closed and opened again, after a wait that
//! doubles from a quarter of a second to five; a source that was heard for a minute begins anew.
//! What can only be waited for stays open meanwhile. Every failure is reported to [`Hearing`]. Only
//! a source that says so itself ends, as standard input does when its writer has closed it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::hearing::fault;
use super::{Condition, Hearing, Session};
use crate::error::{Error, Result};
use crate::fault::{Backoff, Fault};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How often the thread looks whether it is to end.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// A source that can be opened again and again.
pub(super) trait Live {
    /// What is opened.
    type Opened: Opened;

    /// Opens it and sets it going. One that has to wait for its first bytes looks at `watch` every
    /// [`TICK`].
    ///
    /// # Errors
    ///
    /// Why it does not open.
    fn open(&mut self, watch: &Watch<'_>) -> Result<(Session, Self::Opened), Failure>;
}

/// A source that is open.
pub(super) trait Opened {
    /// What has happened since the last call.
    ///
    /// # Errors
    ///
    /// Why no samples will come any more.
    fn look(&mut self) -> Result<Look, Failure>;

    /// Whether to open it again may help where it delivers nothing but zeros.
    fn is_worth_reopening(&self) -> bool {
        true
    }

    /// Closes it and ends its session, within a second or so even if it hangs.
    fn close(self);
}

/// What there is to see in a source that is open.
pub(super) enum Look {
    /// Nothing new.
    Nothing,
    /// Samples have come.
    Delivers,
    /// None have come for too long, and all that can be done is to wait.
    Waits(Failure),
}

/// Why a source is not heard.
#[derive(Debug)]
pub(super) struct Failure {
    /// Its kind, of those in [`fault`].
    pub(super) kind: &'static str,
    /// `None` where a source has come to its end as it should.
    pub(super) error: Option<Error>,
    /// Whether there is no use in trying again.
    pub(super) is_final: bool,
}

impl Failure {
    pub(super) fn new(kind: &'static str, error: Error) -> Self {
        Failure { kind, error: Some(error), is_final: false }
    }

    /// The end of a recording that came through a pipe.
    pub(super) fn none() -> Self {
        Failure { kind: fault::ENDED, error: None, is_final: true }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(fault::UNOPENED, error)
    }
}

/// Where one who opens a source shows that he is alive, and learns whether to go on.
pub(super) struct Watch<'a> {
    hearing: &'a Hearing,
    stop: &'a AtomicBool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(hearing: &'a Hearing, stop: &'a AtomicBool) -> Self {
        Watch { hearing, stop }
    }

    /// Whether to go on; to be asked every [`TICK`].
    pub(super) fn goes_on(&self) -> bool {
        self.hearing.beat();
        !self.stop.load(Ordering::Relaxed)
    }

    /// Reports what is being waited for.
    pub(super) fn waits(&self, failure: &Failure) {
        if let Some(error) = &failure.error {
            self.hearing.lost(Fault::new(failure.kind, error));
        }
    }
}

/// Keeps `live` open until `stop` is set, nobody takes its sessions any more, or it has ended.
///
/// # Errors
///
/// What ended it.
pub(super) fn supervise(
    mut live: impl Live,
    hearing: &Arc<Hearing>,
    stop: &AtomicBool,
    sessions: &Sender<Session>,
) -> Result<()> {
    let watch_over = Watch::new(hearing, stop);
    let mut backoff = Backoff::new(FIRST_WAIT, LAST_WAIT);
    while watch_over.goes_on() {
        let failure = match open(&mut live, &watch_over) {
            Ok((session, mut opened)) => {
                hearing.opened();
                if sessions.send(session).is_err() {
                    opened.close();
                    return Ok(());
                }
                let since = Instant::now();
                let end = watch(&mut opened, hearing, &watch_over);
                backoff.worked_for(since.elapsed());
                // Before the device is closed, which may take its time.
                if let End::Failed(failure) = &end {
                    lost(hearing, failure);
                }
                opened.close();
                match end {
                    End::Failed(failure) => failure,
                    // When is the worker's to say, and so is what is wrong.
                    End::Reopened => continue,
                    End::Stopped => return Ok(()),
                }
            }
            Err(failure) => failure,
        };
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        lost(hearing, &failure);
        if failure.is_final {
            return failure.error.map_or(Ok(()), Err);
        }
        let until = Instant::now() + backoff.next_wait();
        while Instant::now() < until && watch_over.goes_on() {
            thread::sleep(TICK);
        }
    }
    Ok(())
}

/// Opens a source. A panic of a library in it is a failure like others.
fn open<L: Live>(live: &mut L, watch: &Watch<'_>) -> Result<(Session, L::Opened), Failure> {
    catch_unwind(AssertUnwindSafe(|| live.open(watch))).unwrap_or_else(|_| {
        Err(Error::Thread { thread: "capture", reason: "panicked while it opened the source".into() }.into())
    })
}

fn lost(hearing: &Hearing, failure: &Failure) {
    match &failure.error {
        // Of its end the worker will tell.
        _ if failure.is_final => {}
        Some(error) => hearing.lost(Fault::new(failure.kind, format!("{error}; trying again until it works"))),
        None => {}
    }
}

/// Why a source is not watched any more.
enum End {
    Stopped,
    Failed(Failure),
    /// The worker asked for it.
    Reopened,
}

/// Looks after an open source.
fn watch(opened: &mut impl Opened, hearing: &Hearing, watch: &Watch<'_>) -> End {
    while watch.goes_on() {
        thread::sleep(TICK);
        match opened.look() {
            // What is in the samples is for the worker to say.
            Ok(Look::Delivers) if matches!(hearing.condition(), Condition::Opening | Condition::Lost) => {
                hearing.listening();
            }
            Ok(Look::Waits(failure)) => watch.waits(&failure),
            Ok(Look::Delivers | Look::Nothing) => {}
            Err(failure) => return End::Failed(failure),
        }
        if hearing.is_asked_to_reopen() && opened.is_worth_reopening() {
            tracing::debug!(source = hearing.name(), "{}: opening the source again", hearing.name());
            return End::Reopened;
        }
    }
    End::Stopped
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::capture::Content;
    use crate::ring;
    use crate::status::Status;

    /// Opens, fails and stalls as it is told.
    struct Script(VecDeque<Step>);

    const FOR_EVER: Step = Step::Delivers { n_looks: usize::MAX };

    enum Step {
        Busy,
        Panics,
        Delivers {
            n_looks: usize,
        },
        /// Stalls, and can only be waited for.
        Waits,
        Ends,
    }

    struct Delivering {
        n_looks: usize,
        waits: bool,
        writer: ring::Writer,
    }

    impl Live for Script {
        type Opened = Delivering;

        fn open(&mut self, _: &Watch<'_>) -> Result<(Session, Delivering), Failure> {
            let (n_looks, waits) = match self.0.pop_front() {
                Some(Step::Delivers { n_looks }) => (n_looks, false),
                Some(Step::Waits) => (usize::MAX, true),
                Some(Step::Panics) => panic!("a library does not think of everything"),
                Some(Step::Ends) => {
                    return Err(Failure {
                        is_final: true,
                        ..Failure::new(fault::ENDED, Error::device("script", "over"))
                    });
                }
                Some(Step::Busy) | None => return Err(Error::device("script", "busy").into()),
            };
            let (writer, reader) = ring::ring(100, Arc::new(Status::default()));
            let session = Session {
                sample_rate: 8_000,
                content: Content::Samples,
                description: "script".into(),
                reader,
                balance: None,
            };
            Ok((session, Delivering { n_looks, waits, writer }))
        }
    }

    impl Opened for Delivering {
        fn look(&mut self) -> Result<Look, Failure> {
            let unplugged = || Failure::new(fault::FAILED, Error::device("script", "unplugged"));
            self.n_looks = self.n_looks.checked_sub(1).ok_or_else(unplugged)?;
            match self.waits {
                true => Ok(Look::Waits(Failure::new(fault::STALLED, Error::device("script", "asleep")))),
                false => Ok(Look::Delivers),
            }
        }

        fn close(self) {
            drop(self.writer);
        }
    }

    type Running = (Receiver<Session>, Arc<Hearing>, Arc<AtomicBool>);

    fn run(steps: impl IntoIterator<Item = Step>) -> (Running, thread::JoinHandle<Result<()>>) {
        let (hearing, stop) = (Arc::new(Hearing::of("ear")), Arc::new(AtomicBool::new(false)));
        let (sender, sessions) = channel();
        let script = Script(steps.into_iter().collect());
        let thread = thread::spawn({
            let (hearing, stop) = (hearing.clone(), stop.clone());
            move || supervise(script, &hearing, &stop, &sender)
        });
        ((sessions, hearing, stop), thread)
    }

    #[test]
    fn what_is_busy_or_unplugged_is_opened_again_and_all_of_it_is_told() {
        let steps = [Step::Busy, Step::Panics, Step::Delivers { n_looks: 2 }, Step::Busy, FOR_EVER, FOR_EVER];
        let ((sessions, hearing, stop), _thread) = run(steps);
        let timeout = Duration::from_secs(20);
        let first = sessions.recv_timeout(timeout).unwrap();
        let second = sessions.recv_timeout(timeout).unwrap();
        assert!(first.reader.is_closed(), "a session ends before the next one begins");
        while hearing.condition() != Condition::Listening {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(hearing.snapshot().n_reopened, 1);
        assert!(!second.reader.is_closed());

        // The worker has heard nothing but zeros.
        hearing.judge(Condition::Dead, Fault::new("dead", "zeros"));
        hearing.ask_to_reopen();
        let third = sessions.recv_timeout(timeout).unwrap();
        assert!(second.reader.is_closed() && !third.reader.is_closed());
        assert_eq!(hearing.condition(), Condition::Dead, "opening it again proves nothing");
        hearing.ask_to_reopen();
        while hearing.condition() != Condition::Lost {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(hearing.snapshot().capture_reason.unwrap().contains("busy"));
        hearing.judge(Condition::Listening, None);
        assert_eq!(hearing.condition(), Condition::Lost, "what was left in the ring proves nothing, either");
        assert!(hearing.since_beat() < timeout);
        stop.store(true, Ordering::Relaxed);
        // Nobody sends any more once the thread has ended.
        assert!(sessions.recv_timeout(timeout).is_err());
    }

    #[test]
    fn what_can_only_be_waited_for_is_reported_and_stays_open() {
        let ((sessions, hearing, stop), _thread) = run([Step::Waits]);
        let session = sessions.recv_timeout(Duration::from_secs(20)).unwrap();
        while hearing.condition() != Condition::Lost {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(hearing.snapshot().capture_fault, Some(fault::STALLED));
        assert!(!session.reader.is_closed() && hearing.snapshot().n_reopened == 0);
        stop.store(true, Ordering::Relaxed);
    }

    #[test]
    fn a_source_that_says_so_ends() {
        let ((sessions, hearing, _stop), thread) = run([Step::Delivers { n_looks: 1 }, Step::Ends]);
        sessions.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(thread.join().unwrap().unwrap_err().to_string().contains("over"));
        assert_eq!(hearing.snapshot().capture_fault, Some(fault::FAILED), "the end is the worker's to report");
    }
}
