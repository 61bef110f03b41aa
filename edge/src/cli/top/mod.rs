//! `earwitness top`: what is heard, live in the terminal: spectrogram, level, likely labels with
//! their thresholds, events, health. On a pipeline of its own, of any source; nothing is reported
//! or stored.

mod colours;
mod draw;
mod ears;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use edge::config::Settings;
use edge::daemon::Plan;
use edge::{Error, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::colours::Colours;
use self::ears::Ears;
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
    let Plan { settings, model, engine, rules, .. } =
        Plan::new(Settings::load(args.config.as_deref(), &args.overrides()?)?)?;
    let mut view = View::new(&model, rules.clone());
    let mut ears = Ears::start(&settings.sources, &model, engine, &rules)?;
    let colours = Colours::of_terminal(args.color, screen::has_blocks());

    let mut terminal = ratatui::try_init().map_err(Error::io("the terminal"))?;
    let watched = watch(&mut terminal, &mut view, &mut ears, &colours);
    ratatui::restore();
    let heard = ears.finish();
    watched?;
    let changes = view.changes();
    if !changes.is_empty() {
        let text = format!("Thresholds as they were set last, for the configuration:\n\n{changes}");
        io::stdout().write_all(text.as_bytes()).map_err(stdout_error)?;
    }
    heard
}

/// Draws and takes keys, until somebody wants to leave.
fn watch(terminal: &mut DefaultTerminal, view: &mut View, ears: &mut Ears, colours: &Colours) -> Result<()> {
    let failed = || Error::io("the terminal");
    loop {
        ears.collect(view);
        terminal.draw(|frame| draw::draw(frame, view, &ears.info(), colours)).map_err(failed())?;
        if !event::poll(TICK).map_err(failed())? {
            continue;
        }
        // All keys that are there, so that one that is held does not queue up.
        while event::poll(Duration::ZERO).map_err(failed())? {
            if let Event::Key(key) = event::read().map_err(failed())?
                && key.kind != KeyEventKind::Release
                && press(key, view, ears) == Next::Quit
            {
                return Ok(());
            }
        }
    }
}

fn press(key: KeyEvent, view: &mut View, ears: &mut Ears) -> Next {
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
        KeyCode::Char('+' | '=') | KeyCode::Right => adjust(view, ears, STEP),
        KeyCode::Char('-') | KeyCode::Left => adjust(view, ears, -STEP),
        KeyCode::Char('r') => {
            view.reset();
            ears.set_rules(view.rules());
        }
        KeyCode::Tab => {
            ears.next();
            view.clear();
        }
        _ => {}
    }
    Next::GoOn
}

fn adjust(view: &mut View, ears: &Ears, step: f32) {
    if view.adjust(step) {
        ears.set_rules(view.rules());
    }
}
