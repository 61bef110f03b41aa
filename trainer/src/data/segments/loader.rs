//! Batches of views, computed ahead of their use.
//!
//! Enters: a plan, which says what the batch of each step holds. Leaves: the batches in the order
//! of the steps. Views are computed one by one on the threads of the pool, for up to `depth`
//! batches at a time, earlier batches first; the consumer tops this up whenever it takes a batch. A
//! batch depends on the plan alone, not on threads or depth.

use super::{SegmentSet, View};
use crate::error::{Error, Result};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The views of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedBatch {
    /// Which step.
    pub step: u64,
    /// Index of each view's segment.
    pub segments: Vec<usize>,
    /// `(segments.len(), n_frames, n_mels)` row-major.
    pub features: Vec<f32>,
}

/// What a step's batch holds: segments and views; `None` after the last step.
pub type Plan = Box<dyn Fn(u64) -> Option<Vec<(usize, View)>> + Send>;

/// Computes batches ahead. Dropping it drops what is not yet begun and waits for nothing.
pub struct Loader {
    set: Arc<SegmentSet>,
    plan: Plan,
    next_step: Option<u64>,
    depth: usize,
    in_flight: VecDeque<Receiver<Outcome>>,
    cancelled: Arc<AtomicBool>,
}

enum Outcome {
    Loaded(Result<LoadedBatch>),
    Panicked(Box<dyn Any + Send>),
}

/// A batch whose views are being computed.
struct Job {
    step: u64,
    items: Vec<(usize, View)>,
    state: Mutex<State>,
    done: SyncSender<Outcome>,
}

struct State {
    features: Vec<f32>,
    n_left: usize,
    /// The first view that failed.
    error: Option<(usize, Error)>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("next_step", &self.next_step).field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Loader {
    /// Begins to compute the batches of `first_step` and the `depth - 1` steps after it (at least
    /// one batch).
    pub fn new(
        set: Arc<SegmentSet>,
        plan: impl Fn(u64) -> Option<Vec<(usize, View)>> + Send + 'static,
        first_step: u64,
        depth: usize,
    ) -> Self {
        let mut loader = Self {
            set,
            plan: Box::new(plan),
            next_step: Some(first_step),
            depth: depth.max(1),
            in_flight: VecDeque::new(),
            cancelled: Arc::default(),
        };
        loader.top_up();
        loader
    }

    /// The next step's batch; waits until it is computed. `None` after the last one. Where a view
    /// fails, its step's batch is the error, of the first such view of the batch; the steps after
    /// it go on.
    ///
    /// # Panics
    ///
    /// If the computation of a view panicked.
    #[allow(clippy::should_implement_trait)] // an iterator of results would be asked for adaptors that stop at errors
    pub fn next(&mut self) -> Option<Result<LoadedBatch>> {
        let first = self.in_flight.pop_front()?;
        let outcome = wait(&first);
        self.top_up();
        match outcome {
            Outcome::Loaded(result) => Some(result),
            Outcome::Panicked(payload) => resume_unwind(payload),
        }
    }

    fn top_up(&mut self) {
        while self.in_flight.len() < self.depth {
            let Some(step) = self.next_step else { return };
            let Some(items) = (self.plan)(step) else {
                self.next_step = None;
                return;
            };
            self.next_step = step.checked_add(1);
            self.in_flight.push_back(self.start(step, items));
        }
    }

    fn start(&self, step: u64, items: Vec<(usize, View)>) -> Receiver<Outcome> {
        let (done, receiver) = sync_channel(1);
        let n_items = items.len();
        let features = vec![0.0; n_items * self.set.n_frames() * self.set.n_mels()];
        let job = Job { step, items, state: Mutex::new(State { features, n_left: n_items, error: None }), done };
        if n_items == 0 {
            job.finish(&mut job.state.lock().unwrap_or_else(PoisonError::into_inner));
            return receiver;
        }
        let job = Arc::new(job);
        for item in 0..n_items {
            let (job, set, cancelled) = (job.clone(), self.set.clone(), self.cancelled.clone());
            rayon::spawn_fifo(move || {
                if !cancelled.load(Ordering::Relaxed) {
                    job.compute(&set, item);
                }
            });
        }
        receiver
    }
}

/// What comes of a batch. A thread of the pool lends a hand instead of only waiting: it may be the
/// pool's only one.
fn wait(batch: &Receiver<Outcome>) -> Outcome {
    while rayon::current_thread_index().is_some() {
        match batch.try_recv() {
            Ok(outcome) => return outcome,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) if rayon::yield_now() == Some(rayon::Yield::Executed) => {}
            Err(TryRecvError::Empty) => std::thread::sleep(Duration::from_micros(100)),
        }
    }
    batch.recv().expect("a job is dropped without an outcome only after its loader was dropped")
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Job {
    fn compute(&self, set: &SegmentSet, item: usize) {
        let (segment, view) = self.items[item];
        let values = match catch_unwind(AssertUnwindSafe(|| set.view(segment, view))) {
            Ok(values) => values,
            Err(payload) => {
                // Full if another view panicked too: one of them is enough.
                let _ = self.done.try_send(Outcome::Panicked(payload));
                return;
            }
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match values {
            Ok(values) => state.features[item * values.len()..(item + 1) * values.len()].copy_from_slice(&values),
            Err(error) if state.error.as_ref().is_none_or(|(other, _)| item < *other) => {
                state.error = Some((item, error))
            }
            Err(_) => {}
        }
        state.n_left -= 1;
        if state.n_left == 0 {
            self.finish(&mut state);
        }
    }

    fn finish(&self, state: &mut State) {
        let result = match state.error.take() {
            Some((_, error)) => Err(error),
            None => Ok(LoadedBatch {
                step: self.step,
                segments: self.items.iter().map(|(segment, _)| *segment).collect(),
                features: std::mem::take(&mut state.features),
            }),
        };
        // The loader may be gone.
        let _ = self.done.try_send(Outcome::Loaded(result));
    }
}
