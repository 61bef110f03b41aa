//! One attempt to connect after the other: faults enter; what several of them mean together, when
//! to try again and where leaves.
//!
//! A connection is sound after it has lived for a minute. What ends earlier, accepted or not, makes
//! the waits longer.

use std::time::{Duration, Instant};

use super::faults;
use super::route::Route;
use crate::fault::{Backoff, Fault, SOUND};
use crate::publish::BrokerUrl;

/// Wait after the first failure to connect; doubled after each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// A broker that accepts connections is there, and waits for events.
const LAST_BACKOFF_ACCEPTED: Duration = Duration::from_secs(8);

/// Ends of connections that were accepted, with nothing on its way and none refused in between,
/// that mean something.
const N_ENDS: u32 = 3;

/// The fault of [`client_id_taken`].
pub(super) const CLIENT_ID_TAKEN: &str = "client-id-taken";

pub(super) struct Attempts {
    url: BrokerUrl,
    client_id: String,
    route: Route,
    backoff: Backoff,
    /// When the connection was accepted.
    since: Option<Instant>,
    was_accepted: bool,
    n_accepted: u64,
    /// Accepted connections that ended early, in a row.
    n_short: u32,
    /// Attempts in a row that the broker ended before it accepted them.
    n_early: u32,
    keep_will: bool,
    /// Whether the last will was to be retained after all, since a connection ended last.
    asked_again: bool,
    n_without_will: u64,
}

/// Two clients with one id throw each other out, in turns.
pub(super) fn client_id_taken(client_id: &str) -> Fault {
    Fault::new(
        CLIENT_ID_TAKEN,
        format!(
            "the broker ends connections soon after it has accepted them: another client seems to use the id \
             {client_id:?}; give each device its own name or mqtt.client_id. If no other client does, the broker may \
             forbid a topic: its log gives the reason"
        ),
    )
}

impl Attempts {
    pub(super) fn new(url: &BrokerUrl, client_id: &str) -> Self {
        Attempts {
            url: url.clone(),
            client_id: client_id.to_string(),
            route: Route::new(url),
            backoff: Backoff::new(FIRST_BACKOFF, LAST_BACKOFF),
            since: None,
            was_accepted: false,
            n_accepted: 0,
            n_short: 0,
            n_early: 0,
            keep_will: true,
            asked_again: false,
            n_without_will: 0,
        }
    }

    /// The broker has accepted the connection.
    pub(super) fn connected(&mut self) {
        self.since = Some(Instant::now());
        self.n_accepted += 1;
        self.n_early = 0;
        self.n_without_will += u64::from(!self.keep_will);
    }

    /// Whether this is the first connection that was accepted.
    pub(super) fn is_first(&self) -> bool {
        self.n_accepted == 1
    }

    /// Whether this is the first connection that was accepted without a last will that is kept.
    pub(super) fn is_first_without_will(&self) -> bool {
        !self.keep_will && self.n_without_will == 1
    }

    /// Whether the connection is to be made once more if the broker turns out to retain messages:
    /// it was something else that ended the attempts with a last will, such as a proxy before a
    /// broker that was being started.
    pub(super) fn lacks_will(&self) -> bool {
        !self.keep_will && !self.asked_again
    }

    /// The connection was ended from here, to be made with a last will that is retained.
    pub(super) fn ask_again(&mut self) {
        (self.keep_will, self.asked_again, self.n_early, self.since) = (true, true, 0, None);
    }

    /// Whether the connection has lived for long enough.
    pub(super) fn is_sound(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= SOUND)
    }

    /// Whether `fault` is that the broker has ended a connection that it had accepted.
    pub(super) fn is_hung_up(&self, fault: &Fault) -> bool {
        self.since.is_some() && fault.kind() == faults::CLOSED
    }

    /// The connection, or the attempt, has ended with `fault` and `n_in_flight` messages on their
    /// way. Returns why, which earlier ends may show.
    pub(super) fn failed(&mut self, fault: Fault, n_in_flight: usize) -> Fault {
        let (is_closed, is_silent) = (fault.kind() == faults::CLOSED, fault.kind() == faults::SILENT);
        let lived = self.since.take().map(|since| since.elapsed());
        self.was_accepted = lived.is_some();
        let Some(lived) = lived else {
            self.n_short = 0;
            self.route.failed(is_silent);
            self.n_early = if is_closed { self.n_early + 1 } else { 0 };
            if self.n_early >= 2 {
                // A broker that retains nothing does not take a last will that is to be retained,
                // and has no way to report that.
                (self.keep_will, self.n_early) = (!self.keep_will, 0);
            }
            return faults::before_acceptance(fault, &self.url);
        };
        self.backoff.worked_for(lived);
        self.asked_again = false;
        // What ended the attempts before was something else, unless it hangs up on what is
        // retained, too.
        self.keep_will |= !(is_closed && n_in_flight > 0);
        match (lived < SOUND, is_closed, n_in_flight) {
            (true, true, 0) => self.n_short += 1,
            // Something on its way may be the reason, or not.
            (true, true, _) => {}
            _ => self.n_short = 0,
        }
        if self.n_short >= N_ENDS { client_id_taken(&self.client_id) } else { fault }
    }

    /// How long to wait before the next attempt. Half of it is chance, so that a house full of
    /// devices does not come back all at once.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.backoff.next_wait();
        let last = if self.was_accepted { LAST_BACKOFF_ACCEPTED } else { LAST_BACKOFF };
        wait.min(last).mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// Where the next attempt goes.
    pub(super) fn target(&self) -> String {
        self.route.target()
    }

    /// Whether the last will is to be retained.
    pub(super) fn keep_will(&self) -> bool {
        self.keep_will
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts() -> Attempts {
        Attempts::new(&"mqtt://broker.local".parse().unwrap(), "earwitness-ear")
    }

    /// Attempts that the other end closes before it accepts them.
    fn closed_early(attempts: &mut Attempts, n: u32) {
        (0..n).for_each(|_| drop(attempts.failed(Fault::new(faults::CLOSED, "closed"), 0)));
    }

    #[test]
    fn a_last_will_that_is_given_up_is_asked_for_once_more_per_connection() {
        let mut attempts = attempts();
        // A proxy before a broker that is being started.
        closed_early(&mut attempts, 2);
        attempts.connected();
        assert!(!attempts.keep_will() && attempts.lacks_will());
        attempts.ask_again();
        assert!(attempts.keep_will());
        attempts.connected();
        assert!(attempts.keep_will() && !attempts.lacks_will());

        // A broker that takes what is retained but no such last will: once is enough.
        let mut attempts = self::attempts();
        closed_early(&mut attempts, 2);
        attempts.connected();
        attempts.ask_again();
        closed_early(&mut attempts, 2);
        attempts.connected();
        assert!(!attempts.keep_will() && !attempts.lacks_will());
        // It is restarted.
        attempts.failed(Fault::new(faults::CLOSED, "closed"), 0);
        closed_early(&mut attempts, 2);
        attempts.connected();
        assert!(!attempts.keep_will() && attempts.lacks_will());
    }
}
