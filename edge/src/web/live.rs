//! Pulses of all sources as server-sent events (WHATWG HTML, 9.2): taken from the taps, written as
//! text once, and sent to every browser that shows them.
//!
//! A browser that does not keep up misses messages; none waits for another. Pulses carry numbers,
//! so the page sees what it has missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use tokio::sync::{Notify, broadcast};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::PageShared;
use crate::show::PulseMessage;

/// Messages that wait for a browser, at most.
const QUEUE: usize = 64;

/// How often pulses are collected: one message per tick, for any number of sources.
const TICK: Duration = Duration::from_millis(80);

/// Browsers that look at once, at most.
const MAX_VIEWERS: usize = 48;

/// After this long without a message a comment is sent, so that a browser that has gone is noticed.
const SILENCE: Duration = Duration::from_secs(10);

/// Where messages go.
pub(super) struct Live {
    messages: broadcast::Sender<Bytes>,
    /// Somebody looks.
    wanted: Notify,
}

impl Live {
    pub(super) fn new() -> Self {
        Live { messages: broadcast::Sender::new(QUEUE), wanted: Notify::new() }
    }

    /// Sends `json` under a name to all who look. Does not wait.
    pub(super) fn send(&self, name: &str, json: &str) {
        // No one is watching, or someone is: both are well.
        let _ = self.messages.send(format!("event: {name}\ndata: {json}\n\n").into());
    }

    /// Messages for one more browser; `None` if there are too many.
    pub(super) fn watch(&self) -> Option<Channel<Bytes, Infallible>> {
        if self.messages.receiver_count() >= MAX_VIEWERS {
            return None;
        }
        let messages = self.messages.subscribe();
        let (sender, body) = Channel::new(1);
        tokio::spawn(forward(messages, sender));
        self.wanted.notify_one();
        Some(body)
    }
}

/// Takes pulses from the taps while anybody looks.
pub(super) async fn collect(shared: Arc<PageShared>) {
    let live = &shared.live;
    loop {
        live.wanted.notified().await;
        let site = &shared.site.shown;
        let viewers = site.attach();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while live.messages.receiver_count() > 0 {
            tick.tick().await;
            let pulses = PulseMessage::new_ones(&site.sources, &viewers);
            if let (false, Ok(json)) = (pulses.is_empty(), serde_json::to_string(&pulses)) {
                live.send("pulses", &json);
            }
        }
    }
}

/// Hands messages to one connection until it ends.
async fn forward(mut messages: broadcast::Receiver<Bytes>, mut sender: Sender<Bytes, Infallible>) {
    // The browser tries again after a second, should the daemon be started again.
    let mut next = Bytes::from_static(b"retry: 1000\n\n");
    while sender.send_data(next).await.is_ok() {
        next = loop {
            match timeout(SILENCE, messages.recv()).await {
                Ok(Ok(message)) => break message,
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => return,
                Err(_) => break Bytes::from_static(b": nothing new\n\n"),
            }
        };
    }
}
