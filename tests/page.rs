//! Claim: the page works in a real browser: it shows what is heard, events appear, they can be
//! exported, thresholds can be tried and written, everybody can use it, and nothing is said on the
//! console. Leaves pictures of every view in `page-pictures` of the folder for temporary files of
//! tests (target/tmp). The picture of the documentation is made here, too, if that is asked for.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use edge::decide::{Phase, Transition};
use edge::event::EventBuilder;
use edge::journal::{Journal, JournalPlace, JournalSettings};
use jiff::{Timestamp, ToSpan, Zoned};
use serde_json::json;
use tests::binary::{PATIENCE, Process, model_dir};
use tests::broker::free_port;
use tests::browser::Browser;
use tests::tiny::{self, Sound};

fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page-pictures");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Starts `command` and waits for its page.
fn start(command: &mut Command) -> Process {
    let mut process = Process::start(command);
    process.wait_until("the page", PATIENCE, |process| {
        process.stderr().iter().any(|line| line.contains("page at http://"))
    });
    process
}

fn assert_fine(browser: &Browser, what: &str) {
    let wrong = browser.inaccessible();
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    let said = browser.console();
    assert!(said.is_empty(), "{what}: {said:#?}");
}

#[test]
fn what_is_heard_appears_and_can_be_exported_and_tried_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let downloads = dir.path().join("downloads");
    fs::create_dir(&downloads).unwrap();
    let port = free_port();
    let web = format!(
        "# the page\n[web]\nlisten = \"127.0.0.1:{port}\" # here\nwrite = true\n\
         [clips]\nfolder = \"clips\"\npre_roll_s = 0.2\npost_roll_s = 0.2\n"
    );
    let sounds: Vec<_> = tiny::tones(400).into_iter().chain([(Sound::Noise, 3.0)]).collect();
    let mut process = start(&mut tests::daemon::hear(dir.path(), "ear", &sounds, false, &web));
    let url = format!("http://127.0.0.1:{port}/");
    let browser = Browser::start(&downloads);
    // Where midnight is always on the day before, by UTC.
    browser.live_in("Pacific/Auckland");

    // Live: the picture flows, the level moves, events come with their label.
    browser.go(&url);
    browser.wait_until("document.title.startsWith('Live')");
    browser.wait_until("document.querySelector('[role=meter]').ariaValueNow > -30");
    browser.wait_until("document.querySelector('.likely .is-on')?.textContent.startsWith('tone')");
    let inked = "(() => { const s = document.querySelector('canvas'); const c = document.createElement('canvas'); \
                 c.width = s.width; c.height = s.height; const x = c.getContext('2d'); x.drawImage(s, 0, 0); const d = x\
                 .getImageData(c.width - 100, 0, 100, c.height).data; let n = 0; \
                 for (let i = 0; i < d.length; i += 4) n += d[i] > 100; return n > 100; })()";
    browser.wait_until(inked);
    // Not there yet when the page was opened.
    browser.wait_until("document.querySelectorAll('#latest li').length >= 2");
    browser.wait_until("document.querySelector('#spoken').textContent.startsWith('tone at ')");
    browser.click("#pause");
    assert_eq!(browser.run("return document.querySelector('#pause').textContent;"), json!("Resume"));
    browser.click("#pause");

    // Events: table, timeline and chart say the same, and the file is what the daemon printed.
    browser.click("nav a[href='#/events']");
    browser.wait_until("document.querySelectorAll('#rows tr').length >= 2");
    browser.wait_until("document.querySelector('#summary').textContent.endsWith('of 1 label.')");
    browser.run(
        "document.querySelector('#range').value = '10'; \
                 document.querySelector('#filters').dispatchEvent(new Event('change', { bubbles: true }));",
    );
    browser.wait_until("document.querySelectorAll('#lanes li .lane i').length >= 2");
    browser.wait_until("document.querySelectorAll('#chart rect').length >= 1");
    let today = browser.run("return document.querySelector('#day').value;").as_str().unwrap().to_string();
    let here = Zoned::now().in_tz("Pacific/Auckland").unwrap().date();
    assert_eq!(today, here.to_string());
    // The file is named by the reader's day, of the last minutes as of a whole day.
    let exported = |kind: &str| {
        let file = downloads.join(format!("earwitness-{today}.{kind}"));
        let deadline = std::time::Instant::now() + PATIENCE;
        while !file.exists() {
            let files: Vec<_> = fs::read_dir(&downloads).unwrap().map(|file| file.unwrap().file_name()).collect();
            assert!(std::time::Instant::now() < deadline, "{} was not downloaded, but {files:?}", file.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::read_to_string(file).unwrap()
    };
    browser.click("#csv");
    let text = exported("csv");
    let first: serde_json::Value = serde_json::from_str(&process.stdout()[0]).unwrap();
    assert!(text.lines().count() >= 3, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with(first["id"].as_str().unwrap()), "{text}");
    browser.run(
        "document.querySelector('#range').value = 'day'; \
                 document.querySelector('#filters').dispatchEvent(new Event('change', { bubbles: true }));",
    );
    browser.click("#json");
    assert!(exported("json").contains(first["id"].as_str().unwrap()));

    // A clip: its sound is there, can be marked, and goes.
    let marks = || {
        let files = fs::read_dir(dir.path().join("clips")).unwrap().map(|file| file.unwrap().path());
        let facts = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        facts
            .filter_map(|path| fs::read_to_string(path).ok())
            .filter(|text| text.contains("\"mark\":\"right\""))
            .count()
    };
    browser.wait_until("document.querySelector('.play')");
    browser.run("document.querySelector('.play').click();");
    browser.wait_until("document.querySelector('#sound').duration > 0.5");
    assert_eq!(marks(), 0);
    browser.click("#marking button");
    browser.wait_until("document.querySelector('#marking').textContent.endsWith('Marked as right.')");
    assert_eq!(marks(), 1);
    browser.wait_until(
        "document.querySelector('.play').textContent.endsWith('✓') || document.querySelectorAll('.play').length > 1",
    );
    assert_fine(&browser, "a clip");
    browser.run("[...document.querySelectorAll('#marking button')].at(-1).click();");
    browser.wait_until("document.querySelector('#player').hidden");
    assert_eq!(marks(), 0);

    // Thresholds: a slider moves by the keyboard, the preview follows, and the file is written.
    browser.click("nav a[href='#/thresholds']");
    browser.wait_until(
        "/^In the last .*: [0-9]+ events?(, .* in all)? with the thresholds in use\\.$/.test(document.querySelector('#preview').textContent)",
    );
    let slider = "#sliders li[data-label='tone'] input";
    browser.press_right(slider, 40);
    assert_eq!(browser.run(&format!("return document.querySelector(\"{slider}\").value;")), json!("1"));
    browser.wait_until("/; (0 events|[0-9]+ events?, .* in all) with these thresholds\\.$/.test(document.querySelector('#preview').textContent)");
    assert_fine(&browser, "a preview");
    browser.run(&format!(
        "const s = document.querySelector(\"{slider}\"); s.value = 0.7; s.dispatchEvent(new Event('input'));"
    ));
    browser.click("#writing .primary");
    browser.wait_until("document.querySelector('#writing').textContent.startsWith('Written.')");
    let config = fs::read_to_string(dir.path().join("ear.toml")).unwrap();
    assert!(config.contains("# the page\n[web]\n") && config.contains(" # here\n"), "{config}");
    assert!(config.contains("[decide.classes.tone]\nthreshold_on = 0.7\nthreshold_off = 0.47\n"), "{config}");
    process
        .wait_until("the reload", PATIENCE, |process| process.stderr().iter().any(|line| line.contains(" read again")));

    browser.click("nav a[href='#/health']");
    browser.wait_until("document.querySelector('#health').textContent.includes('Listening, and everything works.')");
    assert_fine(&browser, "the health");

    // The daemon goes, and comes again: the page says so, both times.
    browser.click("nav a[href='#/live']");
    drop(process);
    browser.wait_until("document.querySelector('#trouble').textContent.includes('connection is lost')");
    let _process = start(&mut tests::daemon::run(&dir.path().join("ear.toml")));
    browser.wait_until("document.querySelector('#trouble').hidden");
}

/// A day of a kitchen, yesterday, in a journal.
fn a_day(file: &Path, labels: &[String], device: &str) {
    let settings = JournalSettings {
        place: JournalPlace::File { file: file.into(), before: None },
        keep: Duration::from_secs(30 * 86_400),
        ..JournalSettings::in_memory()
    };
    let journal = Journal::open(settings, &[]);
    let midnight = Zoned::now().start_of_day().unwrap().checked_sub(1.day()).unwrap().timestamp();
    // Label, from and to in hours, how often, and for how many seconds.
    let day: [(&str, f64, f64, u32, f64); 22] = [
        ("water-flowing", 6.6, 8.1, 14, 18.0),
        ("boiling-water", 6.8, 7.6, 2, 190.0),
        ("cutlery", 7.0, 8.2, 11, 3.0),
        ("plates", 7.0, 8.3, 7, 4.0),
        ("fridge", 6.7, 8.2, 6, 5.0),
        ("crying_baby", 4.8, 5.4, 5, 70.0),
        ("dog", 9.5, 11.8, 9, 6.0),
        ("rain", 10.2, 12.4, 4, 1500.0),
        ("chopping", 11.7, 12.4, 8, 24.0),
        ("frying-pan", 12.2, 12.9, 3, 260.0),
        ("water-flowing", 11.6, 13.6, 12, 22.0),
        ("cutlery", 12.9, 13.5, 13, 3.0),
        ("dishwasher", 13.7, 15.0, 1, 4300.0),
        ("blender", 15.9, 16.2, 2, 38.0),
        ("sneezing", 9.0, 21.0, 6, 1.2),
        ("chopping", 17.8, 18.8, 11, 30.0),
        ("stove-fan", 18.0, 19.0, 1, 2900.0),
        ("frying-pan", 18.3, 19.1, 4, 300.0),
        ("water-flowing", 17.6, 20.6, 21, 20.0),
        ("plates", 19.2, 20.1, 9, 4.0),
        ("cutlery", 19.2, 20.2, 16, 3.0),
        ("dog", 20.5, 22.4, 6, 7.0),
    ];
    let mut builder = EventBuilder::new(device, "home-2.0.0", labels);
    let (mut events, mut state) = (Vec::new(), 7_u32);
    for (label, from_h, to_h, n, length_s) in day {
        let class_id = labels.iter().position(|known| known == label).unwrap();
        for at in 0..n {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let part = f64::from(state >> 8) / f64::from(1 << 24);
            let t_onset_s = 3600.0 * (from_h + (to_h - from_h) * (f64::from(at) + part) / f64::from(n));
            let t_offset_s = Some(t_onset_s + length_s * (0.4 + 0.6 * part));
            let (score, peak_score) = (0.6 + 0.2 * part as f32, 0.75 + 0.24 * part as f32);
            for (phase, t_offset_s) in [(Phase::Onset, None), (Phase::Offset, t_offset_s)] {
                let transition = Transition { class_id, phase, t_onset_s, t_offset_s, score, peak_score };
                let wall = |t_s: f64| Timestamp::from_millisecond(midnight.as_millisecond() + (t_s * 1e3) as i64);
                events.push(builder.build(&transition, |t_s| wall(t_s).unwrap()));
            }
        }
    }
    journal.append(&events);
}

#[test]
fn every_view_can_be_used_by_everybody_in_light_and_dark_on_a_desk_and_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = edge::model::Model::load(&model_dir()).unwrap().manifest;
    a_day(&dir.path().join("journal"), &manifest.labels, "kitchen");
    let wav = dir.path().join("scene.wav");
    let mut scene = sounds::demo_scene(1);
    scene.samples = scene.samples.repeat(8);
    scene.write_wav(&wav).unwrap();
    let port = free_port();
    let config = format!(
        "name = \"kitchen\"\n[source]\ninput = \"file:{}\"\n[model]\ndir = \"{}\"\n\
         [journal]\nfile = \"journal\"\nkeep_days = 30\n[web]\nlisten = \"127.0.0.1:{port}\"\n",
        wav.display(),
        model_dir().display()
    );
    fs::write(dir.path().join("kitchen.toml"), config).unwrap();
    let mut process = start(&mut tests::daemon::run(&dir.path().join("kitchen.toml")));
    let browser = Browser::start(dir.path());
    browser.prefer("dark");
    browser.resize(1280, 900);
    browser.go(&format!("http://127.0.0.1:{port}/"));
    browser.wait_until("document.querySelectorAll('#latest li').length >= 2");
    // Some seconds for the picture to fill.
    process.wait_until("four events", 3 * PATIENCE, |process| process.stdout().len() >= 7);
    browser.wait_until("document.querySelector('.likely .is-on')");

    let pictures = pictures();
    for (scheme, width, height) in [("dark", 1280, 900), ("light", 1280, 900), ("dark", 390, 844), ("light", 390, 844)]
    {
        browser.prefer(scheme);
        browser.resize(width, height);
        for view in ["live", "events", "thresholds", "health"] {
            browser.run(&format!("location.hash = '#/{view}';"));
            browser.wait_until(&format!("!document.querySelector('#{view}').hidden"));
            match view {
                "events" => {
                    browser.run("const today = new Date(); const day = document.querySelector('#day'); \
                                 if (new Date(day.value).getDate() === today.getDate()) document.querySelector('#earlier').click();");
                    browser.wait_until("document.querySelectorAll('#lanes li').length >= 12");
                    browser.wait_until("document.querySelector('#summary').textContent.startsWith('171 events')");
                }
                "thresholds" => browser.wait_until("document.querySelector('#curve svg')"),
                "health" => browser.wait_until("document.querySelector('.findings li')"),
                _ => browser.wait_until("document.querySelector('.likely li:not(.none)')"),
            }
            let what = format!("{view}-{scheme}-{width}");
            browser.picture(&pictures.join(format!("{what}.png")));
            assert_fine(&browser, &what);
            let beyond =
                browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth;");
            assert_eq!(beyond, json!(0), "{what} is wider than the screen");
        }
    }
    // First paint, to be read by people: what it is depends on the machine.
    browser.go(&format!("http://127.0.0.1:{port}/?again"));
    browser.wait_until("performance.getEntriesByName('first-contentful-paint').length");
    let paint = browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime;");
    println!("first contentful paint after {paint} ms; pictures in {}", pictures.display());
}

/// Two pictures side by side, as `browser` shows them, at `path`.
fn side_by_side(browser: &Browser, pictures: &[PathBuf; 2], path: &Path) {
    let images = pictures.each_ref().map(|picture| {
        let bytes = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, fs::read(picture).unwrap());
        format!("<img src='data:image/png;base64,{bytes}'>")
    });
    let style =
        "body { margin: 0; padding: 24px; display: flex; gap: 24px; background: #c9cfcc } img { border-radius: 14px }";
    browser.resize(1534, 581);
    browser.go("data:text/html,<title>pictures</title>");
    browser.run(&format!("document.body.innerHTML = {};", json!(format!("<style>{style}</style>{}", images.concat()))));
    browser
        .wait_until("[...document.images].length === 2 && [...document.images].every((image) => image.naturalWidth)");
    browser.picture(path);
}

#[test]
#[ignore = "takes eleven minutes and writes docs/images/page.png"]
fn picture_of_ten_minutes_for_the_documentation() {
    let dir = tempfile::tempdir().unwrap();
    let mut kitchen = sounds::demo_scene(1);
    for seed in 2..=16 {
        kitchen.samples.extend(sounds::demo_scene(seed).samples);
    }
    kitchen.write_wav(&dir.path().join("kitchen.wav")).unwrap();
    let port = free_port();
    let config = format!(
        "name = \"kitchen\"\n[model]\ndir = \"{}\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n",
        model_dir().display()
    );
    fs::write(dir.path().join("kitchen.toml"), config).unwrap();
    let mut command = tests::daemon::run(&dir.path().join("kitchen.toml"));
    let mut process = start(command.args(["--source", "file:kitchen.wav"]).current_dir(dir.path()));
    let browser = Browser::start(dir.path());
    browser.resize(731, 533);
    browser.prefer("dark");
    browser.go(&format!("http://127.0.0.1:{port}/"));
    process.wait_until("ten minutes", 30 * PATIENCE, |process| {
        let last = process.stdout().last().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        last.is_some_and(|event| event["t_onset_s"].as_f64() > Some(620.0))
    });
    let [live, events] = ["live", "events"].map(|view| dir.path().join(format!("{view}.png")));
    browser.wait_until("document.querySelector('.likely .is-on')");
    browser.picture(&live);
    browser.prefer("light");
    browser.click("nav a[href='#/events']");
    browser.run(
        "document.querySelector('#range').value = '10'; \
         document.querySelector('#filters').dispatchEvent(new Event('change', { bubbles: true }));",
    );
    browser.wait_until("document.querySelectorAll('#lanes li').length >= 3");
    browser.picture(&events);
    side_by_side(&browser, &[live, events], &tests::binary::workspace().join("docs/images/page.png"));
}
