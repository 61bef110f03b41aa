//! The sink: records of the journal enter, requests leave. Only this thread waits for the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::client::{Client, Outcome};
use super::{WebhookSettings, WebhookUrl};
use crate::decide::Phase;
use crate::error::{Error, Result};
use crate::fault::{Backoff, Fault, FaultLog};
use crate::journal::{Cursor, Gauge, Journal, Record, Start, Waker};
use crate::publish::{Sink, join_until};

/// Wait after the first failure; doubled after each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(300);

/// Attempts at an event that the server refuses.
const N_ATTEMPTS: u32 = 3;

/// Records that are taken from the journal at once.
const BATCH: usize = 16;

/// How often the thread looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// A server that events are posted to.
pub struct WebhookSink {
    name: String,
    ending: Arc<AtomicBool>,
    waker: Waker,
    link: Arc<WebhookLink>,
    thread: Option<JoinHandle<()>>,
}

/// How a server is doing: written by its thread, read by the thread that reports the daemon's
/// health.
#[derive(Debug)]
pub struct WebhookLink {
    url: WebhookUrl,
    gauge: Gauge,
    n_posted: AtomicU64,
    n_refused: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

/// The state of a [`WebhookLink`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookSnapshot {
    /// Scheme and host.
    pub url: String,
    /// Events that the server has.
    pub n_posted: u64,
    /// Events that it refused and that were left out.
    pub n_refused: u64,
    /// Events that wait.
    pub waiting_events: u64,
    /// What is wrong, if anything.
    pub fault: Option<Fault>,
}

/// What the journal knows the `at`th of `urls` by: the same in the next process, whatever the
/// order.
pub fn sink_name(urls: &[&WebhookUrl], at: usize) -> String {
    let digest = Sha256::digest(urls[at].secret().as_bytes());
    let id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    match urls[..at].iter().filter(|url| **url == urls[at]).count() {
        0 => format!("webhook:{id}"),
        n => format!("webhook:{id}:{n}"),
    }
}

impl WebhookSink {
    /// Starts to post what waits in the `journal` for the sink `name`.
    ///
    /// # Errors
    ///
    /// When there are no root certificates for TLS, and when the system refuses a thread. A server
    /// that cannot be reached is not an error.
    pub fn start(settings: &WebhookSettings, name: &str, journal: &Journal) -> Result<Self> {
        let client = Client::new(settings, &Arc::default())?;
        let cursor = journal.reader(name, Start::Kept);
        let link = Arc::new(WebhookLink {
            url: settings.url.clone(),
            gauge: cursor.gauge(),
            n_posted: AtomicU64::new(0),
            n_refused: AtomicU64::new(0),
            fault: Mutex::new(None),
        });
        let ending = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            client,
            labels: settings.labels.clone(),
            phases: settings.phases.clone(),
            cursor,
            link: Arc::clone(&link),
            ending: Arc::clone(&ending),
            faults: FaultLog::default(),
            refusals: FaultLog::default(),
            backoff: Backoff::new(FIRST_BACKOFF, LAST_BACKOFF),
        };
        let thread = thread::Builder::new()
            .name("webhook".into())
            .spawn(move || worker.run())
            .map_err(Error::io("cannot start the webhook thread"))?;
        let name = format!("webhook {}", settings.url);
        Ok(WebhookSink { name, ending, waker: journal.waker(), link, thread: Some(thread) })
    }

    /// How the server is doing, for the health message.
    pub fn link(&self) -> Arc<WebhookLink> {
        Arc::clone(&self.link)
    }
}

impl Sink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_open(&self) -> bool {
        true
    }

    fn finish(&mut self, deadline: Instant) -> Result<()> {
        self.ending.store(true, Ordering::Release);
        self.waker.wake();
        join_until(&mut self.thread, deadline, &self.name);
        let depth = self.link.gauge.depth();
        let (n_lost, n_kept) = (depth.n_in_memory, depth.n_on_disk());
        if n_kept > 0 {
            tracing::info!(sink = self.name, n_kept, "{}: {n_kept} events are kept for the next start", self.name);
        }
        if n_lost > 0 {
            tracing::warn!(sink = self.name, n_lost, "{}: {n_lost} events not delivered", self.name);
        }
        Ok(())
    }
}

impl WebhookLink {
    fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// The state now.
    pub fn snapshot(&self) -> WebhookSnapshot {
        WebhookSnapshot {
            url: self.url.to_string(),
            n_posted: self.n_posted.load(Ordering::Relaxed),
            n_refused: self.n_refused.load(Ordering::Relaxed),
            waiting_events: self.gauge.depth().n_events,
            fault: self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

struct Worker {
    client: Client,
    labels: Option<Vec<String>>,
    phases: Vec<Phase>,
    cursor: Cursor,
    link: Arc<WebhookLink>,
    ending: Arc<AtomicBool>,
    faults: FaultLog,
    /// Of events that the server does not want.
    refusals: FaultLog,
    backoff: Backoff,
}

impl Worker {
    /// The thread: posts until the end is wanted and nothing waits any more, or nothing can be
    /// posted.
    fn run(mut self) {
        loop {
            let is_last = self.is_ending();
            let records = self.cursor.take(BATCH);
            let is_empty = records.is_empty();
            for record in records {
                if self.is_wanted(&record) && !self.deliver(&record) {
                    return;
                }
                self.cursor.acknowledge(record.seq);
            }
            match (is_empty, is_last) {
                (true, true) => return,
                (true, false) => self.cursor.wait(Duration::from_secs(1)),
                (false, _) => {}
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    fn is_wanted(&self, record: &Record) -> bool {
        let has_label = self.labels.as_ref().is_none_or(|labels| labels.contains(&record.label));
        let phase = || {
            let event: Value = serde_json::from_str(&record.payload).unwrap_or_default();
            serde_json::from_value::<Phase>(event["phase"].clone()).ok()
        };
        has_label && phase().is_none_or(|phase| self.phases.contains(&phase))
    }

    /// Posts a record until the server has it or refuses it, or the journal drops it. Returns
    /// whether that was so before the end was wanted.
    fn deliver(&mut self, record: &Record) -> bool {
        let mut n_refused = 0;
        while self.cursor.is_kept(record.seq) {
            let (fault, retry_after) = match self.client.post(&record.payload) {
                Outcome::Taken => {
                    self.taken();
                    return true;
                }
                Outcome::Refused(fault) if n_refused + 1 >= N_ATTEMPTS => {
                    self.refused(record, &fault);
                    return true;
                }
                Outcome::Refused(fault) => {
                    n_refused += 1;
                    (fault, None)
                }
                Outcome::Failed { fault, retry_after } => (fault, retry_after),
            };
            if let Some(news) = self.faults.occurred(&fault) {
                let kind = fault.kind();
                tracing::warn!(kind, "webhook: trying again until it works: {fault}{}", news.suffix());
            }
            self.link.set_fault(Some(fault));
            let wait = self.backoff.next_wait();
            // Half of it is chance, so that many devices do not come back all at once.
            let wait = retry_after.unwrap_or(wait.mul_f64(0.5 + 0.5 * fastrand::f64()));
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if self.is_ending() {
                    return false;
                }
                thread::sleep(TICK);
            }
        }
        true
    }

    fn taken(&mut self) {
        self.link.n_posted.fetch_add(1, Ordering::Relaxed);
        self.link.set_fault(None);
        self.backoff.reset();
        if self.faults.recovered() {
            tracing::info!("webhook: {} accepts events again", self.link.url);
        }
    }

    fn refused(&mut self, record: &Record, fault: &Fault) {
        self.link.n_refused.fetch_add(1, Ordering::Relaxed);
        self.backoff.reset();
        if self.refusals.occurred(fault).is_some() {
            let (label, n_refused) = (&record.label, self.link.n_refused.load(Ordering::Relaxed));
            tracing::warn!(
                label,
                kind = fault.kind(),
                n_refused,
                "webhook: an event of {label:?} is left out because it was refused, {n_refused} so far: {fault}"
            );
        }
    }
}
