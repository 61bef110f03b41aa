//! Claim: `top` shows what is heard at a terminal of 80 x 24, with colours and without, takes keys,
//! and leaves the terminal as it was.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::process::Command;

use tempfile::TempDir;
use tests::binary::earwitness_bin;
use tests::commands::{contains, refusal};
use tests::terminal::{COLUMNS, Terminal};
use tests::tiny::{self, Sound};

/// A recording that goes on for longer than any test, played in real time.
fn top(args: &[&str], environment: &[(&str, &str)]) -> (TempDir, Terminal) {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("sounds.wav");
    let parts = [(Sound::Silence, 1.0), (Sound::Tone, 2.0), (Sound::Noise, 2.0)].repeat(20);
    tiny::write_wav(&wav, &parts);
    let mut command = Command::new(earwitness_bin());
    command.args(["top", "--model", tiny::model().to_str().unwrap(), "--source", &format!("file:{}", wav.display())]);
    command.args(args).env("HOME", dir.path()).env("TERM", "xterm-256color").env("LANG", "C.UTF-8").current_dir("/");
    command.env_remove("COLORTERM").env_remove("NO_COLOR").env_remove("LC_ALL").envs(environment.iter().copied());
    let terminal = Terminal::start(&command);
    (dir, terminal)
}

/// Rows of the spectrogram.
const SPECTROGRAM: std::ops::Range<u16> = 2..11;

fn backgrounds(terminal: &Terminal) -> HashSet<String> {
    SPECTROGRAM.flat_map(|row| terminal.backgrounds(row)).map(|color| format!("{color:?}")).collect()
}

#[test]
fn eighty_by_twenty_four_places_show_everything_there_is_to_see() {
    let (_dir, mut terminal) = top(&[], &[]);
    terminal.wait_until("an event that has ended, and one that goes on", |screen| {
        screen.contains("tone 2.") || screen.contains("tone 1.")
    });
    terminal.wait_until("the noise is likely", |screen| {
        let likely = screen.lines().find(|line| line.contains("] ") && line.contains("noise"));
        likely.is_some_and(|line| line.contains("] 0.9") || line.contains("] 1.0"))
    });
    let screen = terminal.screen();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 24, "{screen}");
    assert!(lines.iter().all(|line| line.chars().count() <= usize::from(COLUMNS)), "{screen}");
    contains(lines[0], &["the recording", "tiny-"]);
    contains(lines[1], &["level [", "dBFS, peak "]);
    contains(lines[2], &["k"]);
    contains(lines[11], &["likely now", "events"]);
    contains(lines[22], &["load ", "gaps 0", "dropped 0"]);
    contains(lines[23], &["q quit", "space pause", "+/- threshold"]);
    assert!(!screen.contains("background"), "what is no event is not likely: {screen}");
    // The threshold is marked in the bar and written beside it.
    assert!(lines.iter().any(|line| line.contains("noise") && line.contains('|')), "{screen}");
    let colours = backgrounds(&terminal);
    assert!(colours.len() > 8 && colours.iter().all(|colour| !colour.contains("Rgb")), "{colours:?}");

    terminal.press("q");
    assert!(terminal.finish().success(), "{}", terminal.written());
    let written = terminal.written();
    assert!(written.contains("\x1b[?1049h") && written.contains("\x1b[?1049l"), "the screen of before is back");
    assert!(!written.contains("Thresholds"), "{written}");
}

#[test]
fn it_can_be_paused_filtered_and_tuned() {
    let (_dir, mut terminal) = top(&[], &[]);
    terminal.wait_until("an event", |screen| screen.contains("goes on"));
    terminal.press("/noi");
    terminal.wait_until("the filter is typed", |screen| {
        screen.contains("labels with: noi_")
            && !screen.lines().any(|line| line.contains("tone ") && line.contains("] "))
    });
    terminal.press("\r");
    terminal.wait_until("the filter holds", |screen| screen.contains("likely now, of labels with \"noi\""));
    terminal.press("+");
    terminal.wait_until("the threshold has moved", |screen| screen.contains(">noise") && screen.contains('*'));
    terminal.press(" ");
    terminal.wait_until("it stands still", |screen| screen.contains("PAUSED"));
    let level = |screen: &str| screen.lines().nth(1).unwrap_or_default().to_string();
    let before = level(&terminal.screen());
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(level(&terminal.screen()), before);
    terminal.press(" q");
    assert!(terminal.finish().success(), "{}", terminal.written());
    contains(&terminal.written(), &["[decide.classes.\"noise\"]", "threshold_on = 0."]);
}

#[test]
fn it_does_without_colours_and_with_many() {
    let (_dir, mut terminal) = top(&[], &[("NO_COLOR", "1")]);
    terminal.wait_until("the tone in characters", |screen| screen.contains('@'));
    let colours = backgrounds(&terminal);
    assert_eq!(colours.len(), 1, "{colours:?}");
    terminal.press("q");
    assert!(terminal.finish().success());

    let (_dir, mut terminal) = top(&["--color", "truecolor"], &[("LANG", "C")]);
    terminal.wait_until("an event", |screen| screen.contains("goes on"));
    assert!(backgrounds(&terminal).iter().any(|colour| colour.contains("Rgb")));
    assert!(terminal.screen().is_ascii(), "{}", terminal.screen());
    terminal.press("\x03");
    assert!(terminal.finish().success());
}

#[test]
fn without_a_terminal_it_says_so() {
    contains(&refusal(2, &["top"]), &["top: it needs a terminal", "earwitness run"]);
}
