//! The events of this run: they enter on the thread that collects them, and stay in memory for the
//! page, as many as there is room for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::Result;
use crate::event::Event;
use crate::publish::Sink;

use super::Page;

/// Onsets and offsets that are kept: a day of a busy room, some 2 MB.
const MAX_RECENT_EVENTS: usize = 5_000;

/// The last events, oldest first.
#[derive(Default)]
pub(super) struct RecentEvents(Mutex<VecDeque<Event>>);

impl RecentEvents {
    fn push(&self, event: Event) {
        let mut events = self.lock();
        if events.len() == MAX_RECENT_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// All of them.
    pub(super) fn events(&self) -> Vec<Event> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings events to the page. It reads no journal of its own: the page is about the present, and
/// looks up the past when it is asked for it.
pub struct PageSink {
    page: Page,
}

impl PageSink {
    pub(super) fn new(page: Page) -> Self {
        PageSink { page }
    }
}

impl Sink for PageSink {
    fn name(&self) -> &str {
        "page"
    }

    fn notify(&mut self, events: &[Event]) {
        for event in events {
            self.page.shared.recent.push(event.clone());
            self.page.shared.live.send("event", &event.to_json());
        }
    }

    fn reads_the_journal(&self) -> bool {
        false
    }

    fn is_open(&self) -> bool {
        true
    }

    fn finish(&mut self, _: Instant) -> Result<()> {
        self.page.shared.live.send("end", "{}");
        Ok(())
    }
}
