//! Claim: `setup` makes a configuration that works out of what is there, with a terminal and
//! without one, and `doctor` finds what is wrong and says what to do. Both with real sound, a real
//! broker and a real terminal, and where there is neither microphone nor broker.

#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::broker::{Broker, free_port, openssl, program};
use tests::commands::{contains, write_wav};
use tests::http::{Behaviour, Server};
use tests::terminal::Terminal;
use tests::tiny;
use tests::virtual_mic::{AlsaConfig, Room};

const RATE: u32 = 24_000;

/// The program, with a home of its own.
fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.args(args).env("HOME", home).env("LANG", "C.UTF-8").env_remove("LC_ALL").env_remove("XDG_CONFIG_HOME");
    command.env_remove("XDG_STATE_HOME").env_remove("STATE_DIRECTORY").current_dir(tests::binary::workspace());
    command
}

fn run(command: &mut Command) -> Output {
    Process::start(command).finish(PATIENCE)
}

/// Writes `seconds` of sound.
fn wav(path: &Path, seconds: u32, sample: impl Fn(f64) -> f64) {
    let value = |n: u32| (sample(f64::from(n) / f64::from(RATE)).clamp(-1.0, 1.0) * 32_767.0) as i16;
    write_wav(path, RATE, 1, &(0..seconds * RATE).map(value).collect::<Vec<_>>());
}

/// Noise in [-1, 1].
fn noise(t_s: f64) -> f64 {
    let state = ((t_s * f64::from(RATE)).round() as u32).wrapping_mul(2_654_435_761).wrapping_add(1);
    let state = (state ^ state >> 15).wrapping_mul(2_246_822_519);
    f64::from((state ^ state >> 13) >> 8) / f64::from(1 << 23) - 1.0
}

fn a_good_sound(dir: &Path) -> String {
    let file = dir.join("good.wav");
    wav(&file, 6, |t| 0.2 * noise(t));
    format!("file:{}", file.display())
}

fn read(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

#[test]
fn without_a_terminal_everything_is_said_by_options() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), "allow_anonymous true");
    let (out, source) = (dir.path().join("etc/ear.toml"), a_good_sound(dir.path()));
    let (path, url) = (out.to_str().unwrap(), broker.url());
    let mut args = vec!["setup", "--yes", "--out", path, "--name", "kitchen", "--source", &source, "--listen", "3"];
    let server = Server::start(Behaviour::Answer(405, "Allow: POST\r\n"));
    let hook = server.url("/hook");
    args.extend(["--mqtt", &url, "--home-assistant", "--keep-days", "7", "--webhook", &hook]);
    let output = run(&mut command(dir.path(), &args));
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    let said = output.stdout.join("\n");
    contains(
        &said,
        &["clipping    none", "hum         none", "it accepts this device, and earwitness/kitchen/.. can be used"],
    );
    contains(&said, &[&format!("earwitness run --config {path}"), "/.. answers; no event was posted"]);
    assert_eq!(server.requests().len(), 1);
    assert!(!said.contains('\r'), "a meter is for a terminal: {said:?}");

    let config = read(&out);
    assert_eq!(config["name"].as_str(), Some("kitchen"));
    assert_eq!(config["source"]["input"].as_str(), Some(source.as_str()));
    assert_eq!(config["mqtt"]["url"].as_str(), Some(url.as_str()));
    assert_eq!(config["mqtt"]["home_assistant"].as_bool(), Some(true));
    assert_eq!(config["journal"]["keep_days"].as_integer(), Some(7));
    assert_eq!(config["webhook"][0]["url"].as_str(), Some(hook.as_str()));
    let comments = |text: &str| text.lines().filter(|line| line.starts_with("# ")).count();
    let example = fs::read_to_string(tests::binary::workspace().join("edge/earwitness.example.toml")).unwrap();
    assert_eq!(comments(&fs::read_to_string(&out).unwrap()), comments(&example));
    let checked = run(&mut command(dir.path(), &["check", "--config", path]));
    assert_eq!(checked.status.code(), Some(0), "{checked:#?}");

    // What is there is not overwritten, unless that is asked for.
    let text = fs::read_to_string(&out).unwrap();
    let again = ["setup", "--yes", "--out", path, "--source", &source, "--listen", "0", "--no-mqtt"];
    let refused = run(&mut command(dir.path(), &again));
    assert_eq!(refused.status.code(), Some(2), "{refused:#?}");
    contains(&refused.stderr.join("\n"), &["exists and stays as it is", "--force"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), text);
    let forced = run(command(dir.path(), &again).arg("--force"));
    assert_eq!(forced.status.code(), Some(0), "{forced:#?}");
    assert!(read(&out).get("mqtt").is_none_or(|mqtt| mqtt.get("url").is_none()));
    assert_eq!(fs::read_to_string(dir.path().join("etc/ear.toml.old")).unwrap(), text);
}

#[test]
fn a_configuration_means_the_recording_that_was_typed_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let source = a_good_sound(dir.path());
    let setup = |source: &str| {
        let args =
            ["setup", "--yes", "--force", "--out", "sub/x.toml", "--source", source, "--listen", "1", "--no-mqtt"];
        let output = run(command(dir.path(), &args).current_dir(dir.path()));
        assert_eq!(output.status.code(), Some(0), "{output:#?}");
        let said = output.stdout.join("\n");
        contains(&said, &["Listening for 1 s. The source: the recording "]);
        assert!(!said.contains("Make the sounds"), "nobody can: {said}");
        let config = dir.path().join("sub/x.toml");
        assert_eq!(read(&config)["source"]["input"].as_str(), Some(format!("file:{}", typed(dir.path())).as_str()));
        let checked = run(&mut command(dir.path(), &["check", "--config", config.to_str().unwrap()]));
        assert_eq!(checked.status.code(), Some(0), "{checked:#?}");
    };
    // In the folder, and in the home folder, which is the same.
    setup("file:good.wav");
    setup("file:~/good.wav");
    setup(&source);
}

/// Where the recording of [`a_good_sound`] lies.
fn typed(dir: &Path) -> String {
    dir.join("good.wav").display().to_string()
}

#[test]
fn without_a_home_folder_nothing_is_put_into_one() {
    let dir = tempfile::tempdir().unwrap();
    let homeless = |args: &[&str]| {
        let output = run(command(dir.path(), args).env_remove("HOME").current_dir(dir.path()));
        assert_eq!((output.status.code(), output.stderr.len()), (Some(2), 1), "{output:#?}");
        output.stderr[0].clone()
    };
    let setup = ["setup", "--yes", "--listen", "0", "--no-mqtt"];
    contains(&homeless(&setup), &["--out: this user has no home folder (HOME is not set): name the file to write"]);
    let out = [&setup[..], &["--out", "~/x.toml"]].concat();
    contains(&homeless(&out), &["--out: ~/x.toml: this user has no home folder", "write the whole path"]);
    contains(&homeless(&["clips", "--folder", "~/clips"]), &["--folder: ~/clips: this user has no home folder"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    for (text, place) in [
        ("[clips]\nfolder = \"~/clips\"\n", "c.toml:2: clips.folder: ~/clips: this user has no home folder"),
        ("[source]\ninput = \"file:~/a.wav\"\n", "c.toml:2: source.input: ~/a.wav: this user has no home folder"),
    ] {
        fs::write(dir.path().join("c.toml"), text).unwrap();
        contains(&homeless(&["check", "--config", "c.toml"]), &[place]);
    }
}

#[test]
fn what_cannot_be_configured_is_refused_before_anything_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.toml");
    for (option, value, words) in
        [("--keep-days", "99999", "99999 is not in 0..=3650"), ("--name", "a/b", "name: expected a name without '/'")]
    {
        let args = ["setup", "--yes", "--out", out.to_str().unwrap(), "--source", "file:/nope.wav", option, value];
        let output = run(&mut command(dir.path(), &args));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:#?}");
        contains(&output.stderr.join("\n"), &[words]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_faint_source_that_hums_and_one_that_clips_get_advice() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("ear.toml");
    let try_out = |sample: &dyn Fn(f64) -> f64| {
        let file = dir.path().join("sound.wav");
        wav(&file, 6, sample);
        let source = format!("file:{}", file.display());
        let path = out.to_str().unwrap();
        let args = ["setup", "--yes", "--force", "--out", path, "--source", &source, "--listen", "4", "--no-mqtt"];
        let output = run(&mut command(dir.path(), &args));
        assert_eq!(output.status.code(), Some(0), "{output:#?}");
        output.stdout.join("\n")
    };
    // A tenth of the voice, and the mains.
    let said = try_out(&|t| 0.004 * noise(t) + 0.006 * (TAU * 50.0 * t).sin() + 0.003 * (TAU * 150.0 * t).sin());
    contains(&said, &["hum         50 Hz of the mains at -4", "another power supply"]);
    let gain_db = read(&out)["source"]["gain_db"].as_float().unwrap();
    assert!((20.0..35.0).contains(&gain_db), "{gain_db}");
    let said = try_out(&|t| 3.0 * noise(t));
    contains(&said, &["turn the source's own gain down"]);
    assert!(read(&out)["source"].get("gain_db").is_none());
}

#[test]
fn a_muted_microphone_is_to_be_unmuted_and_not_to_be_plugged_in() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("ear.toml");
    fs::write(&config, "[source]\ndevice = \"virtmic\"\n").unwrap();
    let mut doctor = command(dir.path(), &["doctor", "--config", config.to_str().unwrap()]);
    let alsa = AlsaConfig::unpaced(&[0.0; 480_000]);
    alsa.configure(&mut doctor);
    let output = run(&mut doctor);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    let said = output.stdout.join("\n");
    contains(&said, &["source         problem  ", "nothing but zeros", "unmute it: `alsamixer`, key F4"]);
    assert!(!said.contains("plug in a microphone"), "{said}");
}

#[test]
fn where_nothing_is_there_it_says_so_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("ear.toml");
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let alsa = AlsaConfig::without_devices();
    let mut setup = command(dir.path(), &["setup", "--yes", "--out", out.to_str().unwrap(), "--mqtt", &url]);
    alsa.configure(&mut setup);
    let output = run(&mut setup);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    let said = output.stdout.join("\n");
    contains(&said, &["nothing was heard", "nothing listens at mqtt://127.0.0.1", "the daemon will keep trying"]);
    assert_eq!(read(&out)["mqtt"]["url"].as_str(), Some(url.as_str()));

    let mut doctor = command(dir.path(), &["doctor", "--config", out.to_str().unwrap()]);
    alsa.configure(&mut doctor);
    let output = run(&mut doctor);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    let said = output.stdout.join("\n");
    contains(&said, &["source         problem  ", "plug in a microphone", "broker         problem  ", "2 problems"]);
    contains(&said, &["-> start the broker, let it listen in the network, and check the port in mqtt.url"]);

    let nowhere = dir.path().join("nowhere.toml");
    let mut doctor = command(dir.path(), &["doctor", "--config", nowhere.to_str().unwrap()]);
    alsa.configure(&mut doctor);
    let output = run(&mut doctor);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    let advice = format!("make one with `earwitness setup --out {}`", nowhere.display());
    contains(&output.stdout.join("\n"), &["nowhere.toml: no such file", &advice, "the checks below use the defaults"]);

    // Nobody can be asked.
    let output = run(&mut command(dir.path(), &["setup"]));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:#?}");
    contains(&output.stderr.join("\n"), &["standard input is not a terminal", "--yes"]);
    // A mistake is one sentence, and nothing is written.
    let none = dir.path().join("none.toml");
    let args = ["setup", "--yes", "--out", none.to_str().unwrap(), "--listen", "0", "--mqtt", "http://broker"];
    let output = run(&mut command(dir.path(), &args));
    assert_eq!((output.status.code(), output.stderr.len()), (Some(2), 1), "{output:#?}");
    contains(&output.stderr[0], &["mqtt://HOST"]);
    assert!(!none.exists());
}

#[test]
fn at_a_terminal_it_asks_shows_the_level_and_hides_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    fs::write(&passwords, "").unwrap();
    let made = Command::new(program("mosquitto_passwd", "mosquitto"))
        .args(["-b", passwords.to_str().unwrap(), "ann", "sesame"])
        .status()
        .unwrap();
    assert!(made.success());
    let login = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let broker = Broker::start(dir.path(), free_port(), &login);
    let room = Room::open();
    let sound = dir.path().join("loud.wav");
    wav(&sound, 60, |t| 0.3 * noise(t));
    let playing = room.start_playing(&sound);

    let out = dir.path().join("ear.toml");
    let mut setup =
        command(dir.path(), &["setup", "--out", out.to_str().unwrap(), "--device", "pulsemic", "--listen", "3"]);
    room.configure(&mut setup);
    let mut terminal = Terminal::start(&setup);
    terminal.wait_until("the name is asked for", |screen| screen.contains("Name of this device"));
    terminal.press("nursery\r");
    terminal.wait_until("the level is shown", |screen| screen.contains("dBFS [██████"));
    terminal.wait_until("the broker is asked for", |screen| screen.contains("empty for none:"));
    terminal.press(&format!("{}\r", broker.url()));
    terminal.wait_until("the user is asked for", |screen| screen.contains("User name at the broker"));
    terminal.press("ann\r");
    terminal.wait_until("the password is asked for", |screen| screen.contains("Password, which is not shown:"));
    terminal.press("wrong\r");
    terminal.wait_until("the login is refused", |screen| screen.contains("Keep it anyway? [y/N]"));
    contains(&terminal.screen(), &["the broker refuses the user name, the password or the client id"]);
    terminal.press("\r");
    for (question, answer) in [
        ("empty for none", "\r"),
        ("User name at the broker; empty for none [ann]", "\r"),
        ("Password, which is not shown", "sesame\r"),
        ("Home Assistant?", "\r"),
        ("Web server to post events to", "\r"),
        ("Days that events are kept", "\r"),
    ] {
        // The questions of before are still to be seen.
        terminal.wait_until(question, |screen| {
            screen.trim_end().lines().last().is_some_and(|line| line.contains(question))
        });
        terminal.press(answer);
    }
    let status = terminal.finish();
    assert!(status.success(), "{}", terminal.written());
    assert!(!terminal.written().contains("sesame"), "{}", terminal.written());
    drop(playing);

    let config = read(&out);
    assert_eq!((config["name"].as_str(), config["source"]["device"].as_str()), (Some("nursery"), Some("pulsemic")));
    assert_eq!(config["mqtt"]["password_file"].as_str(), Some("mqtt.password"));
    let secret = dir.path().join("mqtt.password");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "sesame\n");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&out).unwrap().contains("sesame"));
    let checked = run(&mut command(dir.path(), &["check", "--config", out.to_str().unwrap()]));
    assert_eq!(checked.status.code(), Some(0), "{checked:#?}");
}

/// Checks of the doctor by name, with their states.
fn examine(home: &Path, config: &str, expected: i32) -> Vec<(String, String, String)> {
    let path = home.join("doctor.toml");
    fs::write(&path, config).unwrap();
    let output = run(&mut command(home, &["doctor", "--json", "--config", path.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(expected), "{output:#?}");
    assert_eq!(output.stderr.len(), 0, "{output:#?}");
    let document: Value = serde_json::from_str(&output.stdout.join("\n")).unwrap();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let checks = document["checks"].as_array().unwrap();
    for check in checks {
        assert!(check["state"] == "ok" || check["advice"].is_array(), "nothing is said to do: {check}");
    }
    checks
        .iter()
        .map(|check| {
            let said = format!("{} {}", text(&check["text"]), text(&check["advice"]));
            (text(&check["check"]), text(&check["state"]), said)
        })
        .collect()
}

/// The state of a check and what is said.
fn of<'a>(checks: &'a [(String, String, String)], name: &str) -> (&'a str, &'a str) {
    let found = checks.iter().find(|(check, ..)| check == name).unwrap_or_else(|| panic!("no {name} in {checks:#?}"));
    (&found.1, &found.2)
}

#[test]
fn a_device_that_is_well_has_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), "allow_anonymous true");
    let config = format!(
        "name = \"ear\"\n[source]\ninput = \"{}\"\n[mqtt]\nurl = \"{}\"\n",
        a_good_sound(dir.path()),
        broker.url()
    );
    let checks = examine(dir.path(), &config, 0);
    for name in [
        "configuration",
        "clock",
        "model",
        "golden run",
        "labels",
        "source",
        "processor",
        "journal",
        "disk",
        "broker",
        "topics",
    ] {
        // A machine of a test may not synchronise its clock, and be busy.
        let may_warn = matches!(name, "clock" | "processor" | "disk");
        let (state, said) = of(&checks, name);
        assert!(state == "ok" || may_warn && state == "warning", "{name}: {state}: {said}");
    }
    contains(of(&checks, "golden run").1, &["the golden recording gives the golden outputs"]);
    contains(of(&checks, "source").1, &["dBFS, peak -14 dBFS"]);
    contains(of(&checks, "topics").1, &["earwitness/ear/.. can be written and read"]);

    let path = dir.path().join("doctor.toml");
    let output = run(&mut command(dir.path(), &["doctor", "--config", path.to_str().unwrap()]));
    let said = output.stdout.join("\n");
    contains(&said, &["model          ok       home-", "broker         ok       mqtt://127.0.0.1", "0 problems"]);
    assert!(output.stdout.iter().all(|line| line.is_empty() || !line.ends_with(' ')), "{said}");
}

#[test]
fn a_shipped_model_without_its_golden_recording_runs() {
    let dir = tempfile::tempdir().unwrap();
    let model = tests::commands::copy(&tests::binary::workspace().join("models/home"));
    let (source, model) = (a_good_sound(dir.path()), model.path().display());
    let config = format!("[source]\ninput = \"{source}\"\n[model]\ndir = \"{model}\"\n");
    let checks = examine(dir.path(), &config, 0);
    let (state, said) = of(&checks, "golden run");
    assert_eq!(state, "ok", "{said}");
    contains(said, &["its golden recording is not installed, which is usual"]);
    contains(of(&checks, "labels").1, &["28 of 45 are reported"]);
}

#[test]
fn of_a_fifo_it_is_said_why_nothing_arrives_and_another_reader_keeps_its_samples() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("mic");
    tests::binary::make_fifo(&fifo);
    let config = format!("[source]\ninput = \"file:{}\"\n", fifo.display());
    let (state, said) = {
        let checks = examine(dir.path(), &config, 1);
        let (state, said) = of(&checks, "source");
        (state.to_string(), said.to_string())
    };
    assert_eq!(state, "problem", "{said}");
    contains(&said, &["nothing has arrived for 3 s", "start the program that writes to it"]);

    // Opened for both, it does not wait for a writer.
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    file.write_all(b"samples").unwrap();
    let checks = examine(dir.path(), &config, 0);
    contains(of(&checks, "source").1, &["not tried, because another program is reading it"]);
    let mut kept = [0; 7];
    file.read_exact(&mut kept).unwrap();
    assert_eq!(&kept, b"samples");

    drop(file);

    // A program that writes zeros for as long as someone reads them.
    let writer = std::thread::spawn(move || {
        let mut file = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        while file.write_all(&[0; 9_600]).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let checks = examine(dir.path(), &config, 1);
    contains(of(&checks, "source").1, &["nothing but zeros", "unmute it, or what it takes its sound from"]);
    writer.join().unwrap();
}

#[test]
fn without_a_name_the_configuration_that_setup_has_written_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let source = a_good_sound(dir.path());
    let args = ["setup", "--yes", "--name", "attic", "--source", &source, "--listen", "0"];
    let output = run(&mut command(dir.path(), &args));
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    let output = run(&mut command(dir.path(), &["doctor"]));
    // That of the service has precedence, where it is installed.
    let (service, own) = (Path::new("/etc/earwitness/earwitness.toml"), ".config/earwitness/earwitness.toml");
    let file = if service.exists() { service.to_path_buf() } else { dir.path().join(own) };
    contains(&output.stdout.join("\n"), &[&format!("configuration  ok       {} is valid", file.display())]);
}

#[test]
fn what_is_wrong_with_the_broker_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    fs::write(&acl, "topic read earwitness/#\n").unwrap();
    openssl(
        dir.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "10",
            "-keyout",
            "broker.key",
            "-out",
            "broker.pem",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ],
    );
    let (plain, tls) = (free_port(), free_port());
    let folder = dir.path().display();
    let more = format!(
        "allow_anonymous true\nacl_file {}\nlistener {tls} 127.0.0.1\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key",
        acl.display()
    );
    let _broker = Broker::start(dir.path(), plain, &more);
    let source = a_good_sound(dir.path());
    let config = |mqtt: &str| format!("name = \"ear\"\n[source]\ninput = \"{source}\"\n[mqtt]\n{mqtt}\n");

    let forbidden = examine(dir.path(), &config(&format!("url = \"mqtt://127.0.0.1:{plain}\"")), 1);
    assert_eq!(of(&forbidden, "broker").0, "ok");
    assert_eq!(of(&forbidden, "topics").0, "problem");
    contains(of(&forbidden, "topics").1, &["access control (ACL)", "earwitness/ear/"]);

    let unknown = examine(dir.path(), &config(&format!("url = \"mqtts://localhost:{tls}\"")), 1);
    let (state, said) = of(&unknown, "broker");
    assert_eq!(state, "problem");
    contains(said, &["mqtt.ca_file"]);
    contains(of(&unknown, "certificate").1, &["the broker's certificate expires on ", "renew it"]);

    let pinned = format!("url = \"mqtts://localhost:{tls}\"\nca_file = \"{folder}/broker.pem\"");
    let pinned = examine(dir.path(), &config(&pinned), 1);
    assert_eq!(of(&pinned, "broker").0, "ok");
    let (state, said) = of(&pinned, "certificate");
    assert_eq!(state, "warning");
    contains(said, &["broker.pem (mqtt.ca_file) expires on"]);
}

#[test]
fn what_is_turned_on_beside_events_is_looked_at_and_everything_has_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (other, free) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let config = format!(
        "[source]\ninput = \"file:none.wav\"\n[clips]\nfolder = \"/proc/x\"\n[journal]\nfile = \"/proc/x/j\"\n\
         [web]\nlisten = \"{}\"\n[metrics]\nport = {free}\n[top]\nsocket = \"/nope/x\"\n\
         [mqtt]\nurl = \"mqtt://no-such-broker.invalid\"\n",
        other.local_addr().unwrap()
    );
    let checks = examine(dir.path(), &config, 1);
    for (name, state, words) in [
        ("source", "problem", "put the recording there"),
        ("clips", "problem", "with clips.folder"),
        ("journal", "problem", "/proc has only the files that the kernel shows there"),
        ("page", "warning", "another program listens at 127.0.0.1:"),
        ("metrics", "ok", "the daemon can listen at 127.0.0.1:"),
        ("top", "problem", "there is no folder /nope: make it"),
        ("broker", "problem", "`getent hosts NAME`"),
    ] {
        let (actual, said) = of(&checks, name);
        assert!(actual == state && said.contains(words), "{name}: {actual}: {said}");
    }
}

#[test]
fn damage_is_found_and_the_rest_is_checked_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let source = a_good_sound(dir.path());
    let model = tests::commands::copy(&tiny::model());
    let path = model.path().join("model.onnx");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let sections = format!("[source]\ninput = \"{source}\"\n[model]\ndir = \"{}\"\n", model.path().display());
    let checks = examine(dir.path(), &format!("{sections}[journal]\nfile = \"{}\"\n", dir.path().display()), 1);
    assert_eq!(of(&checks, "model").0, "problem");
    contains(of(&checks, "model").1, &["the file is damaged"]);
    assert_eq!(of(&checks, "source").0, "ok");
    assert_eq!(of(&checks, "journal").0, "problem");
    contains(of(&checks, "journal").1, &["is a folder where the journal's file belongs"]);

    let checks = examine(dir.path(), "[source]\ninptu = \"mic\"\n", 1);
    contains(of(&checks, "configuration").1, &["unknown field `inptu`", "the checks below use the defaults"]);
    assert_eq!(of(&checks, "model").0, "ok");
}
