//! Claim: `top` shows what is heard at a terminal of 80 x 24, with colours and without, takes keys,
//! and leaves the terminal as it was. Attached to a daemon it shows the same, to those alone who
//! may attach, and holds up nothing.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::commands::{contains, refusal};
use tests::terminal::{COLUMNS, Terminal};
use tests::tiny::{self, Sound};

/// Longer than any test.
fn sounds() -> Vec<(Sound, f64)> {
    [(Sound::Silence, 1.0), (Sound::Tone, 2.0), (Sound::Noise, 2.0)].repeat(60)
}

/// `program` at a terminal of 256 colours and UTF-8.
fn at_terminal(program: &str, args: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let mut command = Command::new(program);
    command.args(args).env("HOME", "/").env("TERM", "xterm-256color").env("LANG", "C.UTF-8").current_dir("/");
    command.env_remove("COLORTERM").env_remove("NO_COLOR").env_remove("LC_ALL").envs(environment.iter().copied());
    Terminal::start(&command)
}

/// A recording that goes on for longer than any test, played in real time.
fn top(args: &[&str], environment: &[(&str, &str)]) -> (TempDir, Terminal) {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("sounds.wav");
    tiny::write_wav(&wav, &sounds());
    let (model, source) = (tiny::model(), format!("file:{}", wav.display()));
    let args = [&["top", "--model", model.to_str().unwrap(), "--source", &source], args].concat();
    let terminal = at_terminal(earwitness_bin().to_str().unwrap(), &args, environment);
    (dir, terminal)
}

/// Whether a process is running.
fn is_running(id: &str) -> bool {
    // The name, in brackets, may have spaces in it.
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, state)| !state.starts_with(" Z"))
}

#[test]
fn it_ends_with_its_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (wav, id) = (dir.path().join("sounds.wav"), dir.path().join("id"));
    tiny::write_wav(&wav, &sounds());
    // As with nohup, and where the kernel sends no signal: the terminal just goes away.
    let line = format!(
        "trap '' HUP; echo $$ > {}; exec {} top --model {} --source file:{}",
        id.display(),
        earwitness_bin().display(),
        tiny::model().display(),
        wav.display()
    );
    let mut terminal = at_terminal("sh", &["-c", &line], &[]);
    terminal.wait_until("the picture", |screen| screen.contains("likely now"));
    let id = fs::read_to_string(id).unwrap();
    assert!(is_running(id.trim()));
    drop(terminal);
    let deadline = Instant::now() + PATIENCE;
    while is_running(id.trim()) {
        assert!(Instant::now() < deadline, "process {id} goes on without its terminal");
        std::thread::sleep(Duration::from_millis(50));
    }
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
    let screen = terminal.wait_until("the noise is likely", |screen| {
        let likely = screen.lines().find(|line| line.contains("] ") && line.contains("noise"));
        likely.is_some_and(|line| line.contains("] 0.9") || line.contains("] 1.0"))
    });
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
    terminal.wait_until("an event", |screen| screen.contains("ongoing"));
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
    terminal.wait_until("an event", |screen| screen.contains("ongoing"));
    assert!(backgrounds(&terminal).iter().any(|colour| colour.contains("Rgb")));
    assert!(terminal.screen().is_ascii(), "{}", terminal.screen());
    terminal.press("\x03");
    assert!(terminal.finish().success());
}

#[test]
fn a_terminal_that_is_too_small_shows_what_it_needs_and_the_key_that_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("sounds.wav");
    tiny::write_wav(&wav, &sounds());
    let program = earwitness_bin().display();
    let top = format!("'{program}' top --model '{}' --source 'file:{}'", tiny::model().display(), wav.display());
    let line = format!("stty rows 10 cols 40; exec {top}");
    let mut terminal = at_terminal("sh", &["-c", &line], &[]);
    terminal.wait_until("the size", |screen| {
        let words: Vec<&str> = screen.split_whitespace().collect();
        words.join(" ").ends_with("it needs 50 x 14; q quits")
    });
    terminal.press("q");
    assert!(terminal.finish().success());
}

#[test]
fn without_a_terminal_it_says_so() {
    contains(&refusal(2, &["top"]), &["top: it needs a terminal", "earwitness run"]);
}

/// A daemon in `dir` that listens to `sounds` and lets terminals attach through `top.sock` there.
fn daemon(dir: &Path, sounds: &[(Sound, f64)]) -> Process {
    let top = "[top]\nsocket = \"top.sock\"\n";
    let mut process = Process::start(&mut tests::daemon::hear(dir, "kitchen", sounds, false, top));
    process.wait_until("the socket", PATIENCE, |process| {
        process.stderr().iter().any(|line| line.contains("terminals can attach: earwitness top --attach "))
    });
    process
}

/// `top` attached to the daemon of `dir`.
fn attach(dir: &Path) -> Terminal {
    let socket = dir.join("top.sock");
    at_terminal(earwitness_bin().to_str().unwrap(), &["top", "--attach", socket.to_str().unwrap()], &[])
}

/// What `top` says when it does not attach.
fn refused(mut terminal: Terminal) -> String {
    assert_eq!(terminal.finish().code(), Some(1), "{}", terminal.written());
    terminal.written().trim().to_string()
}

/// Terminals that the daemon feeds now: each has a thread.
fn n_fed(daemon: &Process) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    let name = |path: &Path| fs::read_to_string(path.join("comm")).unwrap_or_default();
    threads.filter(|thread| name(&thread.as_ref().unwrap().path()).trim() == "terminal").count()
}

#[test]
fn attached_it_shows_what_the_daemon_hears_until_the_daemon_ends_and_again_after_that() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("top.sock");
    let mut process = daemon(dir.path(), &sounds());
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(n_fed(&process), 0);
    let mut terminal = attach(dir.path());
    terminal.wait_until("an event that has ended", |screen| screen.contains("tone 2.") || screen.contains("tone 1."));
    let screen = terminal.wait_until("the noise is likely", |screen| {
        let likely = screen.lines().find(|line| line.contains("] ") && line.contains("noise"));
        likely.is_some_and(|line| line.contains("] 0.9") || line.contains("] 1.0"))
    });
    let lines: Vec<&str> = screen.lines().collect();
    contains(lines[0], &["attached to kitchen: the recording "]);
    contains(lines[1], &["level [", "dBFS, peak "]);
    contains(lines[11], &["likely now", "events"]);
    contains(lines[22], &["load ", "gaps 0", "dropped 0"]);
    assert!(!screen.contains("background"), "what is no event is not likely: {screen}");
    let colours = backgrounds(&terminal);
    assert!(colours.len() > 8, "{colours:?}");

    // A second one gets what was reported before it came.
    let mut second = attach(dir.path());
    second.wait_until("an event of before", |screen| screen.contains("tone 2.") || screen.contains("tone 1."));
    assert_eq!(n_fed(&process), 2);
    second.press("q");
    assert!(second.finish().success(), "{}", second.written());
    process.wait_until("nothing is made for who has left", PATIENCE, |process| n_fed(process) == 1);

    // Thresholds are only tried, and those of the daemon follow its configuration.
    terminal.press("/noi\r+");
    terminal.wait_until("a threshold is tried", |screen| {
        screen.contains("likely now, of labels with \"noi\"") && screen.contains('*')
    });
    terminal.press("/\r");
    terminal
        .wait_until("it is said that it is only tried", |screen| screen.contains("likely now (*: tried here only)"));
    let config = dir.path().join("kitchen.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "[decide.classes.tone]\nthreshold_on = 0.87\n").unwrap();
    process.signal("HUP");
    terminal.wait_until("the daemon's new threshold", |screen| {
        screen.lines().any(|line| line.contains("tone ") && line.contains(" 0.87"))
    });

    process.signal("TERM");
    let output = process.finish(PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(!socket.exists(), "the socket is left behind");
    let complains = |screen: &str| screen.lines().nth(22).is_some_and(|line| line.starts_with("! "));
    terminal.wait_until("the daemon is missed", |screen| {
        complains(screen) && (screen.contains("the daemon has ended") || screen.contains("no daemon listens there"))
    });
    let _next = daemon(dir.path(), &sounds());
    terminal.wait_until("the next daemon", |screen| !complains(screen) && screen.contains("load "));
    terminal.press("q");
    assert!(terminal.finish().success(), "{}", terminal.written());
    contains(&terminal.written(), &["[decide.classes.\"noise\"]", "threshold_on = 0."]);
}

#[test]
fn terminals_that_take_nothing_delay_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = daemon(dir.path(), &sounds());
    let socket = dir.path().join("top.sock");
    let idle: Vec<UnixStream> = (0..8).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    process.wait_until("all are fed", PATIENCE, |process| n_fed(process) == 8);
    // There are no more places, and that is said.
    contains(&refused(attach(dir.path())), &["top.sock: too many terminals are attached to this daemon"]);
    drop(idle);
    process.wait_until("they are gone", PATIENCE, |process| n_fed(process) == 0);
    drop(process);

    // As fast as it can: there is no room for so much on the way to a terminal, and all events are
    // reported all the same.
    let top = "[top]\nsocket = \"top.sock\"\nmode = \"0660\"\n";
    let mut process = Process::start(&mut tests::daemon::hear(dir.path(), "kitchen", &tiny::tones(600), true, top));
    let mut idle = Vec::new();
    process.wait_until("terminals", PATIENCE, |_| {
        idle.extend(UnixStream::connect(&socket));
        !idle.is_empty()
    });
    let output = process.finish(PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert_eq!(output.stdout.len(), 1200);
    assert!(!socket.exists());
}

#[test]
fn who_cannot_attach_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = dir.path().join("top.sock");
    // Nothing listens unless the configuration has it so.
    let quiet = Process::start(&mut tests::daemon::hear(dir.path(), "quiet", &sounds(), false, ""));
    contains(&refused(attach(dir.path())), &["top.sock: no daemon listens there: start one with socket in [top]"]);
    drop(quiet);
    let config = dir.path().join("quiet.toml");
    let args = ["top", "--attach", "--config", config.to_str().unwrap()];
    let mut terminal = at_terminal(earwitness_bin().to_str().unwrap(), &args, &[]);
    assert_eq!(terminal.finish().code(), Some(2));
    contains(&terminal.written(), &["--attach: ", "quiet.toml has no socket in [top]"]);

    // What a daemon that was killed has left is replaced by the next one.
    let process = daemon(dir.path(), &sounds());
    process.signal("KILL");
    process.finish(PATIENCE);
    contains(&refused(attach(dir.path())), &["top.sock: no daemon listens there any more"]);
    let process = daemon(dir.path(), &sounds());
    let config = dir.path().join("kitchen.toml");
    let second = Process::start(&mut tests::daemon::run(&config)).finish(PATIENCE);
    assert_eq!(second.status.code(), Some(2), "{second:#?}");
    contains(second.stderr.last().unwrap(), &["kitchen.toml:", "top.socket: another daemon listens at "]);
    let checked = tests::commands::earwitness(&["check", "--config", config.to_str().unwrap()]);
    contains(&checked.stdout.join("\n"), &["top.sock (permissions 0600), for the daemon's user only"]);

    // Another user. Root may always attach, and so becomes somebody else.
    let is_root = fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"));
    let said = if is_root {
        let program = dir.path().join("earwitness");
        // By another process: this one's threads would hand an open file on to their children.
        assert!(Command::new("cp").arg(earwitness_bin()).arg(&program).status().unwrap().success());
        let (program, socket) = (program.to_str().unwrap(), socket.to_str().unwrap());
        let args = ["--reuid=65534", "--regid=65534", "--clear-groups", program, "top", "--attach", socket];
        refused(at_terminal("setpriv", &args, &[]))
    } else {
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
        refused(attach(dir.path()))
    };
    contains(&said, &["top.sock: this user may not attach", "sudo -u earwitness", "mode = \"0660\""]);
    drop(process);

    // Something else listens there. The daemon was killed, so that its file is still there.
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    let answer = std::thread::spawn(move || other.accept().unwrap().0.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap());
    contains(&refused(attach(dir.path())), &["top.sock: the messages of the daemon are not understood"]);
    answer.join().unwrap();
}
