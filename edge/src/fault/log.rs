//! Which faults of one part are worth a line of the log: every kind once, and again less and less
//! often while they keep coming back.
//!
//! A part that fails and recovers all day, as a broker with a bad cable does, must not fill the
//! log. The first fault of a kind is reported at once. After a report, kinds that were reported
//! before are silent for a minute, then for two, and so on up to an hour: a part that has several
//! kinds of faults costs no more lines for that. A kind that stayed away for an hour counts as new.
//! Recovery is reported where the fault was.
//!
//! A part of which one kind has several causes, such as all the reasons for which a camera does not
//! open, may name them ([`FaultLog::occurred_by`]): up to [`N_CAUSES`] causes of a kind are each
//! reported like a kind of their own.

use std::time::{Duration, Instant};

use super::Fault;

const FIRST_SILENCE: Duration = Duration::from_secs(60);
const LAST_SILENCE: Duration = Duration::from_secs(3600);

/// This many causes of one kind are reported separately. Each further one takes the place of the
/// cause that was seen least recently.
pub const N_CAUSES: usize = 4;

/// What one part has reported of its faults.
#[derive(Debug, Default)]
pub struct FaultLog {
    entries: Vec<Entry>,
    /// When something was reported last, and for how long kinds that are known are silent since.
    silence: Option<(Instant, Duration)>,
    /// Whether a fault was reported whose end was not.
    is_open: bool,
}

/// A fault that is to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// How often the kind has occurred since it was last reported, without this time.
    pub n_unreported: u64,
}

#[derive(Debug)]
struct Entry {
    kind: &'static str,
    cause: String,
    seen: Instant,
    n_unreported: u64,
}

impl FaultLog {
    /// Notes that `fault` has occurred. `Some` when it is to be reported.
    pub fn occurred(&mut self, fault: &Fault) -> Option<News> {
        self.occurred_by(fault, "")
    }

    /// Notes that `fault` has occurred by a cause, which is the same text for all occurrences.
    /// `Some` when it is to be reported.
    pub fn occurred_by(&mut self, fault: &Fault, cause: &str) -> Option<News> {
        self.occurred_at(fault, cause, Instant::now())
    }

    fn occurred_at(&mut self, fault: &Fault, cause: &str, now: Instant) -> Option<News> {
        let is_quiet = self.entries.iter().all(|entry| now - entry.seen >= LAST_SILENCE);
        let (reported, length) = self.silence.filter(|_| !is_quiet).unwrap_or((now, FIRST_SILENCE));
        let (entry, is_known) = self.entry(fault.kind(), cause, now);
        let is_new = !is_known || now - entry.seen >= LAST_SILENCE;
        entry.seen = now;
        if !is_new && now - reported < length {
            entry.n_unreported += 1;
            return None;
        }
        let news = News { n_unreported: std::mem::take(&mut entry.n_unreported) };
        self.silence = Some((now, if is_new { length } else { (length * 2).min(LAST_SILENCE) }));
        self.is_open = true;
        Some(news)
    }

    /// The entry of a kind and cause, and whether there was one, or too many others of the kind.
    fn entry(&mut self, kind: &'static str, cause: &str, now: Instant) -> (&mut Entry, bool) {
        let of_kind = || self.entries.iter().enumerate().filter(|(_, entry)| entry.kind == kind);
        let same = of_kind().find(|(_, entry)| entry.cause == cause).map(|(at, _)| at);
        let oldest = of_kind().min_by_key(|(_, entry)| entry.seen).map(|(at, _)| at);
        let known = same.or(oldest.filter(|_| of_kind().count() >= N_CAUSES));
        let at = known.unwrap_or_else(|| {
            self.entries.push(Entry { kind, cause: String::new(), seen: now, n_unreported: 0 });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        if entry.cause != cause {
            entry.cause = cause.to_string();
        }
        (entry, known.is_some())
    }

    /// Notes that all is well. Returns whether that is to be reported, because a fault was.
    pub fn recovered(&mut self) -> bool {
        std::mem::take(&mut self.is_open)
    }
}

impl News {
    /// ` (and 12 more times since this was last reported)`, or nothing if there were none.
    pub fn suffix(self) -> String {
        match self.n_unreported {
            0 => String::new(),
            n => format!(" (and {n} more times since this was last reported)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_stays_is_reported_less_and_less_often() {
        let mut log = FaultLog::default();
        let start = Instant::now();
        // One attempt a second for a day, and the text is another one each time.
        let reported: Vec<u64> = (0..86_400)
            .filter(|s| {
                let fault = Fault::new("refused", format!("refused after {s} s"));
                log.occurred_at(&fault, "", start + Duration::from_secs(*s)).is_some()
            })
            .collect();
        assert_eq!(reported[..5], [0, 60, 180, 420, 900]);
        assert!(reported.len() < 40, "{}", reported.len());
    }

    #[test]
    fn kinds_that_take_turns_are_reported_once_each_and_so_is_the_recovery() {
        let mut log = FaultLog::default();
        let now = Instant::now();
        let faults = ["refused", "timeout"].map(|kind| Fault::new(kind, kind));
        assert!(!log.recovered());
        let mut n_lines = 0;
        for n in 0..1000 {
            n_lines += usize::from(log.occurred_at(&faults[n % 2], "", now).is_some());
            n_lines += usize::from(log.recovered());
        }
        assert_eq!(n_lines, 4);
        let news = log.occurred_at(&faults[0], "", now + FIRST_SILENCE).unwrap();
        assert_eq!(news, News { n_unreported: 499 });
    }

    #[test]
    fn a_part_with_many_kinds_of_faults_costs_no_more_lines() {
        let mut log = FaultLog::default();
        let start = Instant::now();
        let kinds = ["refused", "timeout", "stalled", "ended", "reset"];
        let mut n_lines = 0;
        // It fails in another way each time, every three seconds for a day, and works in between.
        for n in 0..28_800 {
            let kind = kinds[n as usize % kinds.len()];
            let now = start + Duration::from_secs(3 * n);
            n_lines += usize::from(log.occurred_at(&Fault::new(kind, kind), "", now).is_some());
            n_lines += usize::from(log.recovered());
        }
        // A camera and a broker of this kind stay below 200 lines.
        assert!((60..80).contains(&n_lines), "{n_lines}");
    }

    #[test]
    fn causes_of_one_kind_are_reported_at_once_and_many_of_them_cost_no_more_lines() {
        let (mut log, start) = (FaultLog::default(), Instant::now());
        let fault = Fault::new("does-not-open", "it does not open");
        let mut reported =
            |s: u64, cause: &str| log.occurred_at(&fault, cause, start + Duration::from_secs(s)).is_some();
        for (s, cause, expected) in [(0, "no route", true), (5, "no route", false), (10, "no login", true)] {
            assert_eq!(reported(s, cause), expected, "{s}");
        }
        assert!(!reported(15, "no route") && !reported(20, "no login"));
        // Texts that never say the same, every five seconds for a day.
        let n_lines = (4..17_280).filter(|n| reported(5 * n, &n.to_string())).count();
        assert!((20..40).contains(&n_lines), "{n_lines}");
    }

    #[test]
    fn a_fault_of_another_day_is_reported_like_the_first() {
        let mut log = FaultLog::default();
        let fault = Fault::new("refused", "refused");
        let mut at = Instant::now();
        for _ in 0..5 {
            assert!(log.occurred_at(&fault, "", at).is_some());
            assert!(log.occurred_at(&fault, "", at + FIRST_SILENCE / 2).is_none());
            at += FIRST_SILENCE / 2 + LAST_SILENCE;
        }
    }
}
