//! Claim: the documentation is true. Links lead somewhere, shell lines run or carry the reason why
//! a test cannot run them, configurations in it are valid, and the sentences of the log that
//! docs/troubleshooting.md lists are in the code.
//!
//! A block of shell lines is `sh`, or `console` where its output is shown, too. One that a test
//! cannot run has `<!-- not run: REASON -->` before it; the programs, options and scripts that it
//! names are checked all the same. A block of the daemon's configuration is `toml`.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;
use tests::binary::{Output, Process, earwitness_bin, make_scene_bin, workspace};
use tests::markdown::{Block, Page, pages};

/// No block takes this long, also on a busy machine and without optimisation.
const TIMEOUT: Duration = Duration::from_secs(300);

/// At least this many blocks are run, so that markers do not spread unnoticed.
const N_RUN: usize = 5;

/// A folder that looks like the repository after `make demo`.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["models", "edge", "deploy"] {
        symlink(workspace().join(name), at(name)).unwrap();
    }
    fs::create_dir_all(at("target/demo")).unwrap();
    fs::create_dir_all(at("target/release")).unwrap();
    symlink(earwitness_bin(), at("target/release/earwitness")).unwrap();
    symlink(make_scene_bin(), at("target/release/make-scene")).unwrap();
    sounds::demo_scene(1).write(&at("target/demo/scene.wav"), &at("target/demo/scene.csv")).unwrap();
    fs::copy(at("target/demo/scene.wav"), at("test.wav")).unwrap();
    dir
}

fn run(script: &str, place: &Path) -> Output {
    let path = format!("{}:{}", place.join("target/release").display(), env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).env("PATH", path).env("EARWITNESS_LOG", "off");
    Process::start(command.current_dir(place)).finish(TIMEOUT)
}

#[test]
fn shell_lines_run_or_say_why_not() {
    let place = place();
    let mut n_run = 0;
    for page in pages(workspace()) {
        for block in page.blocks() {
            let at = page.at(block.line);
            let languages = ["sh", "console", "toml", "csv", "json", "text", "rust"];
            assert!(languages.contains(&block.language.as_str()), "{at}: the block needs a language of {languages:?}");
            if !["sh", "console"].contains(&block.language.as_str()) {
                continue;
            }
            assert!(!block.commands().is_empty(), "{at}: no command in it");
            assert!(block.not_run.as_ref().is_none_or(|reason| !reason.is_empty()), "{at}: a marker needs a reason");
            if block.not_run.is_none() {
                let output = run(&block.commands().join("\n"), place.path());
                assert!(output.status.success(), "{at}: {output:#?}");
                n_run += 1;
            }
        }
    }
    assert!(n_run >= N_RUN, "only {n_run} blocks are run");
}

#[test]
fn shell_lines_name_what_exists() {
    let makefile = fs::read_to_string(workspace().join("Makefile")).unwrap();
    let mut help = BTreeMap::new();
    let mut wrong = Vec::new();
    for page in pages(workspace()) {
        let is_shell = |block: &Block| ["sh", "console"].contains(&block.language.as_str());
        // What was measured with code that is gone is kept as it was typed.
        let is_old = |block: &Block| block.not_run.as_ref().is_some_and(|reason| reason.starts_with("removed"));
        let shell = page.blocks().into_iter().filter(|block| is_shell(block) && !is_old(block));
        for (line, command) in shell.flat_map(|block| {
            let line = block.line;
            block.commands().into_iter().map(move |command| (line, command))
        }) {
            let command = command.split(" #").next().unwrap_or_default().to_string();
            for part in command.split("&&").flat_map(|part| part.split(['|', ';'])) {
                if let Some(reason) = unknown(part, &makefile, &mut help) {
                    wrong.push(format!("{}: {reason} in {part:?}", page.at(line)));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// What a command names that does not exist.
fn unknown(command: &str, makefile: &str, help: &mut BTreeMap<String, String>) -> Option<String> {
    let words: Vec<_> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
    let (program, arguments) = words.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    let options = || arguments.iter().filter(|word| word.starts_with("--")).map(|word| option(word));
    match name {
        "make" => arguments
            .iter()
            .take_while(|word| !word.contains('='))
            .find(|word| !makefile.lines().any(|line| line.starts_with(&format!("{word}:"))))
            .map(|target| format!("no target {target}")),
        "earwitness" => {
            let subcommand = arguments.iter().find(|word| !word.starts_with('-'))?.to_string();
            let text = help.entry(subcommand.clone()).or_insert_with(|| {
                let output = Command::new(earwitness_bin()).args([&subcommand, "--help"]).output().unwrap();
                assert!(output.status.success(), "earwitness {subcommand} --help: {output:?}");
                String::from_utf8(output.stdout).unwrap()
            });
            let is_known = |option: &str| text.split_whitespace().any(|word| self::option(word) == option);
            options().find(|option| !is_known(option)).map(|option| format!("no option {option}"))
        }
        // Its program needs PyTorch; its options are looked up in the source of its command line.
        "earwitness-train" => {
            let text = help.entry(name.to_string()).or_insert_with(|| sources(&workspace().join("trainer/src/cli")));
            options()
                .find(|option| {
                    let field = option.trim_start_matches('-').replace('-', "_");
                    !text.contains(&format!("{field}:")) && !text.contains(&format!("\"{}\"", &option[2..]))
                })
                .map(|option| format!("no option {option}"))
        }
        _ if program.starts_with("scripts/") => {
            (!workspace().join(program).exists()).then(|| format!("no script {program}"))
        }
        _ => None,
    }
}

/// An option without its value and quotes.
fn option(word: &str) -> &str {
    let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(word.len());
    &word[..end]
}

/// All Rust files of a folder, with texts that go on after a backslash joined.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = fs::read_to_string(&path).unwrap();
            let joined =
                file.split("\\\n").enumerate().map(|(index, part)| if index > 0 { part.trim_start() } else { part });
            text.extend(joined);
        }
    }
    text
}

#[test]
fn configurations_are_valid() {
    let place = place();
    let mut n_valid = 0;
    for page in pages(workspace()) {
        for block in page.blocks().iter().filter(|block| block.language == "toml" && block.not_run.is_none()) {
            fs::write(place.path().join("block.toml"), block.lines.join("\n")).unwrap();
            let output = run("earwitness check --config block.toml", place.path());
            assert!(output.status.success(), "{}: {output:#?}", page.at(block.line));
            n_valid += 1;
        }
    }
    assert!(n_valid > 5, "only {n_valid} configurations");
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages(workspace()) {
        let folder = page.path.parent().unwrap();
        for link in page.links() {
            let target = link.target.split(' ').next().unwrap_or_default();
            if target.contains("://") || target.starts_with("mailto:") || target.is_empty() {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { page.path.clone() } else { folder.join(path) };
            let is_there =
                path.exists() && (anchor.is_empty() || Page::read(&path).anchors().iter().any(|a| a == anchor));
            if !is_there {
                wrong.push(format!("{}: {target}", page.at(link.line)));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_book_has_every_page() {
    let docs = workspace().join("docs");
    let summary: BTreeSet<_> =
        Page::read(&docs.join("SUMMARY.md")).links().into_iter().map(|link| link.target).collect();
    let files = pages(&docs).into_iter().map(|page| page.path.strip_prefix(&docs).unwrap().display().to_string());
    let files: BTreeSet<_> = files.filter(|file| file != "SUMMARY.md").collect();
    assert_eq!(summary, files, "docs/SUMMARY.md on the left");
}

#[test]
fn sentences_of_the_log_are_the_codes() {
    let code = sources(&workspace().join("edge/src"));
    let page = Page::read(&workspace().join("docs/troubleshooting.md"));
    let sentences: Vec<_> = page.first_cells().into_iter().filter(|(_, text)| text.contains(' ')).collect();
    assert!(sentences.len() > 20, "{sentences:?}");
    for (line, sentence) in &sentences {
        for part in sentence.split('…').filter(|part| part.trim().len() > 3) {
            assert!(code.contains(part), "{}: {part:?} is in no message", page.at(*line));
        }
    }
}
