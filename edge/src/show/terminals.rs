//! The terminals that are attached: messages leave as lines, on a thread per terminal, which waits
//! for its own terminal only.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::listener::{Socket, SocketFile};
use super::message::{Message, PulseMessage};
use super::site::Site;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::publish::Sink;

/// Terminals at once, at most.
const MAX_TERMINALS: usize = 8;

/// Messages that wait for a terminal, at most; a terminal that is slower misses the others.
const QUEUE: usize = 64;

/// Onsets and offsets that a terminal is sent at first.
const N_RECENT: usize = 100;

/// How often pulses are collected.
const TICK: Duration = Duration::from_millis(80);

/// How often a terminal hears how the daemon is doing.
const HEALTH: Duration = Duration::from_secs(1);

/// A terminal that takes nothing for this long is detached.
const PATIENCE: Duration = Duration::from_secs(5);

/// At the end of the daemon, terminals have this long to take what is on its way to them.
const GOODBYE: Duration = Duration::from_millis(300);

type Line = Arc<str>;

/// All terminals that are attached.
#[derive(Clone)]
pub struct Terminals {
    shared: Arc<Shared>,
}

struct Shared {
    site: Arc<Site>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How to reach each terminal, by its number.
    queues: Vec<(u64, SyncSender<Line>)>,
    /// The last events, oldest first.
    recent: VecDeque<Event>,
    n_attached: usize,
    next_number: u64,
    is_over: bool,
}

impl Terminals {
    /// Lets terminals attach to `site` through the `socket`, until the sink is finished.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(socket: Socket, site: Arc<Site>) -> Result<(Self, TerminalSink)> {
        let Socket { listener, file } = socket;
        let terminals = Terminals { shared: Arc::new(Shared { site, state: Mutex::default() }) };
        let shown = file.path.display();
        tracing::info!(socket = %shown, "terminals can attach: earwitness top --attach {shown}");
        let shared = Arc::clone(&terminals.shared);
        let accept = move || accept(&listener, &shared);
        thread::Builder::new()
            .name("terminals".into())
            .spawn(accept)
            .map_err(Error::io("cannot start the thread for terminals"))?;
        let sink = TerminalSink { terminals: terminals.clone(), file: Some(file) };
        Ok((terminals, sink))
    }

    /// Other rules hold from now on.
    pub fn rules_changed(&self) {
        if let Some(line) = line(&Message::About(self.shared.site.about())) {
            self.shared.lock().send(&line);
        }
    }
}

impl State {
    /// To all terminals that have room for it. Does not wait.
    fn send(&self, line: &Line) {
        for (_, queue) in &self.queues {
            // One that is slow misses it, and one that has just left does not need it.
            let _ = queue.try_send(Arc::clone(line));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(message: &impl Serialize) -> Option<Line> {
    let text = serde_json::to_string(message).map(|json| (json + "\n").into());
    text.inspect_err(|error| tracing::error!(%error, "a message cannot be written as JSON: {error}")).ok()
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of file descriptors, perhaps: some terminal will leave.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        match Terminal::attach(shared) {
            Ok(terminal) => {
                // A terminal that leaves in the middle is nothing to speak of. Where there is no
                // thread for it, it is detached at once.
                let show = move || drop(terminal.show(stream));
                let _ = thread::Builder::new().name("terminal".into()).spawn(show);
            }
            Err(reason) => refuse(stream, reason),
        }
    }
}

/// Tells one that cannot be attached.
fn refuse(mut stream: UnixStream, reason: &str) {
    if let Some(line) = line(&Message::Refused(reason.into())) {
        // A line fits into the socket's buffer.
        let _ = stream.write_all(line.as_bytes());
    }
}

/// A terminal that is attached. Dropped, it is attached no more.
struct Terminal {
    number: u64,
    /// What is sent at first.
    recent: Vec<Event>,
    lines: Receiver<Line>,
    shared: Arc<Shared>,
}

impl Terminal {
    fn attach(shared: &Arc<Shared>) -> Result<Self, &'static str> {
        let mut state = shared.lock();
        if state.is_over {
            return Err("the daemon is ending");
        }
        if state.n_attached == MAX_TERMINALS {
            return Err("too many terminals are attached to this daemon: close one of them first");
        }
        let (sender, lines) = sync_channel(QUEUE);
        let number = state.next_number;
        state.next_number += 1;
        state.n_attached += 1;
        state.queues.push((number, sender));
        Ok(Terminal { number, recent: state.recent.iter().cloned().collect(), lines, shared: Arc::clone(shared) })
    }

    /// Writes to the `stream` until it or the daemon ends.
    fn show(mut self, mut stream: UnixStream) -> io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        let site = Arc::clone(&self.shared.site);
        let mut write = |line: Option<Line>| line.map_or(Ok(()), |line| stream.write_all(line.as_bytes()));
        write(line(&Message::About(site.about())))?;
        for event in std::mem::take(&mut self.recent) {
            write(line(&Message::Event(event)))?;
        }
        let viewers = site.attach();
        let mut health_due = Instant::now();
        loop {
            match self.lines.recv_timeout(TICK) {
                Ok(line) => write(Some(line))?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let pulses = PulseMessage::new_ones(&site.sources, &viewers);
            if !pulses.is_empty() {
                write(line(&Message::Pulses(pulses)))?;
            }
            if Instant::now() >= health_due {
                health_due = Instant::now() + HEALTH;
                write(line(&json!({ "health": (site.health)() })))?;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.queues.retain(|(number, _)| *number != self.number);
        state.n_attached -= 1;
    }
}

/// Brings events to terminals. It reads no journal of its own: terminals are about the present.
pub struct TerminalSink {
    terminals: Terminals,
    /// Until the end.
    file: Option<SocketFile>,
}

impl Sink for TerminalSink {
    fn name(&self) -> &str {
        "top"
    }

    fn notify(&mut self, events: &[Event]) {
        let mut state = self.terminals.shared.lock();
        for event in events {
            if state.recent.len() == N_RECENT {
                state.recent.pop_front();
            }
            state.recent.push_back(event.clone());
            if !state.queues.is_empty() {
                line(&Message::Event(event.clone())).iter().for_each(|line| state.send(line));
            }
        }
    }

    fn reads_the_journal(&self) -> bool {
        false
    }

    fn is_open(&self) -> bool {
        true
    }

    fn finish(&mut self, deadline: Instant) -> Result<()> {
        self.file = None;
        let shared = &self.terminals.shared;
        {
            let mut state = shared.lock();
            state.is_over = true;
            // The threads write what is on its way, and end.
            state.queues.clear();
        }
        let deadline = deadline.min(Instant::now() + GOODBYE);
        while shared.lock().n_attached > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
