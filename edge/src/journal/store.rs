//! The journal's state: what is on the disk, after it in memory what the disk did not take, and how
//! far each sink is. Plain state behind the journal's mutex; it remembers which faults were logged.
//!
//! Every event gets a number that counts up. A sink is handed records in the order of their
//! numbers; it may acknowledge them in any order. While a disk fails, memory holds what comes, up
//! to [`QUEUE_EVENTS`]; the disk is tried again with later events and every few seconds.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cursor::Progress;
use super::database::{Database, Draft};
use super::moment::Moment;
use super::trouble::{Result, Trouble};
use super::{JournalPlace, JournalSettings, QUEUE_EVENTS, Record, Start, files};
use crate::event::Event;
use crate::fault::{Backoff, Fault, FaultLog};

const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Store {
    pub(super) settings: JournalSettings,
    pub(super) place: Place,
    /// What the disk did not take, oldest first.
    pub(super) memory: VecDeque<Draft>,
    /// Number of the newest event.
    pub(super) last_seq: i64,
    pub(super) sinks: Vec<Progress>,
    faults: FaultLog,
    fault: Option<Fault>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    pub(super) n_dropped: u64,
    /// What every sink had was removed up to this number.
    pub(super) removed_to: i64,
}

#[derive(Debug)]
pub(super) enum Place {
    Open(Database),
    /// Not open, for now. `was_open`: records in it may have been handed out.
    Closed {
        was_open: bool,
    },
    Memory,
}

impl Store {
    /// Opens the place of `settings`. `sinks` are the names of those that will take part; what the
    /// file knows of others is forgotten. A file that does not open is not an error: events stay in
    /// memory until it does.
    pub(super) fn open(settings: JournalSettings, sinks: &[&str]) -> Self {
        let mut store = Store {
            place: Place::Memory,
            memory: VecDeque::new(),
            last_seq: 0,
            sinks: Vec::new(),
            faults: FaultLog::default(),
            fault: None,
            backoff: Backoff::new(FIRST_RETRY, LAST_RETRY),
            retry_at: None,
            n_dropped: 0,
            removed_to: i64::MIN,
            settings,
        };
        let JournalPlace::File { file, before } = store.settings.place.clone() else {
            if store.settings.place == JournalPlace::Nowhere {
                store.failed(&Trouble::Nowhere);
                store.retry_at = None;
            }
            return store;
        };
        if let Some(before) = before.filter(|before| before.is_file() && !file.exists()) {
            files::take_over(&before, &file);
        }
        match Database::open(&file, super::MQTT, true).and_then(|database| forget_others(database, sinks)) {
            Ok(database) => {
                store.last_seq = database.last_seq();
                store.place = Place::Open(database);
            }
            Err(trouble) => {
                store.failed(&trouble);
                store.place = Place::Closed { was_open: false };
            }
        }
        store
    }

    /// A sink takes part from now on, and returns its place in the list.
    pub(super) fn add_sink(&mut self, name: &str, start: Start) -> usize {
        let mut sink = Progress::new(name, start, self.last_seq);
        if let (Start::Kept, Place::Open(database)) = (start, &mut self.place) {
            let last_seq = self.last_seq;
            if let Err(trouble) = attach(database, &mut sink, last_seq) {
                self.failed(&trouble);
            }
        }
        self.sinks.push(sink);
        self.sinks.len() - 1
    }

    /// Takes `events`, in order. When it returns they are on the disk, or, where that failed, in
    /// memory.
    pub(super) fn append(&mut self, events: &[Event], now: Moment) {
        self.leave_displaced();
        self.remember(events, now);
        if self.retry_at.is_none_or(|at| Instant::now() >= at) {
            self.flush(now);
        }
        self.purge_memory();
        while self.memory.len() > QUEUE_EVENTS {
            let Some(dropped) = self.memory.pop_front() else { break };
            let (seq, n_bytes) = (dropped.record.seq, dropped.record.payload.len() as u64);
            let mut is_lost = false;
            for sink in &mut self.sinks {
                is_lost |= sink.dropped_from_memory(seq, n_bytes);
                sink.forget(seq);
            }
            if is_lost {
                self.say_dropped(1, "no more events fit into memory");
            }
        }
    }

    /// If the file has been deleted, or another one has taken its name, takes out of it what not
    /// every sink has. The next write begins a new file.
    fn leave_displaced(&mut self) {
        let Place::Open(database) = &self.place else { return };
        if !database.is_displaced() {
            return;
        }
        let drafts = database.drafts_after(self.delivered_to());
        let (journal, n_waiting) = (file(&self.settings), drafts.len());
        tracing::error!(
            journal = %journal.display(), n_waiting,
            "the journal {} has been deleted or replaced while it was in use: it is begun again with the {n_waiting} \
             events that wait for a sink",
            journal.display()
        );
        drafts.into_iter().rev().for_each(|draft| self.memory.push_front(draft));
        self.place = Place::Closed { was_open: true };
        self.retry_at = Some(Instant::now());
    }

    fn remember(&mut self, events: &[Event], now: Moment) {
        for event in events {
            self.last_seq += 1;
            let record = Arc::new(Record::new(self.last_seq, event));
            self.sinks.iter_mut().for_each(|sink| sink.added(&record));
            self.memory.push_back(Draft { record, moment: now, id: event.id, phase: event.phase });
        }
    }

    /// Writes what memory holds.
    fn flush(&mut self, now: Moment) {
        if matches!(self.place, Place::Memory) {
            return;
        }
        match self.try_flush(now) {
            Ok(()) => {
                self.fault = None;
                if self.faults.recovered() {
                    tracing::info!("the journal works again");
                }
                self.backoff.reset();
                self.retry_at = None;
            }
            Err(trouble) => self.failed(&trouble),
        }
    }

    fn try_flush(&mut self, now: Moment) -> Result<()> {
        if let Place::Closed { was_open } = self.place {
            let mut database = Database::open(&file(&self.settings), super::MQTT, false)?;
            if was_open {
                // A new file may have taken the place of a damaged one: it continues with the old
                // numbers.
                let first = self.memory.front().map_or(self.last_seq + 1, |draft| draft.record.seq);
                if database.newest()? >= first {
                    database.shift_below(first)?;
                }
                for sink in self.sinks.iter().filter(|sink| sink.start == Start::Kept) {
                    database.set_cursor(&sink.name, sink.acked_to())?;
                }
                self.sinks.iter_mut().for_each(Progress::look_again);
            } else {
                // What was numbered before the file was known comes after what is in it.
                database.shift_below(1)?;
                for sink in self.sinks.iter_mut().filter(|sink| sink.start == Start::Kept) {
                    attach(&mut database, sink, 0)?;
                }
                let owed = database.interrupted()?;
                self.remember(&owed, now);
            }
            self.place = Place::Open(database);
        }
        if let Place::Open(database) = &mut self.place
            && !self.memory.is_empty()
        {
            database.append(self.memory.iter())?;
            self.memory.clear();
            self.drop_excess(now)?;
        }
        Ok(())
    }

    /// Notes why the disk does not take events. A damaged file is closed: opening it again mends
    /// it.
    pub(super) fn failed(&mut self, trouble: &Trouble) {
        let fault = trouble.fault(&file(&self.settings));
        if let Some(news) = self.faults.occurred(&fault) {
            tracing::error!(
                kind = fault.kind(),
                "{fault}; events are kept in memory until the journal works{}",
                news.suffix()
            );
        }
        self.fault = Some(fault);
        self.retry_at = Some(Instant::now() + self.backoff.next_wait());
        if trouble.is_damage() && matches!(self.place, Place::Open(_)) {
            self.place = Place::Closed { was_open: true };
        }
    }

    /// Notes that open events go on, tries a disk again that failed, and forgets what was kept for
    /// long enough.
    pub(super) fn keep_alive(&mut self, now: Moment) {
        self.leave_displaced();
        if self.retry_at.is_some_and(|at| Instant::now() >= at) {
            self.flush(now);
        }
        self.sinks.iter_mut().for_each(|sink| sink.starved(false));
        let delivered = self.delivered_to();
        let keep = self.settings.keep;
        if let Place::Open(database) = &mut self.place
            && let Err(trouble) =
                database.keep_alive(now.wall).and_then(|()| database.remove_delivered(delivered, keep, now))
        {
            self.failed(&trouble);
        }
    }

    pub(super) fn interrupted(&mut self) -> Vec<Event> {
        let Place::Open(database) = &mut self.place else { return Vec::new() };
        database.interrupted().unwrap_or_else(|trouble| {
            self.failed(&trouble);
            Vec::new()
        })
    }

    pub(super) fn memo(&mut self, key: &str) -> Option<String> {
        let Place::Open(database) = &self.place else { return None };
        database.memo(key).unwrap_or_else(|trouble| {
            self.failed(&trouble);
            None
        })
    }

    pub(super) fn set_memo(&mut self, key: &str, value: &str) {
        if let Place::Open(database) = &mut self.place
            && let Err(trouble) = database.set_memo(key, value)
        {
            self.failed(&trouble);
        }
    }

    /// Why events are kept in memory that should be on the disk.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Whether events end with the process, as nothing else was asked for.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.place, Place::Memory)
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &Database {
        match &self.place {
            Place::Open(database) => database,
            other => panic!("the journal is not open: {other:?}"),
        }
    }

    /// Tries a disk that failed, without waiting.
    #[cfg(test)]
    pub(super) fn retry_now(&mut self, now: Moment) {
        self.flush(now);
    }
}

fn file(settings: &JournalSettings) -> PathBuf {
    match &settings.place {
        JournalPlace::File { file, .. } => file.clone(),
        JournalPlace::Memory | JournalPlace::Nowhere => PathBuf::new(),
    }
}

/// A sink that the file may know: where it continues, and what waits for it.
fn attach(database: &mut Database, sink: &mut Progress, last_seq: i64) -> Result<()> {
    let known = database.cursors()?.into_iter().find(|(name, _)| *name == sink.name);
    let seq = known.map_or(last_seq, |(_, seq)| seq);
    database.set_cursor(&sink.name, seq)?;
    let (n_events, n_bytes) = database.pending(seq)?;
    sink.attached(seq, n_events, n_bytes);
    Ok(())
}

/// Forgets the sinks that are not configured any more: nothing would ever be delivered to them.
fn forget_others(mut database: Database, sinks: &[&str]) -> Result<Database> {
    for (name, seq) in database.cursors()? {
        if !sinks.contains(&name.as_str()) {
            let (n_waiting, _) = database.pending(seq)?;
            if n_waiting > 0 {
                tracing::warn!(
                    n_waiting,
                    "{n_waiting} events waited for the sink {name}, which is no longer configured"
                );
            }
            database.remove_cursor(&name)?;
        }
    }
    Ok(database)
}
