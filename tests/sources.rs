//! Claim: every source is a live source or a recording, and says which. Pipes, FIFOs, commands and
//! streams of the network are kept open by the same supervisor as microphones: what stalls or ends
//! is reported at once, the clock stays right, and nothing is left behind. Needs the Debian
//! packages ffmpeg, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base,
//! gstreamer1.0-plugins-good, mosquitto, python3 and python3-gi.

#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tempfile::TempDir;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin, make_fifo, workspace};
use tests::broker::{Broker, Subscriber, free_port};
use tests::tiny::{self, Sound, events, names};
use tests::virtual_mic::AlsaConfig;

/// A daemon in a folder of its own, and what it reports to systemd.
struct Daemon {
    dir: TempDir,
    told: Receiver<String>,
    all: Vec<String>,
}

impl Daemon {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        let (sender, told) = channel();
        // A socket that nobody reads would hold up the daemon. It ends with the test.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = systemd.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                if text.lines().any(|line| sender.send(line.to_string()).is_err()) {
                    return;
                }
            }
        });
        Daemon { dir, told, all: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command that runs it, with a watchdog that wants to be fed every second.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(earwitness_bin());
        command.args(["run", "--precision", "f32", "--model"]).arg(tiny::model()).args(args);
        command.env("NOTIFY_SOCKET", self.path("notify")).env("WATCHDOG_USEC", "1000000").env_remove("WATCHDOG_PID");
        command
    }

    /// Waits for a line with `text` in it that is reported to systemd.
    fn wait_for(&mut self, process: &Process, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(line) => self.all.push(line),
                Err(_) => panic!("waited for {text:?}: {:#?}, {:#?}", self.all, process.stderr()),
            }
            if self.all.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
    }
}

/// Ends it as systemd does.
fn end(process: Process) -> Output {
    process.signal("TERM");
    process.finish(PATIENCE)
}

fn bytes(parts: &[(Sound, f64)]) -> Vec<u8> {
    tiny::samples(parts).iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Writes samples at the pace of time, and returns when each part began.
fn play(to: &mut impl Write, parts: &[(Sound, f64)]) -> Vec<Timestamp> {
    let begin = Instant::now();
    let (mut begins, mut n_written) = (Vec::new(), 0);
    for part in parts {
        begins.push(Timestamp::now());
        for block in bytes(&[*part]).chunks(2 * tiny::SAMPLE_RATE as usize / 50) {
            to.write_all(block).unwrap();
            n_written += block.len() / 2;
            let due = begin + Duration::from_secs_f64(n_written as f64 / f64::from(tiny::SAMPLE_RATE));
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    begins
}

/// Writes a sound at the pace of time until `is_enough`.
fn play_until(to: &mut impl Write, sound: Sound, is_enough: impl Fn() -> bool) {
    let begin = Instant::now();
    let (second, block_len) = (bytes(&[(sound, 1.0)]), 2 * tiny::SAMPLE_RATE as usize / 50);
    for (block, n) in second.chunks(block_len).cycle().zip(1..) {
        if is_enough() {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{sound:?} is played in vain");
        to.write_all(block).unwrap();
        thread::sleep((begin + n * Duration::from_millis(20)).saturating_duration_since(Instant::now()));
    }
}

/// Whether a pipe was found to be live by its pace.
fn is_live(process: &Process) -> bool {
    process.stderr().iter().any(|line| line.contains("samples arrive in real time"))
}

fn wait_for_log(process: &mut Process, text: &str) {
    process.wait_until(text, PATIENCE, |process| process.stderr().iter().any(|line| line.contains(text)));
}

/// Waits until nobody runs any more with `text` in the command line: who was killed may still be on
/// the way out.
fn wait_until_gone(text: &str, is_meant: impl Fn(&String) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while running(text).iter().any(&is_meant) {
        assert!(Instant::now() < deadline, "{:#?}", running(text));
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until no child is left that has ended and that nobody has waited for: one that ends just
/// now is one for a moment.
fn wait_for_no_zombies(process: &mut Process) {
    process.wait_until("no zombies", PATIENCE, |process| zombies(process) == 0);
}

fn wait_for_event(process: &mut Process, name: &str) {
    process.wait_until(name, PATIENCE, |process| names(&events(&process.stdout())).iter().any(|other| other == name));
}

/// Processes whose command line has `text` in it.
fn running(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let command = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let lines = processes.filter_map(command).map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

/// Children of `process` that have ended and that nobody has waited for.
fn zombies(process: &Process) -> usize {
    let children = format!("/proc/{0}/task/{0}/children", process.id());
    let is_zombie = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    fs::read_to_string(children).unwrap_or_default().split_whitespace().filter(|pid| is_zombie(pid)).count()
}

#[test]
fn a_fifo_is_waited_for_and_its_next_writer_is_heard() {
    let mut daemon = Daemon::new();
    let fifo = daemon.path("fifo");
    make_fifo(&fifo);
    let source = format!("file:{}", fifo.display());
    let mut process = Process::start(&mut daemon.command(&["--source", &source, "--rate", "24000"]));
    daemon.wait_for(&process, "READY=1");
    daemon.wait_for(&process, "is its writer running?");
    daemon.wait_for(&process, "WATCHDOG=1");
    for round in 1..=2 {
        let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
        // On a busy machine it takes more than two seconds until the pace is that of time.
        play_until(&mut writer, Sound::Noise, || is_live(&process));
        play(&mut writer, &[(Sound::Noise, 0.5), (Sound::Tone, 1.0), (Sound::Noise, 0.5)]);
        drop(writer);
        daemon.wait_for(&process, "its writer has closed it");
        process.wait_until("the tone", PATIENCE, |process| {
            names(&events(&process.stdout())).iter().filter(|name| *name == "tone onset").count() == round
        });
    }
    assert!(end(process).status.success());
}

#[test]
fn a_pipe_that_brings_nothing_is_deaf_for_the_broker_until_it_does() {
    let daemon = Daemon::new();
    let broker = Broker::start(daemon.dir.path(), free_port(), "allow_anonymous true");
    let subscriber = Subscriber::start(broker.port, None);
    let fifo = daemon.path("fifo");
    make_fifo(&fifo);
    let config = daemon.path("ear.toml");
    let text = format!(
        "name = \"ear\"\n[source]\ninput = \"file:fifo\"\nrate = 24000\nlive = true\n[mqtt]\nurl = \"{}\"\nhealth_s = 1\n",
        broker.url()
    );
    fs::write(&config, text).unwrap();
    let process = Process::start(&mut daemon.command(&["--config", config.to_str().unwrap()]));
    let is_last =
        |topic: &str, text: &str| subscriber.payloads(topic).last().is_some_and(|payload| payload.contains(text));
    let is_said =
        |what: &str, capture: &str| is_last("earwitness/ear/status", what) && is_last("earwitness/ear/health", capture);
    let wait_for_deaf = || subscriber.wait_until("deaf", |_| is_said("deaf", "\"capture_fault\":\"stalled\""));
    let is_online = || is_said("online", "\"capture\":\"listening\"");
    wait_for_deaf();
    let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
    play_until(&mut writer, Sound::Noise, is_online);
    // It stays open and says nothing more.
    wait_for_deaf();
    play_until(&mut writer, Sound::Noise, is_online);
    assert!(end(process).status.success());
}

#[test]
fn sigterm_ends_a_daemon_whose_fifo_has_no_writer() {
    let mut daemon = Daemon::new();
    let fifo = daemon.path("fifo");
    make_fifo(&fifo);
    let process = Process::start(&mut daemon.command(&["--source", &format!("file:{}", fifo.display())]));
    daemon.wait_for(&process, "READY=1");
    assert!(end(process).status.success());
}

#[test]
fn a_recording_in_a_fifo_is_read_as_fast_as_it_comes_and_ends() {
    let daemon = Daemon::new();
    let (fifo, wav) = (daemon.path("fifo"), daemon.path("scene.wav"));
    make_fifo(&fifo);
    tiny::write_wav(&wav, &[(Sound::Silence, 1.0), (Sound::Tone, 30.0), (Sound::Silence, 29.0)]);
    let process = Process::start(&mut daemon.command(&["--source", &format!("file:{}", fifo.display())]));
    fs::write(&fifo, fs::read(&wav).unwrap()).unwrap();
    let output = process.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(names(&events(&output.stdout)), ["tone onset", "tone offset"]);
}

#[test]
fn a_live_pipe_that_pauses_keeps_its_clock_and_says_so() {
    let mut daemon = Daemon::new();
    let mut command = daemon.command(&["--source", "stdin", "--rate", "24000"]);
    let (process, mut pipe) = Process::start_with_input(&mut command);
    daemon.wait_for(&process, "READY=1");
    let mut begins = Vec::new();
    // Told to be live by its pace alone.
    play_until(&mut pipe, Sound::Noise, || is_live(&process));
    begins.push(play(&mut pipe, &[(Sound::Noise, 0.5), (Sound::Tone, 0.6), (Sound::Noise, 0.4)])[1]);
    daemon.wait_for(&process, "its writer has paused");
    daemon.wait_for(&process, "WATCHDOG=1");
    daemon.wait_for(&process, "WATCHDOG=1");
    begins.push(play(&mut pipe, &[(Sound::Noise, 0.6), (Sound::Tone, 0.6), (Sound::Noise, 1.0)])[1]);
    drop(pipe);
    let output = process.finish(PATIENCE);
    let onsets: Vec<Timestamp> = events(&output.stdout)
        .iter()
        .filter(|event| event["label"] == "tone" && event["phase"] == "onset")
        .map(|event| event["onset"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(onsets.len(), 2, "{output:#?}");
    for (onset, begin) in onsets.iter().zip(&begins) {
        let late_s = onset.duration_since(*begin).as_secs_f64();
        assert!(late_s.abs() < 1.0, "an onset is {late_s} s late: {output:#?}");
    }
    // The end of what is live is a failure, so that systemd starts it again.
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.iter().any(|line| line.contains("its writer has closed it")), "{output:#?}");
    let warnings = output.stderr.iter().filter(|line| line.contains("WARN") && line.contains("paused")).count();
    assert_eq!(warnings, 1, "{output:#?}");
}

#[test]
fn a_command_is_started_again_and_leaves_nothing_behind() {
    let mut daemon = Daemon::new();
    fs::write(daemon.path("scene.raw"), bytes(&[(Sound::Noise, 0.5), (Sound::Tone, 1.0), (Sound::Noise, 0.5)]))
        .unwrap();
    // Once it ends with a complaint, then it stalls, with a child of its own that this test alone
    // has.
    let child = format!("sleep 6543.{}", std::process::id());
    let script = format!(
        "exec:cd {} && if [ -e once ]; then cat scene.raw; {child}; else touch once; echo no camera >&2; exit 3; fi",
        daemon.dir.path().display()
    );
    let mut process = Process::start(&mut daemon.command(&["--source", &script, "--rate", "24000"]));
    // What lasts for a moment is awaited in the log: it may be over before systemd hears of it.
    wait_for_log(&mut process, "has ended with exit code 3: no camera");
    wait_for_event(&mut process, "tone onset");
    wait_for_log(&mut process, "no sound for 5 s");
    let n_tones =
        |process: &Process| names(&events(&process.stdout())).iter().filter(|name| *name == "tone onset").count();
    process.wait_until("the next life", PATIENCE, |process| n_tones(process) > 1);
    daemon.wait_for(&process, "STATUS=listening");
    let is_child = |line: &String| line.starts_with(&child);
    process
        .wait_until("its child, and no other", PATIENCE, |_| running(&child).into_iter().filter(is_child).count() == 1);
    wait_for_no_zombies(&mut process);
    assert!(end(process).status.success());
    wait_until_gone(&child, |_| true);
}

#[test]
fn a_command_that_can_write_no_more_when_the_daemon_ends_has_not_failed() {
    let mut daemon = Daemon::new();
    let command = "exec:ffmpeg -nostdin -loglevel error -re -f lavfi -i anoisesrc=r=24000 -flush_packets 1 -f wav -";
    let mut process = Process::start(&mut daemon.command(&["--source", command]));
    wait_for_log(&mut process, ": listening to ");
    daemon.wait_for(&process, "STATUS=listening");
    let output = end(process);
    assert!(output.status.success(), "{output:#?}");
    let complaints = output.stderr.iter().filter(|line| !line.contains(" INFO "));
    assert_eq!(complaints.count(), 0, "{output:#?}");
}

#[test]
fn a_stream_over_http_is_heard_and_missed_and_its_password_is_not_shown() {
    let mut daemon = Daemon::new();
    tiny::write_wav(&daemon.path("live.wav"), &[(Sound::Noise, 0.5), (Sound::Tone, 1.0), (Sound::Noise, 1.0)]);
    let port = free_port().to_string();
    let serve = |dir: &Path| {
        let mut command = Command::new("python3");
        let command = command.args(["-m", "http.server", "--bind", "127.0.0.1", &port]).current_dir(dir);
        let mut server = Process::start(command);
        server.wait_until("the server", PATIENCE, |_| TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
        server
    };
    let server = serve(daemon.dir.path());
    let url = format!("http://admin:s3cret@127.0.0.1:{port}/live.wav?token=s3cret");
    let mut process = Process::start(&mut daemon.command(&["--source", &url]));
    wait_for_event(&mut process, "tone onset");
    drop(server);
    daemon.wait_for(&process, "Connection refused");
    let n_events = process.stdout().len();
    let server = serve(daemon.dir.path());
    process.wait_until("more events", PATIENCE, |process| process.stdout().len() > n_events + 1);
    let told = format!("{:?}", daemon.all);
    wait_for_no_zombies(&mut process);
    let output = end(process);
    drop(server);
    let said = format!("{told} {:?} {:?}", output.stderr, output.stdout);
    assert!(!said.contains("s3cret") && said.contains(&format!("http://***@127.0.0.1:{port}/..")), "{said}");
    assert!(!said.contains("live.wav"), "a path may be a secret: {said}");
    wait_until_gone(&format!("127.0.0.1:{port}/live.wav"), |_| true);
}

#[test]
fn a_camera_without_sound_is_reported_as_such() {
    let mut daemon = Daemon::new();
    let mut ffmpeg = Command::new("ffmpeg");
    let mute = ffmpeg.args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "color=s=64x64", "-t", "1"]);
    assert!(mute.arg(daemon.path("mute.mkv")).status().unwrap().success());
    let port = free_port().to_string();
    let mut server = Command::new("python3");
    let server = server.args(["-m", "http.server", "--bind", "127.0.0.1", &port]).current_dir(daemon.dir.path());
    let _server = Process::start(server);
    let url = format!("http://127.0.0.1:{port}/mute.mkv");
    let process = Process::start(&mut daemon.command(&["--source", &url]));
    daemon.wait_for(&process, "the stream has no sound: turn on audio in the camera");
    assert!(end(process).status.success());
}

#[test]
fn a_camera_over_rtsp_is_heard_stalls_comes_back_and_goes() {
    let mut daemon = Daemon::new();
    let port = free_port().to_string();
    let serve = || {
        let script = workspace().join("tests/fixtures/rtsp_server.py");
        // Debian's own Python, whose packages are those that apt installs.
        let mut command = Command::new("/usr/bin/python3");
        let mut server = Process::start(command.arg(script).args([&port, "admin", "s3cret"]));
        server.wait_until("the RTSP server", PATIENCE, |server| server.stdout() == ["ready"]);
        server
    };
    let server = serve();
    let config = format!("[source]\ninput = \"rtsp://admin:s3cret@127.0.0.1:{port}/live\"\n");
    fs::write(daemon.path("ear.toml"), config).unwrap();
    let config = daemon.path("ear.toml");
    let mut process = Process::start(&mut daemon.command(&["--config", config.to_str().unwrap()]));
    wait_for_event(&mut process, "tone onset");
    server.signal("STOP");
    daemon.wait_for(&process, "no sound for 5 s");
    daemon.wait_for(&process, "WATCHDOG=1");
    wait_for_event(&mut process, "tone offset");
    server.signal("CONT");
    daemon.wait_for(&process, "STATUS=listening");
    drop(server);
    daemon.wait_for(&process, "trying again until it works");
    let server = serve();
    daemon.wait_for(&process, "STATUS=listening");
    wait_for_no_zombies(&mut process);
    let output = end(process);
    drop(server);
    assert!(output.status.success());
    assert!(!format!("{:?} {:?}", output.stderr, daemon.all).contains("s3cret"), "{output:#?}");
    wait_until_gone(&format!("127.0.0.1:{port}/live"), |line| line.contains("ffmpeg"));
}

#[test]
fn what_a_stream_needs_is_said_before_it_is_needed() {
    let daemon = Daemon::new();
    let mut command = daemon.command(&["--source", "rtsp://admin:s3cret@127.0.0.1/live"]);
    let output = Process::start(command.env("PATH", "/nowhere")).finish(PATIENCE);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.iter().any(|line| line.contains("ffmpeg, which reads streams, is not installed")));
    let mut command = daemon.command(&["--source", "rstp://admin:s3cret@127.0.0.1/live"]);
    let wrong = Process::start(&mut command).finish(PATIENCE);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr.iter().any(|line| line.contains("is not one of mic, file:PATH")), "{wrong:#?}");
    assert!(!format!("{output:?} {wrong:?}").contains("s3cret"));
}

#[test]
fn one_of_two_sources_that_ends_says_so_at_once() {
    let mut daemon = Daemon::new();
    tiny::write_wav(&daemon.path("short.wav"), &[(Sound::Tone, 1.0)]);
    fs::write(daemon.path("scene.raw"), bytes(&[(Sound::Noise, 1.0)])).unwrap();
    let command = format!("exec:cat {}; exec sleep 3600", daemon.path("scene.raw").display());
    let config = format!(
        "name = \"ear\"\n[[sources]]\nname = \"a\"\ninput = \"file:short.wav\"\n[[sources]]\nname = \"b\"\ninput = \"{command}\"\nrate = 24000\n"
    );
    fs::write(daemon.path("ear.toml"), config).unwrap();
    let config = daemon.path("ear.toml");
    let process = Process::start(&mut daemon.command(&["--config", config.to_str().unwrap()]));
    daemon.wait_for(&process, "a: the recording has ended");
    daemon.wait_for(&process, "WATCHDOG=1");
    assert!(end(process).status.success());
}

#[test]
fn a_line_that_talks_nonsense_is_reported_once() {
    let daemon = Daemon::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("serial:tcp://{}", listener.local_addr().unwrap());
    let (connected, n_connected) = channel();
    // Boot texts of another length each time.
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let lines = vec![b"rst:0x1 (POWERON_RESET),boot:0x13\r\n".to_vec(); 10 + n].concat();
            let sent = stream.and_then(|mut stream| stream.write_all(&lines).map(|()| stream));
            // Kept open until the next one.
            if connected.send(sent).is_err() {
                return;
            }
        }
    });
    let process = Process::start(&mut daemon.command(&["--source", &source]));
    let streams: Vec<_> = (0..4).map(|_| n_connected.recv_timeout(PATIENCE).unwrap()).collect();
    let output = end(process);
    drop(streams);
    let warnings = output.stderr.iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "{output:#?}");
}

#[test]
fn a_driver_that_hangs_starves_the_watchdog_and_does_not_hold_up_the_end() {
    let mut daemon = Daemon::new();
    let alsa = AlsaConfig::hanging();
    let mut command = daemon.command(&["--device", "virtmic"]);
    alsa.configure(&mut command);
    let mut process = Process::start(&mut command);
    daemon.wait_for(&process, "READY=1");
    process.wait_until("the complaint", PATIENCE, |process| {
        process
            .stderr()
            .iter()
            .any(|line| line.contains("ERROR") && line.contains("systemd's watchdog is not notified"))
    });
    end(process);
}
