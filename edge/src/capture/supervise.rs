//! Keeps a live source open: a way to open it enters, one [`Session`] an opening leaves. Runs on the capture thread.
//!
//! No state is terminal. What does not open is tried again, what fails is closed and opened again, after a wait that doubles from a
//! quarter of a second to five; a source that was heard for a minute begins anew. Every failure is told to [`Hearing`], which
//! logs it once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::{Condition, Hearing, Session};
use crate::error::{Error, Result};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What was heard for so long was not just opened in vain.
const SOUND: Duration = Duration::from_secs(60);

/// How often the thread looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// A source that can be opened again and again.
pub(super) trait Live {
    /// What is opened.
    type Opened: Opened;

    /// Opens it and sets it going.
    ///
    /// # Errors
    ///
    /// Why it does not open.
    fn open(&mut self) -> Result<(Session, Self::Opened)>;
}

/// A source that is open.
pub(super) trait Opened {
    /// Whether samples have come since the last call, or why there will be none any more.
    ///
    /// # Errors
    ///
    /// What is wrong with the source.
    fn look(&mut self) -> Result<bool>;

    /// Closes it and ends its session, within a second or so even if it hangs.
    fn close(self);
}

/// Keeps `live` open until `stop` is set or nobody takes its sessions any more.
pub(super) fn supervise(mut live: impl Live, hearing: &Arc<Hearing>, stop: &AtomicBool, sessions: &Sender<Session>) {
    let mut wait = FIRST_WAIT;
    while !stop.load(Ordering::Relaxed) {
        hearing.beat();
        let failure = match live.open() {
            Ok((session, mut opened)) => {
                hearing.opened();
                if sessions.send(session).is_err() {
                    return opened.close();
                }
                let since = Instant::now();
                let end = watch(&mut opened, hearing, stop);
                if since.elapsed() > SOUND {
                    wait = FIRST_WAIT;
                }
                // Before the device is closed, which may take its time.
                if let End::Failed(error) = &end {
                    lost(hearing, error);
                }
                opened.close();
                match end {
                    End::Failed(error) => error,
                    // When is the worker's to say, and so is what is wrong.
                    End::Reopened => continue,
                    End::Stopped => return,
                }
            }
            Err(error) => error,
        };
        lost(hearing, &failure);
        let until = Instant::now() + wait;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            hearing.beat();
            thread::sleep(TICK);
        }
        wait = (wait * 2).min(LAST_WAIT);
    }
}

fn lost(hearing: &Hearing, error: &Error) {
    hearing.set(Condition::Lost, format!("{error}; trying again until it works"));
}

/// Why a source is not watched any more.
enum End {
    Stopped,
    Failed(Error),
    /// The worker asked for it.
    Reopened,
}

/// Looks after an open source.
fn watch(opened: &mut impl Opened, hearing: &Hearing, stop: &AtomicBool) -> End {
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        hearing.beat();
        match opened.look() {
            // What is in the samples is for the worker to say.
            Ok(true) if matches!(hearing.condition(), Condition::Opening | Condition::Lost) => {
                hearing.set(Condition::Listening, None);
            }
            Ok(_) => {}
            Err(error) => return End::Failed(error),
        }
        if hearing.is_asked_to_reopen() {
            tracing::info!(source = hearing.name(), "{}: opening the source again", hearing.name());
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
        Delivers { n_looks: usize },
    }

    struct Delivering {
        n_looks: usize,
        writer: ring::Writer,
    }

    impl Live for Script {
        type Opened = Delivering;

        fn open(&mut self) -> Result<(Session, Delivering)> {
            match self.0.pop_front() {
                Some(Step::Delivers { n_looks }) => {
                    let (writer, reader) = ring::ring(100, Arc::new(Status::default()));
                    let session =
                        Session { sample_rate: 8_000, content: Content::Samples, description: "script".into(), reader };
                    Ok((session, Delivering { n_looks, writer }))
                }
                Some(Step::Busy) | None => Err(Error::device("script", "busy")),
            }
        }
    }

    impl Opened for Delivering {
        fn look(&mut self) -> Result<bool> {
            self.n_looks = self.n_looks.checked_sub(1).ok_or_else(|| Error::device("script", "unplugged"))?;
            Ok(true)
        }

        fn close(self) {
            drop(self.writer);
        }
    }

    fn run(steps: impl IntoIterator<Item = Step>) -> (Receiver<Session>, Arc<Hearing>, Arc<AtomicBool>) {
        let (hearing, stop) = (Arc::new(Hearing::of("ear")), Arc::new(AtomicBool::new(false)));
        let (sender, sessions) = channel();
        let script = Script(steps.into_iter().collect());
        thread::spawn({
            let (hearing, stop) = (hearing.clone(), stop.clone());
            move || supervise(script, &hearing, &stop, &sender)
        });
        (sessions, hearing, stop)
    }

    #[test]
    fn what_is_busy_or_unplugged_is_opened_again_and_all_of_it_is_told() {
        let (sessions, hearing, stop) =
            run([Step::Busy, Step::Delivers { n_looks: 2 }, Step::Busy, FOR_EVER, FOR_EVER]);
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
        hearing.judge(Condition::Dead, "zeros".to_string());
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
}
