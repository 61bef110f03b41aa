//! Claim: the modules of each crate can be read in an order in which every one builds on those
//! before it, and what is to be known by one module only is known by no other. Sources are read as
//! text; comments, strings and, for the order, tests do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::binary::workspace;
use tests::modules::Crate;
use tests::source::{self, Token};

/// The sources of what is shipped and of what makes models, with the name of each crate in paths.
const CRATES: [(&str, &str); 8] = [
    ("edge/src", "edge"),
    ("edge/evaluate/src", "edge_evaluate"),
    ("edge/frontend/src", "edge_frontend"),
    ("edge/int8/src", "edge_int8"),
    ("firmware-bridge/src", "firmware_bridge"),
    ("models/assemble/src", "assemble"),
    ("sounds/src", "sounds"),
    ("trainer/src", "trainer"),
];

#[test]
fn modules_of_edge_build_on_each_other_in_one_direction() {
    assert_acyclic("edge/src");
}

#[test]
fn modules_of_edge_evaluate_build_on_each_other_in_one_direction() {
    assert_acyclic("edge/evaluate/src");
}

#[test]
fn modules_of_edge_frontend_build_on_each_other_in_one_direction() {
    assert_acyclic("edge/frontend/src");
}

#[test]
fn modules_of_edge_int8_build_on_each_other_in_one_direction() {
    assert_acyclic("edge/int8/src");
}

#[test]
fn modules_of_firmware_bridge_build_on_each_other_in_one_direction() {
    assert_acyclic("firmware-bridge/src");
}

#[test]
fn modules_of_the_trainer_build_on_each_other_in_one_direction() {
    assert_acyclic("trainer/src");
}

#[test]
fn modules_of_the_assembler_build_on_each_other_in_one_direction() {
    assert_acyclic("models/assemble/src");
}

#[test]
fn the_trainer_declares_its_modules_in_the_order_in_which_they_build_on_each_other() {
    let trainer = read("trainer/src");
    let declared: Vec<&String> = trainer.modules.iter().filter(|m| m.len() == 1).map(|m| &m[0]).collect();
    let place = |name: &String| declared.iter().position(|other| *other == name);
    // Every module may fail, so errors are declared wherever they are read best.
    let imports = trainer.imports.iter().filter(|import| import.to[0] != "error");
    let early: BTreeSet<String> = imports
        .filter(|import| place(&import.from[0]) < place(&import.to[0]))
        .map(|import| {
            let (from, to) = (&import.from[0], &import.to[0]);
            format!("{from} imports {to}, which is declared after it: {}:{}", import.file.display(), import.line)
        })
        .collect();
    assert!(early.is_empty(), "{}", Vec::from_iter(early).join("\n"));
}

#[test]
fn only_capture_knows_cpal() {
    assert_known_by("edge/src/capture", |name| name == "cpal");
}

#[test]
fn only_engine_knows_tract() {
    // The trainer and the assembler read and write ONNX files with tract's protobuf types; they run
    // no network with tract.
    let onnx = ["trainer/src/ship", "trainer/src/nets/teacher/ced", "models/assemble/src/onnx"];
    let is_protobuf = |place: &Place| onnx.iter().any(|dir| place.file.starts_with(dir)) && place.next == ["::", "pb"];
    let elsewhere = mentions(|name| name.starts_with("tract"));
    let elsewhere = elsewhere.into_iter().filter(|place| !place.file.starts_with("edge/src/engine"));
    // The voices among the made-up sounds have a vocal tract.
    let elsewhere = elsewhere.filter(|place| !place.file.starts_with("sounds/src"));
    assert_none(elsewhere.filter(|place| !is_protobuf(place)));
}

#[test]
fn only_publish_knows_mqtt_and_http() {
    assert_known_by("edge/src/publish/mqtt", |name| name == "rumqttc");
    assert_known_by("edge/src/publish/webhook", |name| name == "ureq");
}

#[test]
fn only_the_page_knows_the_http_server() {
    let server = ["hyper", "hyper_util", "http_body_util", "tokio", "toml_edit", "form_urlencoded"];
    assert_known_by("edge/src/web", |name| server.contains(&name));
}

#[test]
fn a_daemon_without_the_page_is_built_without_an_http_server() {
    let without = packages(&["--no-default-features", "--features", "evaluate,mic,serial,webhook"]);
    for name in ["hyper", "hyper-util", "http-body-util", "tokio", "toml_edit"] {
        assert!(!without.contains(name), "a daemon without the page is built with {name}");
        assert!(packages(&[]).contains(name), "{name} is not even used by the page");
    }
}

#[test]
fn only_the_journal_knows_the_database() {
    assert_known_by("edge/src/journal", |name| name == "rusqlite");
}

#[test]
fn a_daemon_without_evaluation_draws_nothing() {
    let (with, without) = (packages(&[]), packages(&["--no-default-features", "--features", "mic,mqtt,serial"]));
    let only_for_evaluation = ["base64", "colorous", "csv", "edge-evaluate", "plotters", "png"];
    for name in only_for_evaluation {
        assert!(with.contains(name), "{name} is not even used by evaluation: {with:?}");
        assert!(!without.contains(name), "a daemon without evaluation is built with {name}");
    }
}

#[test]
fn only_audio_knows_the_decoders_and_the_encoder() {
    assert_known_by("edge/src/audio", |name| name == "symphonia");
    assert_known_by("edge/src/audio/flac.rs", |name| name == "flacenc");
}

#[test]
fn only_the_daemon_knows_signals_and_systemd() {
    assert_known_in_edge_by("edge/src/daemon", |name| name == "signal_hook" || name == "sd_notify");
}

#[test]
fn only_evaluation_draws() {
    assert_known_by("edge/evaluate/src", |name| name == "plotters" || name == "colorous");
}

#[test]
fn only_the_commands_of_edge_parse_a_command_line() {
    assert_known_in_edge_by("edge/src/cli", |name| name.starts_with("clap"));
}

#[test]
fn a_daemon_without_top_is_built_without_a_terminal_library() {
    let without = packages(&["--no-default-features", "--features", "evaluate,mic,mqtt,serial,web,webhook"]);
    for name in ["ratatui", "crossterm"] {
        assert!(packages(&[]).contains(name), "{name} is not even used by top");
        assert!(!without.contains(name), "a daemon without top is built with {name}");
    }
}

#[test]
fn only_the_commands_of_edge_draw_on_a_terminal() {
    assert_known_in_edge_by("edge/src/cli/top", |name| name == "ratatui" || name == "crossterm");
    assert_known_in_edge_by("edge/src/cli/setup", |name| name == "termios");
}

#[test]
fn only_kernels_of_8_bit_networks_have_unsafe_code() {
    for (src, name) in CRATES.iter().filter(|(src, _)| *src != "edge/int8/src" && !src.starts_with("trainer")) {
        let root = fs::read_to_string(workspace().join(src).join("lib.rs")).expect("the root of a crate");
        assert!(root.contains("#![forbid(unsafe_code)]"), "{name}");
    }
    let mut n_unsafe = 0;
    for (file, tokens) in sources("edge/int8/src") {
        let n = tokens.iter().filter(|token| token.text == "unsafe").count();
        assert!(n == 0 || file.components().any(|part| part.as_os_str() == "kernel"), "{}", file.display());
        n_unsafe += n;
    }
    assert!(n_unsafe > 0);
}

#[test]
fn front_end_and_convolutions_do_no_io_and_start_no_threads() {
    let refused = ["fs", "io", "net", "os", "process", "thread"];
    let mut places = Vec::new();
    for (file, tokens) in sources("edge/frontend/src").into_iter().chain(sources("edge/int8/src")) {
        for at in 0..tokens.len() {
            let is_std = tokens[at].text == "std" && tokens.get(at + 1).is_some_and(|next| next.text == "::");
            if !is_std {
                continue;
            }
            for path in source::paths(&tokens, at).0 {
                if path.segments.get(1).is_some_and(|module| refused.contains(&module.as_str())) {
                    places.push(format!("{}:{}: {}", file.display(), path.line, path.segments.join("::")));
                }
            }
        }
    }
    assert!(places.is_empty(), "{}", places.join("\n"));
}

#[test]
fn only_the_metrics_the_page_and_the_socket_for_terminals_listen() {
    // That they do so only where the configuration names a port or a file is tested in `service`,
    // `page_server` and `top`.
    let listeners = ["TcpListener", "UdpSocket", "UnixListener"];
    let mut places = Vec::new();
    for (file, tokens) in CRATES.iter().flat_map(|(src, _)| sources(src)) {
        let is_test = file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
        let may_listen = ["port.rs", "daemon/metrics.rs", "web/server.rs", "show/listener.rs", "show/terminals.rs"];
        if is_test || may_listen.iter().any(|ending| file.ends_with(ending)) {
            continue;
        }
        let found = source::without_tests(&tokens).into_iter().filter(|token| listeners.contains(&token.text.as_str()));
        places.extend(found.map(|token| format!("{}:{}: {}", file.display(), token.line, token.text)));
    }
    assert!(places.is_empty(), "{}", places.join("\n"));
}

/// The packages that the daemon is built of with `features`.
fn packages(features: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = ["tree", "--offline", "--locked", "-p", "edge", "-e", "normal", "--prefix", "none"];
    let output = Command::new(cargo).args(tree).args(features).current_dir(workspace()).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names of packages");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_string).collect()
}

/// Reads one of [`CRATES`].
fn read(src: &str) -> Crate {
    let name = CRATES.iter().find(|(other, _)| *other == src).map(|(_, name)| *name).expect("one of the crates");
    let mut read = Crate::read(&workspace().join(src), name);
    assert!(read.modules.len() > 5, "{src}: only {} modules found", read.modules.len());
    for import in &mut read.imports {
        import.file = import.file.strip_prefix(workspace()).map(Path::to_path_buf).unwrap_or_default();
    }
    read
}

fn assert_acyclic(src: &str) {
    let circles = read(src).circles();
    let printed: String = circles.iter().map(|circle| format!("\n{circle}")).collect();
    assert!(circles.is_empty(), "{} circles of imports among the modules of {src}:\n{printed}", circles.len());
}

/// Where an identifier is.
struct Place {
    file: PathBuf,
    line: usize,
    name: String,
    /// The two tokens after it.
    next: Vec<String>,
}

/// All identifiers in the sources, those of tests among them, that `wanted` knows.
fn mentions(wanted: impl Fn(&str) -> bool) -> Vec<Place> {
    let mut places = Vec::new();
    for (file, tokens) in CRATES.iter().flat_map(|(src, _)| sources(src)) {
        for (at, token) in tokens.iter().enumerate().filter(|(_, token)| wanted(&token.text)) {
            let next = tokens.iter().skip(at + 1).take(2).map(|token| token.text.clone()).collect();
            places.push(Place { file: file.clone(), line: token.line, name: token.text.clone(), next });
        }
    }
    places
}

fn assert_known_by(folder: &str, wanted: impl Fn(&str) -> bool) {
    assert_within(folder, mentions(wanted));
}

/// The trainer has a command line and an end of its own.
fn assert_known_in_edge_by(folder: &str, wanted: impl Fn(&str) -> bool) {
    assert_within(folder, mentions(wanted).into_iter().filter(|place| place.file.starts_with("edge")).collect());
}

fn assert_within(folder: &str, places: Vec<Place>) {
    assert!(!places.is_empty(), "not even {folder} mentions it");
    assert_none(places.into_iter().filter(|place| !place.file.starts_with(folder)));
}

fn assert_none(places: impl Iterator<Item = Place>) {
    let places: Vec<_> =
        places.map(|place| format!("{}:{}: {}", place.file.display(), place.line, place.name)).collect();
    assert!(places.is_empty(), "not to be mentioned here:\n{}", places.join("\n"));
}

/// The Rust files below `folder`, by their paths from the root of the workspace.
fn sources(folder: &str) -> Vec<(PathBuf, Vec<Token>)> {
    let mut folders = vec![PathBuf::from(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(workspace().join(&folder)).expect("a folder of sources") {
            let path = folder.join(entry.expect("an entry").file_name());
            if workspace().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(workspace().join(&path)).expect("a source");
                files.push((path, source::tokens(&text)));
            }
        }
    }
    assert!(!files.is_empty(), "no sources in {folder}");
    files
}

/// A crate of these files, read.
fn made_up(files: &[(&str, &str)]) -> Crate {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let mut read = Crate::read(dir.path(), "made_up");
    for import in &mut read.imports {
        import.file = import.file.strip_prefix(dir.path()).expect("within the folder").to_path_buf();
    }
    read
}

#[test]
fn a_circle_is_found_with_file_and_line_of_each_import() {
    let read = made_up(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("a.rs", "//! Uses b.\n\nuse crate::{\n    d,\n    b::inner::{self, B as Other},\n};\n"),
        ("b/mod.rs", "pub mod inner;\n"),
        ("b/inner.rs", "fn f() -> &'static str {\n    made_up::c::name()\n}\n"),
        ("c.rs", "pub fn name() { super::a::g() }\n"),
        ("d.rs", ""),
    ]);
    let circles = read.circles();
    assert_eq!(circles.len(), 1, "{circles:?}");
    let printed = "a -> b -> c -> a\n    a imports b: a.rs:5\n    b imports c: b/inner.rs:2\n    \
                   c imports a: c.rs:1\n";
    assert_eq!(circles[0].to_string(), printed);
}

#[test]
fn siblings_may_not_go_round_either_not_even_through_names_that_their_parent_hands_on() {
    let read = made_up(&[
        ("lib.rs", "mod a;\n"),
        ("a/mod.rs", "mod left;\nmod right;\npub use left::Left;\npub struct Shared;\n"),
        ("a/left.rs", "use super::{Shared, right::Right};\n"),
        ("a/right.rs", "use super::Left;\nuse crate::a::Shared;\n"),
    ]);
    let printed: Vec<String> = read.circles().iter().map(ToString::to_string).collect();
    let circle = "a::left -> a::right -> a::left\n    a::left imports a::right: a/left.rs:1\n    \
                  a::right imports a::left: a/right.rs:1\n";
    assert_eq!(printed, [circle]);
}

#[test]
fn parents_tests_comments_and_strings_make_no_circle() {
    let read = made_up(&[
        ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod tests;\n"),
        (
            "a/mod.rs",
            "mod child;\nuse child::Child;\n// crate::b\n/* use crate::b; /* twice */ */\nconst S: &str = \"crate::b\";\n\
             const R: &str = r#\"\"crate::b\"#;\nfn f<'b>(c: &'b char) -> bool { *c == '\"' || *c == '\\'' }\n\
             #[cfg(test)]\nuse crate::b::B;\n#[cfg(all(test, unix))]\n#[allow(dead_code)]\nfn g() { crate::b::f() }\n\
             #[cfg(test)]\nmod tests {\n    use crate::b;\n}\n",
        ),
        ("a/child.rs", "use super::f;\nuse crate::a;\npub struct Child;\n"),
        ("b.rs", "use crate::a::Child;\nmod tests { use super::super::a; }\n"),
    ]);
    assert!(read.circles().is_empty(), "{:?}", read.circles());
    let imports: Vec<_> = read.imports.iter().map(|import| (import.from.join("::"), import.to.join("::"))).collect();
    let named = |from: &str, to: &str| (from.to_string(), to.to_string());
    assert_eq!(imports, [named("b", "a"), named("b::tests", "a")]);
}
