//! `earwitness top`: what is heard, live in the terminal: spectrogram, level, likely labels with
//! their thresholds, events, health. It runs a pipeline of its own on any source, without reporting
//! or storing anything, or attaches to a running daemon.

mod colours;
mod daemon;
mod draw;
mod ears;
mod origin;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use edge::config::Settings;
use edge::daemon::Plan;
use edge::{Error, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::colours::Colours;
use self::daemon::Daemon;
use self::ears::Ears;
use self::origin::Origin;
use self::view::View;
use super::args::TopArgs;
use super::{screen, stdout_error};

/// From one picture to the next, at least: a pulse.
const TICK: Duration = Duration::from_millis(80);

/// Step of a threshold.
const STEP: f32 = 0.05;

/// Whether it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Quit,
}

pub(super) fn top(args: &TopArgs) -> Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Error::usage("top", "it needs a terminal: `earwitness run` writes events for programs"));
    }
    // A log would be written over the picture.
    edge::logging::start("off")?;
    let mut view = View::default();
    let mut origin: Box<dyn Origin> = match &args.attach {
        Some(typed) => {
            let socket = daemon::socket(typed.as_deref(), args.config.as_deref())?;
            Box::new(Daemon::attach(&socket, &mut view)?)
        }
        None => {
            let settings = Settings::load(args.config.as_deref(), &args.overrides()?)?;
            let Plan { settings, model, engine, rules, .. } = Plan::new(settings)?;
            Box::new(Ears::start(&settings.sources, &model, engine, &rules, &mut view)?)
        }
    };
    let colours = Colours::of_terminal(args.color, screen::has_blocks());

    let mut terminal = ratatui::try_init().map_err(Error::io("the terminal"))?;
    let watched = watch(&mut terminal, &mut view, origin.as_mut(), &colours);
    ratatui::restore();
    let heard = origin.finish();
    watched?;
    let changes = view.changes();
    if !changes.is_empty() {
        let text = format!("Thresholds as they were set last, for the configuration:\n\n{changes}");
        io::stdout().write_all(text.as_bytes()).map_err(stdout_error)?;
    }
    heard
}

/// Draws and takes keys until the user quits.
fn watch(terminal: &mut DefaultTerminal, view: &mut View, origin: &mut dyn Origin, colours: &Colours) -> Result<()> {
    let failed = || Error::io("the terminal");
    loop {
        origin.collect(view);
        terminal.draw(|frame| draw::draw(frame, view, &origin.info(view), colours)).map_err(failed())?;
        if is_gone().map_err(failed())? {
            return Ok(());
        }
        // All keys that are there, so that one that is held does not queue up.
        while event::poll(Duration::ZERO).map_err(failed())? {
            if let Event::Key(key) = event::read().map_err(failed())?
                && key.kind != KeyEventKind::Release
                && press(key, view, origin) == Next::Quit
            {
                return Ok(());
            }
        }
    }
}

/// Waits for a key, for at most a tick. Returns whether the terminal has gone, as when a connection
/// is lost: crossterm would read its end for ever.
fn is_gone() -> io::Result<bool> {
    let mut fds = [PollFd::new(io::stdin().as_raw_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, TICK.as_millis() as i32) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    Ok(fds[0].revents().is_some_and(|events| events.intersects(gone)))
}

fn press(key: KeyEvent, view: &mut View, origin: &mut dyn Origin) -> Next {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Next::Quit;
    }
    if view.is_typing {
        match key.code {
            KeyCode::Enter => view.is_typing = false,
            KeyCode::Esc => {
                view.is_typing = false;
                view.filter.clear();
            }
            KeyCode::Backspace => {
                view.filter.pop();
            }
            KeyCode::Char(c) => view.filter.push(c),
            _ => {}
        }
        return Next::GoOn;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Next::Quit,
        KeyCode::Char(' ' | 'p') => view.is_paused = !view.is_paused,
        KeyCode::Char('/' | 'f') => {
            view.is_typing = true;
            view.filter.clear();
        }
        KeyCode::Up | KeyCode::Char('k') => view.choose(-1),
        KeyCode::Down | KeyCode::Char('j') => view.choose(1),
        KeyCode::Char('+' | '=') | KeyCode::Right => adjust(view, origin, STEP),
        KeyCode::Char('-') | KeyCode::Left => adjust(view, origin, -STEP),
        KeyCode::Char('r') => {
            view.reset();
            origin.adjust(view);
        }
        KeyCode::Tab => {
            origin.next();
            view.clear();
        }
        _ => {}
    }
    Next::GoOn
}

fn adjust(view: &mut View, origin: &mut dyn Origin, step: f32) {
    if view.adjust(step) {
        origin.adjust(view);
    }
}
