//! A source that opens, fails and stalls by a script.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::capture::Content;
use crate::ring;
use crate::status::Status;

/// Opens, fails and stalls, one step after the other.
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
    /// Fails when it is first looked at, because the daemon stops.
    Stops(Arc<AtomicBool>),
    Ends,
}

struct Delivering {
    n_looks: usize,
    waits: bool,
    stops: Option<Arc<AtomicBool>>,
    writer: ring::Writer,
}

impl LiveSource for Script {
    type Opened = Delivering;

    fn open(&mut self, _: &Watch<'_>) -> Result<(Session, Delivering), Failure> {
        let (n_looks, waits, stops) = match self.0.pop_front() {
            Some(Step::Delivers { n_looks }) => (n_looks, false, None),
            Some(Step::Waits) => (usize::MAX, true, None),
            Some(Step::Stops(stop)) => (0, false, Some(stop)),
            Some(Step::Panics) => panic!("a library does not think of everything"),
            Some(Step::Ends) => {
                return Err(Failure { is_final: true, ..Failure::new(fault::ENDED, Error::device("script", "over")) });
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
        Ok((session, Delivering { n_looks, waits, stops, writer }))
    }
}

impl Opened for Delivering {
    fn look(&mut self) -> Result<Look, Failure> {
        if let Some(stop) = &self.stops {
            stop.store(true, Ordering::Relaxed);
        }
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
    let timeout = Duration::from_secs(60);
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
    let session = sessions.recv_timeout(Duration::from_secs(60)).unwrap();
    while hearing.condition() != Condition::Lost {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(hearing.snapshot().capture_fault, Some(fault::STALLED));
    assert!(!session.reader.is_closed() && hearing.snapshot().n_reopened == 0);
    stop.store(true, Ordering::Relaxed);
}

#[test]
fn what_fails_when_the_daemon_stops_has_not_failed() {
    let (hearing, stop) = (Arc::new(Hearing::of("ear")), Arc::new(AtomicBool::new(false)));
    let (sender, sessions) = channel();
    supervise(Script([Step::Stops(stop.clone())].into()), &hearing, &stop, &sender).unwrap();
    assert!(sessions.try_recv().is_ok(), "it was open");
    assert_eq!(hearing.snapshot().capture_reason, None);
}

#[test]
fn a_source_that_says_so_ends() {
    let ((sessions, hearing, _stop), thread) = run([Step::Delivers { n_looks: 1 }, Step::Ends]);
    sessions.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(thread.join().unwrap().unwrap_err().to_string().contains("over"));
    assert_eq!(hearing.snapshot().capture_fault, Some(fault::FAILED), "the end is the worker's to report");
}
