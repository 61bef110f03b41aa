use std::collections::BTreeSet;

use super::*;
use crate::capture::{Channels, FileSpec, Layout, SourceOptions};

const EXAMPLE: &str = include_str!("../../../earwitness.example.toml");

pub(super) fn settings(text: &str, overrides: &Overrides) -> Result<Settings> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, text).unwrap();
    Settings::load(Some(&path), overrides)
}

fn refusal(text: &str) -> String {
    let message = settings(text, &Overrides::default()).unwrap_err().to_string();
    message.rsplit_once("/c.toml").map_or(message.clone(), |(_, rest)| format!("c.toml{rest}"))
}

/// The example with its examples switched on.
fn uncommented() -> String {
    let is_key = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    EXAMPLE.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

/// The keys of a table, from the parser's own complaint about one that does not exist.
fn known_keys(header: &str) -> BTreeSet<String> {
    let text = format!("{header}\nno_such_key = 1\n");
    let message = toml::from_str::<Config>(&text).unwrap_err().message().to_string();
    let keys = message.split('`').skip(3).step_by(2).map(str::to_string);
    // Accepted, because older configurations name them.
    keys.filter(|key| key != "smoothing" && key != "spool").collect()
}

#[test]
fn an_empty_file_and_the_untouched_example_are_the_defaults() {
    for text in ["", EXAMPLE] {
        let settings = settings(text, &Overrides::default()).unwrap();
        let source = SourceSettings {
            name: settings.name.clone(),
            spec: "mic".parse().unwrap(),
            options: SourceOptions::default(),
        };
        assert_eq!(settings.sources, [source]);
        assert_eq!((settings.precision, settings.log.as_str()), (PrecisionChoice::Auto, "info"));
        assert_eq!((settings.model_dir, settings.mqtt), (None, None));
        assert!(is_topic_level(&settings.name));
    }
}

#[test]
fn the_example_has_every_key() {
    let document: toml::Table = toml::from_str(&uncommented()).unwrap();
    toml::from_str::<Config>(&uncommented()).unwrap();
    let keys = |table: &toml::Table| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&document), known_keys(""));
    for (name, section) in document.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
        assert_eq!(keys(section), known_keys(&format!("[{name}]")), "{name}");
    }
    let class = document["decide"]["classes"]["water-flowing"].as_table().unwrap();
    assert_eq!(keys(class), known_keys("[decide.classes.water-flowing]"));
}

#[test]
fn the_command_line_has_precedence() {
    let text = "name = \"pi\"\n[source]\ninput = \"mic\"\nrate = 8000\n[model]\ndir = \"m\"\nprecision = \"f32\"\n[mqtt]\nurl = \"mqtt://a\"\nuser = \"u\"\n";
    let overrides = Overrides {
        source: Some("stdin".parse().unwrap()),
        channels: Some(ChannelChoice::Number(2)),
        fast: true, // standard input is read as it comes anyway
        model: Some("other".into()),
        precision: Some(PrecisionChoice::Int8),
        mqtt: Some("mqtts://b".into()),
        ..Default::default()
    };
    let settings = settings(text, &overrides).unwrap();
    let source = &settings.sources[0];
    let layout = Layout { rate: 8000, format: RawFormat::S16Le, n_channels: 2 };
    assert_eq!((&source.spec, source.options.layout), (&"stdin".parse().unwrap(), layout));
    assert_eq!((source.options.fast, settings.precision), (true, PrecisionChoice::Int8));
    assert_eq!(settings.model_dir, Some("other".into()));
    let mqtt = settings.mqtt.unwrap();
    assert_eq!(
        (mqtt.url.to_string().as_str(), mqtt.client_id.as_str(), mqtt.user.as_deref()),
        ("mqtts://b:8883", "earwitness-pi", Some("u"))
    );
}

#[test]
fn paths_are_seen_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pw"), "secret\nmore\n").unwrap();
    let path = dir.path().join("c.toml");
    fs::write(
        &path,
        "[source]\ninput = \"file:a.wav\"\n[mqtt]\nurl = \"mqtt://a\"\nuser = \"u\"\npassword_file = \"pw\"\n",
    )
    .unwrap();
    let settings = Settings::load(Some(&path), &Overrides::default()).unwrap();
    assert_eq!(settings.sources[0].spec, SourceSpec::File(FileSpec { path: dir.path().join("a.wav") }));
    assert_eq!(settings.mqtt.unwrap().password.as_deref(), Some("secret"));
}

#[test]
fn a_password_file_is_read_as_people_write_it_or_refused_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, "[mqtt]\nurl = \"mqtt://a\"\nuser = \"u\"\npassword_file = \"pw\"\n").unwrap();
    let password = |bytes: &[u8]| {
        fs::write(dir.path().join("pw"), bytes).unwrap();
        let settings = Settings::load(Some(&path), &Overrides::default());
        settings.map(|settings| settings.mqtt.unwrap().password.unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(password(b"\xEF\xBB\xBFsecret\r\n"), Ok("secret".into()));
    for (bytes, words) in [(&b""[..], "is empty"), (b"\xEF\xBB\xBF\n", "is empty"), (b"\xFF\xFEs\0", "UTF-8")] {
        let error = password(bytes).unwrap_err();
        assert!(error.contains("c.toml:4: mqtt.password_file") && error.contains(words), "{error}");
    }
}

#[test]
fn a_password_on_the_command_line_is_not_repeated() {
    let overrides = Overrides { mqtt: Some("mqtt://u:geheim@a".into()), ..Default::default() };
    let error = settings("", &overrides).unwrap_err().to_string();
    assert!(error.starts_with("--mqtt: ") && error.contains("password_file") && !error.contains("geheim"), "{error}");
}

#[test]
fn the_spool_of_older_configurations_is_the_journal() {
    let old = settings("[mqtt]\nurl = \"mqtt://a\"\n[mqtt.spool]\nfile = \"s\"\nmax_mb = 2\n", &Overrides::default())
        .unwrap();
    let new =
        settings("[mqtt]\nurl = \"mqtt://a\"\n[journal]\nfile = \"s\"\nmax_mb = 2\n", &Overrides::default()).unwrap();
    assert_eq!(old.journal.max_bytes, new.journal.max_bytes);
    assert!(matches!(old.journal.place, crate::journal::JournalPlace::File { .. }));
    assert!(old.notices[0].contains("[journal]") && new.notices.is_empty());
    let both = refusal("[mqtt.spool]\nmax_mb = 1\n[journal]\nmax_mb = 1\n");
    assert!(both.contains("mqtt.spool: [journal] is given as well"), "{both}");
}

#[test]
fn errors_name_file_line_and_key() {
    let starts = [
        ("bogus = 1\n", "c.toml:1: bogus: unknown field `bogus`"),
        ("\n[decide]\nwindow = 2\n", "c.toml:3: decide.window: unknown field `window`"),
        ("[decide.classes.bell]\nthresh = 2\n", "c.toml:2: decide.classes.bell.thresh: unknown field `thresh`"),
        (
            "[decide]\nthreshold_on = 1.5\n",
            "c.toml:2: decide.threshold_on: expected a score above 0, at most 1, actual 1.5",
        ),
        ("[model]\nhop_ms = 0\n", "c.toml:2: model.hop_ms: expected a number of milliseconds above 0, actual 0.0"),
        ("[decide]\nwindow_ms = 0\n", "c.toml:2: decide.window_ms: expected 1 to 60000"),
        ("[decide.classes.bell]\nwindow_ms = 0\n", "c.toml:2: decide.classes.bell.window_ms: expected 1 to 60000"),
        (
            "[decide]\nsmoothing = \"ema\"\n",
            "c.toml:2: decide.smoothing: smoothing \"ema\" is not available: only \"mean\" remains, because none of the others \
             was better when measured (docs/experiments.md)",
        ),
        (
            "[decide]\nlevel_gate_dbfs = 3\n",
            "c.toml:2: decide.level_gate_dbfs: expected a level from -120 to 0 dBFS, actual 3",
        ),
        ("[decide]\nlevel_gate_dbfs = nan\n", "c.toml:2: decide.level_gate_dbfs: expected a level"),
        ("[decide]\nallow = []\ndeny = []\n", "c.toml:3: decide.deny: decide.allow is given as well"),
        ("[decide]\nallow = \"dog\"\n", "c.toml:2: decide.allow: invalid type"),
        (
            "[quiet_hours]\nranges = [\"22-7\"]\n",
            "c.toml:2: quiet_hours.ranges: expected a time from 00:00 to 24:00, actual \"22\"",
        ),
        (
            "[decide.classes.bell]\nquiet_hours = [\"always\"]\n",
            "c.toml:2: decide.classes.bell.quiet_hours: expected a range such as \"22:00-07:00\"",
        ),
        (
            "[quiet_hours]\ntime_zone = \"Berlin\"\n",
            "c.toml:2: quiet_hours.time_zone: expected a time zone such as \"Europe/Berlin\", actual \"Berlin\"",
        ),
        (
            "[quiet_hours]\nranges = [\"1:00-2:00\"]\nlabels = []\nexcept = []\n",
            "c.toml:4: quiet_hours.except: quiet_hours.labels is given as well",
        ),
        ("[quiet_hours]\nlabels = [\"dog\"]\n", "c.toml:2: quiet_hours.labels: labels need times"),
        ("[quiet_hours]\nexcept = [\"dog\"]\n", "c.toml:2: quiet_hours.except: labels need times"),
        ("[source]\nrate = \"fast\"\n", "c.toml:2: source.rate: invalid type"),
        ("[source]\ninput = \"line-in\"\n", "c.toml:2: source.input: "),
        ("name = \"a/b\"\n", "c.toml:1: name: expected a name without '/'"),
        ("[mqtt]\nurl = \"broker\"\n", "c.toml:2: mqtt.url: expected mqtt://HOST"),
        ("[mqtt]\nurl = \"mqtt://a\"\nkeep_alive_s = 1\n", "c.toml:3: mqtt.keep_alive_s: expected 5 to 3600"),
        ("[mqtt]\nurl = \"mqtt://a\"\npassword = \"p\"\n", "c.toml:3: mqtt.password: a password needs a user"),
        ("[mqtt]\nurl = \"mqtt://a\"\nca_file = \"p\"\n", "c.toml:2: mqtt.url: certificates are given"),
        ("[mqtt]\nurl = \"mqtts://a\"\ncert_file = \"p\"\n", "c.toml:3: mqtt.cert_file: a certificate needs its key"),
        ("[mqtt]\nurl = \"mqtt://a\"\nuser = \"u\"\npassword_file = \"none\"\n", "c.toml:4: mqtt.password_file: "),
        ("[source]\nrate = 5\n", "c.toml:2: source.rate: expected 4000 to 384000 Hz, actual 5"),
        ("[source]\nchannels = 0\n", "c.toml:2: source.channels: "),
        ("[source]\ndevice = \"\"\n", "c.toml:2: source.device: expected some text, actual \"\""),
        (
            "[[sources]]\nname = \"a\"\n[[sources]]\nname = \"b\"\nrate = 5\n",
            "c.toml:5: sources.rate: expected 4000 to 384000 Hz, actual 5",
        ),
        (
            "[log]\nlevel = \"warning\"\n",
            "c.toml:2: log.level: \"warning\" is not a level (did you mean \"warn\"?): expected off, error, warn, info",
        ),
        ("[log]\nlevel = \"edge=loud\"\n", "c.toml:2: log.level: \"edge=loud\": "),
        ("[mqtt]\nuser = \"u\"\n", "c.toml:2: mqtt.user: has no effect without mqtt.url"),
        ("[mqtt]\nhome_assistant = true\n", "c.toml:2: mqtt.home_assistant: has no effect without mqtt.url"),
        ("decide = 3\n", "c.toml:1: decide: invalid type: integer `3`, expected a section"),
        ("[source]\nfast = \"yes\"\n", "c.toml:2: source.fast: invalid type: string \"yes\", expected true or false"),
        (
            "[metrics]\nport = 70000\n",
            "c.toml:2: metrics.port: invalid value: integer `70000`, expected a whole number",
        ),
        ("[model\n", "c.toml:1: "),
        ("name = \"a\"\n[webhook]\nurl = \"http://a\"\n", "c.toml:2: webhook: there may be several: write [[webhook]]"),
        ("[sources]\nname = \"a\"\n", "c.toml:1: sources: there may be several: write [[sources]]"),
        ("[[mqtt]]\nurl = \"mqtt://a\"\n", "c.toml:1: mqtt: there is only one: write [mqtt]"),
        ("[[source]]\ninput = \"mic\"\n", "c.toml:1: source: there is only one: write [source]"),
        ("webhook = 3\n", "c.toml:1: webhook: invalid type: integer `3`, expected a list in brackets"),
        ("name = 1\nname = 2\n", "c.toml:2: name: duplicate key"),
    ];
    for (text, start) in starts {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text:?} gave {message:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
    let missing = Settings::load(Some(Path::new("/no/such.toml")), &Overrides::default()).unwrap_err();
    assert!(missing.to_string().starts_with("/no/such.toml: no such file: name another one, or make one"), "{missing}");
    assert_eq!(missing.kind().exit_code(), 2);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    for text in [&b"name = \"caf\xe9\"\n"[..], b"\xff\xfen\0"] {
        fs::write(&path, text).unwrap();
        let foreign = Settings::load(Some(&path), &Overrides::default()).unwrap_err().to_string();
        assert!(foreign.ends_with("/c.toml: not a text file in UTF-8: save it as such"), "{foreign}");
    }
}

#[test]
fn the_folder_of_a_model_is_named_with_its_place() {
    let reason = |text: &str, overrides: &Overrides| {
        let settings = settings(text, overrides).unwrap();
        let error = Model::load(settings.model_dir.as_deref().unwrap()).unwrap_err();
        settings.model_error(error).to_string()
    };
    let text = "[model]\ndir = \"/nope\"\n";
    let written = reason(text, &Overrides::default());
    assert!(written.ends_with("c.toml:2: model.dir: /nope: no such folder"), "{written}");
    let typed = Overrides { model: Some("/nope".into()), ..Default::default() };
    assert_eq!(reason(text, &typed), "model file /nope: no such folder");
    // What is wrong within the folder is not the key's fault.
    let dir = tempfile::tempdir().unwrap();
    let within = reason(&format!("[model]\ndir = \"{}\"\n", dir.path().display()), &Overrides::default());
    assert!(!within.contains("model.dir"), "{within}");
}

#[test]
fn a_hop_is_for_whole_patches_and_the_option_beats_the_file() {
    let fixture =
        |name: &str| Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)).unwrap();
    let hop = |text: &str, hop_ms: Option<f64>, name: &str| {
        let settings = settings(text, &Overrides { hop_ms, ..Default::default() }).unwrap();
        settings.model(fixture(name)).map(|model| model.manifest.network.pulse_frames)
    };
    let refusal = |text: &str, hop_ms: Option<f64>, name: &str| hop(text, hop_ms, name).unwrap_err().to_string();
    assert_eq!(hop("", None, "tiny_window").unwrap(), 8);
    assert_eq!(hop("[model]\nhop_ms = 200\n", None, "tiny_window").unwrap(), 20);
    assert_eq!(hop("[model]\nhop_ms = 15\n", Some(50.0), "tiny_window").unwrap(), 5);
    let part = refusal("[model]\nhop_ms = 15.5\n", None, "tiny_window");
    assert!(part.contains("c.toml:2: model.hop_ms: expected 1 to 1024 whole log-mel frames of 10 ms"), "{part}");
    let stream = refusal("[model]\nhop_ms = 80\n", None, "tiny");
    assert!(stream.contains("c.toml:2: model.hop_ms: the model tiny is a streaming network"), "{stream}");
    assert!(refusal("", Some(80.0), "tiny").starts_with("--hop-ms: the model tiny is a streaming network"));
}

#[test]
fn options_for_another_source_are_refused() {
    let refusal = |overrides: &Overrides| settings("", overrides).unwrap_err().to_string();
    assert!(refusal(&Overrides { fast: true, ..Default::default() }).starts_with("--fast: "));
    assert!(refusal(&Overrides { rate: Some(8000), ..Default::default() }).contains("only for the sources stdin"));
    let file = Some(SourceSpec::File(FileSpec { path: "a.wav".into() }));
    assert!(
        refusal(&Overrides { source: file, device: Some("usb".into()), ..Default::default() })
            .contains("only for the source mic")
    );
}

#[test]
fn options_of_the_file_are_refused_alike_unless_they_are_of_another_source() {
    for (text, start) in [
        ("[source]\ninput = \"mic\"\nrate = 16000\n", "c.toml:3: source.rate: only for the sources stdin, exec:"),
        ("[source]\nformat = \"s16le\"\n", "c.toml:2: source.format: only for the sources stdin, exec:"),
        ("[source]\nraw_channels = 2\n", "c.toml:2: source.raw_channels: only for the sources stdin"),
        ("[source]\nfast = true\n", "c.toml:2: source.fast: only for the source file:PATH"),
        ("[source]\ninput = \"exec:true\"\nlive = true\n", "c.toml:3: source.live: only for the sources stdin and"),
        ("[source]\ninput = \"stdin\"\ndevice = \"x\"\n", "c.toml:3: source.device: only for the source mic"),
        ("[source]\ninput = \"file:c.toml\"\nlive = true\n", "c.toml:3: source.live: only for the sources stdin and"),
        (
            "[[sources]]\nname = \"a\"\n[[sources]]\nname = \"b\"\ninput = \"serial:/dev/x\"\nchannels = 1\n",
            "c.toml:6: sources.channels: not for microcontrollers",
        ),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text:?} gave {message:?}");
    }
    // What the command line names is another source, for which the options of the file are not.
    let text = "[source]\ninput = \"mic\"\nrate = 16000\ndevice = \"x\"\n";
    let file = Some(SourceSpec::File(FileSpec { path: "a.wav".into() }));
    assert!(settings(text, &Overrides { source: file, ..Default::default() }).is_ok());
    assert!(settings("[source]\nfast = false\n", &Overrides::default()).is_ok());
}

#[test]
fn channels_are_a_word_a_number_or_several() {
    let channels = |text: &str| {
        let settings =
            settings(&format!("[source]\n{text}\n"), &Overrides::default()).map_err(|error| error.to_string())?;
        Ok::<_, String>(settings.sources[0].options.clone())
    };
    for (text, shown) in
        [("", "mean"), ("channels = \"mean\"", "mean"), ("channels = 2", "2"), ("channels = [1, 3]", "1,3")]
    {
        assert_eq!(channels(text).unwrap().channels.to_string(), shown);
    }
    assert_eq!(channels("channels = \"loudest\"").unwrap().channels, Channels::Loudest);
    // Of a raw stream a number alone is how many there are, as it has always been.
    let raw = channels("input = \"stdin\"\nchannels = 2").unwrap();
    assert_eq!((raw.layout.n_channels, raw.channels), (2, Channels::Mean));
    let raw = channels("input = \"stdin\"\nraw_channels = 4\nchannels = 2").unwrap();
    assert_eq!((raw.layout.n_channels, raw.channels), (4, Channels::Only(vec![1])));
    for (text, reason) in [
        ("channels = 0", "c.toml:2: source.channels: channels are counted from 1"),
        ("channels = \"left\"", "c.toml:2: source.channels: \"left\" is neither"),
        ("channels = 1.5", "c.toml:2: source.channels: expected \"mean\", \"loudest\", a channel such as 1"),
        ("rate = 5", "c.toml:2: source.rate: expected 4000 to 384000 Hz, actual 5"),
        ("raw_channels = 0", "c.toml:2: source.raw_channels: expected 1 to 64 channels, actual 0"),
        ("gain_db = 100", "c.toml:2: source.gain_db: expected a gain from -60 to 60 dB"),
    ] {
        let error = channels(text).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
