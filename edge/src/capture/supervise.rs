//! Keeps a live source open: a way to open it enters, one [`Session`] per opening leaves. Runs on
//! the capture thread, for microphones, microcontrollers, pipes, programs and network streams
//! alike.
//!
//! What does not open is tried again, what fails is closed and opened again, after a wait that
//! doubles from a quarter of a second to five; a source that was heard for a minute begins with the
//! first wait again. What can only be waited for stays open meanwhile. Every failure is reported to
//! [`Hearing`]. Only a source that reports its own end ends, as standard input does when its writer
//! has closed it.

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

/// How long after a failure a stop may become known that was its cause: systemd and others stop a
/// command and its daemon together, and the worker looks every now and then.
const GRACE: Duration = Duration::from_millis(100);

/// A source that can be opened again and again.
pub(super) trait LiveSource {
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

/// Keeps `live` open until `stop` is set, its sessions are no longer taken, or it has ended.
///
/// # Errors
///
/// What ended it.
pub(super) fn supervise(
    mut live: impl LiveSource,
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
                if let End::Failed(failure) = &end
                    && !ends(failure, &watch_over)
                {
                    lost(hearing, failure);
                }
                opened.close();
                match end {
                    End::Failed(failure) => failure,
                    // When, and what is wrong, is decided by the worker.
                    End::Reopened => continue,
                    End::Stopped => return Ok(()),
                }
            }
            Err(failure) => failure,
        };
        if ends(&failure, &watch_over) {
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
fn open<L: LiveSource>(live: &mut L, watch: &Watch<'_>) -> Result<(Session, L::Opened), Failure> {
    catch_unwind(AssertUnwindSafe(|| live.open(watch))).unwrap_or_else(|_| {
        Err(Error::Thread { thread: "capture", reason: "panicked while it opened the source".into() }.into())
    })
}

/// Whether the daemon ends, and not the source alone.
fn ends(failure: &Failure, watch: &Watch<'_>) -> bool {
    let until = Instant::now() + if failure.is_final { Duration::ZERO } else { GRACE };
    while watch.goes_on() && Instant::now() < until {
        thread::sleep(TICK / 5);
    }
    !watch.goes_on()
}

fn lost(hearing: &Hearing, failure: &Failure) {
    match &failure.error {
        // The worker will report its end.
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
            // What the samples contain is judged by the worker.
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
mod tests;
