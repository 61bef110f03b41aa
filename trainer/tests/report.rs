//! Claims: a training leaves what it says of its held-out fold and what it ran on; a report of it
//! is one well-formed page that needs nothing else and holds every section; what a folder lacks is
//! said on the page; and nothing from a file becomes markup.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, STAGE};
use edge::engine::Precision;
use edge_frontend::Activation;
use roxmltree::{Document, Node, ParsingOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use trainer::Error;
use trainer::chain::FitOptions;
use trainer::chain::fit::fit;
use trainer::chain::student::{MODEL, PREDICTIONS};
use trainer::common::environment::{ENVIRONMENT, Environment};
use trainer::judge::evaluate::{Evaluation, SetResult};
use trainer::judge::scores::Predictions;
use trainer::judge::scores::predictions::Recording;
use trainer::judge::summary::{FitResult, RESULT};
use trainer::report::{Bootstrap, Pool, ReportOptions, gather, report};
use trainer::train::checkpoint::{CHECKPOINT, Checkpoint, save};
use trainer::train::recipe::{Network, Quantize, Recipe};

/// Sections of a page with a held-out fold and nothing missing.
const SECTIONS: [&str; 9] =
    ["summary", "curves", "confusion", "classes", "clips", "calibration", "det", "recipe", "environment"];

fn short(fixture: &Fixture) -> Recipe {
    let mut recipe = fixture.recipe();
    recipe.stages[0].epochs = 4;
    recipe.train.evaluate_every = 2;
    recipe.quantize = Some(Quantize { calibration_batches: 1, steps: 0, ..Quantize::default() });
    recipe
}

/// Folds 1 and 2 of the fixture, in `runs/official-1` and `-2`.
fn two_folds(fixture: &Fixture) -> PathBuf {
    for fold in [1, 2] {
        let options = common::options(fixture.path(), short(fixture), &format!("runs/official-{fold}"));
        fit(&FitOptions { fold: Some(fold), ..options }).unwrap();
    }
    fixture.path().join("runs")
}

fn options(run: &Path) -> ReportOptions {
    ReportOptions {
        run: run.to_owned(),
        out: run.join("report.html"),
        folds: None,
        precision: Precision::F32,
        data_root: None,
        cache: run.join("../cache"),
        compare: Vec::new(),
        n_clips: 3,
        bootstrap: Bootstrap { n_resamples: 50, seed: 1 },
    }
}

/// Writes the page and reads it back. It is XML as it is HTML, but for `meta`, which HTML does not
/// close.
fn page(options: &ReportOptions) -> String {
    let n_bytes = report(options).unwrap();
    let page = std::fs::read_to_string(&options.out).unwrap();
    assert_eq!(n_bytes, page.len());
    page.split("<meta ").enumerate().fold(String::new(), |text, (at, part)| match at {
        0 => part.to_owned(),
        _ => format!("{text}<meta {}", part.replacen('>', "/>", 1)),
    })
}

fn parse(page: &str) -> Document<'_> {
    let document = Document::parse_with_options(page, ParsingOptions { allow_dtd: true, ..Default::default() });
    document.unwrap_or_else(|e| panic!("{e}: {}", page.lines().nth(e.pos().row as usize - 1).unwrap_or_default()))
}

fn section<'a>(document: &'a Document, id: &str) -> Node<'a, 'a> {
    let found = document.descendants().find(|n| n.has_tag_name("section") && n.attribute("id") == Some(id));
    found.unwrap_or_else(|| panic!("no section {id}"))
}

fn sections(document: &Document) -> Vec<String> {
    document
        .descendants()
        .filter(|n| n.has_tag_name("section"))
        .map(|n| n.attribute("id").unwrap().to_owned())
        .collect()
}

fn text(node: Node) -> String {
    node.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect::<Vec<_>>().join("")
}

fn count(node: Node, tag: &str) -> usize {
    node.descendants().filter(|n| n.has_tag_name(tag)).count()
}

/// No link to anything outside the page.
fn is_alone(document: &Document) {
    for node in document.descendants() {
        for name in ["href", "src", "srcset", "action", "data", "poster"] {
            let target = node.attribute(name).unwrap_or("#");
            assert!(target.starts_with('#') || target.starts_with("data:image/png;base64,"), "{name}={target}");
        }
        assert!(!["link", "iframe", "object", "embed", "audio", "video", "base"].contains(&node.tag_name().name()));
        if ["style", "script"].contains(&node.tag_name().name()) {
            let text = text(node);
            assert!(!text.contains("url(") && !text.contains("import") && !text.contains("fetch("));
        }
    }
}

#[test]
fn folds_are_pooled_on_one_page_that_needs_nothing_else() {
    let fixture = Fixture::new();
    let runs = two_folds(&fixture);
    let run = runs.join("official-1");

    // What the training left agrees with its result.
    let predictions = Predictions::read(&run.join(PREDICTIONS)).unwrap();
    let clips: Vec<_> = predictions.recordings.iter().filter(|r| !r.set.is_empty()).collect();
    assert_eq!((clips.len(), predictions.recordings.len(), predictions.background), (8, 9, Some(4)));
    assert_eq!((clips[0].id.as_str(), clips[0].source.as_str()), ("clips/blender-0.wav", "clips/0"));
    let result: FitResult = serde_json::from_str(&std::fs::read_to_string(run.join(RESULT)).unwrap()).unwrap();
    let top1 = |logits: &[f32]| {
        let greatest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let right = logits.chunks_exact(5).zip(&clips).filter(|(row, clip)| greatest(row) == clip.label);
        right.count() as f64 / clips.len() as f64
    };
    assert_eq!(result.evaluation.unwrap().sets["clips"].top1, top1(&predictions.logits));
    assert_eq!(result.int8.unwrap().sets["clips"].top1, top1(predictions.logits_int8.as_ref().unwrap()));
    let environment: Environment =
        serde_json::from_str(&std::fs::read_to_string(run.join(ENVIRONMENT)).unwrap()).unwrap();
    assert_eq!(environment.data_root, fixture.path());

    let page = page(&options(&runs));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    let document = parse(&page);
    is_alone(&document);
    assert_eq!(sections(&document)[..SECTIONS.len()], SECTIONS);
    assert!(text(section(&document, "missing")).contains("--compare RUN_DIR"));
    let of = |id: &str| section(&document, id);
    assert!(
        text(of("summary")).contains("16 labelled clips and 2 s of background of 4 sources"),
        "{}",
        text(of("summary"))
    );
    assert!(text(of("summary")).contains("50 bootstrap resamples of sources (seed 1)"));
    assert!(text(of("summary")).contains("8 bits") && text(of("summary")).contains("difference"));
    assert_eq!(count(of("clips"), "article"), 3);
    assert_eq!(count(of("clips"), "image"), 3, "a spectrogram each");
    assert!(count(of("clips"), "path") >= 3, "what the network says along the clip");
    let classes = of("classes").descendants().filter(|n| n.has_tag_name("tr")).count();
    assert_eq!(classes, 6, "a heading and five classes");
    for label in ["blender", "chopping", "dog", "water-flowing", "background"] {
        assert!(text(of("classes")).contains(label) && text(of("confusion")).contains(label), "{label}");
    }
    let recorded: u32 = of("confusion")
        .descendants()
        .filter(|n| n.attribute("class") == Some("count"))
        .map(|n| text(n).parse::<u32>().unwrap())
        .sum();
    assert_eq!(recorded, 18, "every recording is in a cell");
    assert_eq!(count(of("calibration"), "svg"), 2);
    assert!(text(of("recipe")).contains("name = \"tiny\"") && text(of("recipe")).contains("kernel_t = 4"));
    assert!(text(of("environment")).contains("2.11") && text(of("environment")).contains("CPU, 1 threads"));
    assert!(!page.contains(fixture.path().to_str().unwrap()), "no path of this machine");

    // Without the predictions, the networks are asked again, and say the same.
    let pooled = gather(&options(&runs)).unwrap().held_out.unwrap().pool;
    for fold in ["official-1", "official-2"] {
        std::fs::remove_file(runs.join(fold).join(PREDICTIONS)).unwrap();
    }
    let asked = gather(&options(&runs)).unwrap();
    let rows = |pool: &Pool| {
        pool.rows.iter().map(|r| (r.run, r.id.clone(), r.label, r.logits.clone(), r.other.clone())).collect::<Vec<_>>()
    };
    assert_eq!(rows(&asked.held_out.unwrap().pool), rows(&pooled));

    // Where neither data nor predictions are, the page says so and has the rest.
    let file = runs.join("official-1").join(ENVIRONMENT);
    for fold in ["official-1", "official-2"] {
        std::fs::remove_file(runs.join(fold).join(ENVIRONMENT)).unwrap();
    }
    assert!(!file.exists());
    let page = self::page(&options(&runs));
    let document = parse(&page);
    assert_eq!(sections(&document), ["summary", "curves", "recipe", "environment", "missing"]);
    let missing = text(section(&document, "missing"));
    assert!(missing.contains("official-2: no predictions") && missing.contains("--data-root"), "{missing}");
    assert!(text(section(&document, "environment")).contains("not known of 2 of 2"));
    // And with the folder of the data named, all is there again.
    let found = ReportOptions { data_root: Some(fixture.path().to_owned()), ..options(&runs) };
    assert_eq!(gather(&found).unwrap().held_out.unwrap().pool.rows.len(), 18);
    std::fs::remove_dir_all(runs.join("official-2").join(MODEL)).unwrap();
    let report = gather(&found).unwrap();
    assert_eq!(report.held_out.unwrap().pool.n_runs(), 1);
    assert!(report.notes.iter().any(|n| n.contains("official-2: no predictions: ") && n.contains("nor a model")));
}

#[test]
fn other_networks_are_drawn_beside_it() {
    let fixture = Fixture::new();
    let runs = two_folds(&fixture);
    let mut compare = vec![runs.join("official-2")];
    // Two more, as a training leaves them: one costs less than all others; one costs more and knows
    // nothing.
    for (name, channels, top1) in [("small", 4, 0.1), ("worse", 64, 0.0)] {
        let run = fixture.path().join("rivals").join(name);
        let mut header = Checkpoint::load(&runs.join("official-1").join(STAGE).join(CHECKPOINT)).unwrap().header;
        let Network::Student(student) = &mut header.recipe.network else { panic!("a student") };
        student.layers[2].channels = channels;
        std::fs::create_dir_all(run.join(STAGE)).unwrap();
        save(&run.join(STAGE).join(CHECKPOINT), &header, &[]).unwrap();
        let mut result = FitResult::new(name, Some(1), header.folds);
        let of_set = SetResult { n: 8, top1, top1_own_labels: top1, nll: 1.0 };
        result.evaluation = Some(Evaluation { sets: [("clips".to_owned(), of_set)].into(), background: None });
        std::fs::write(run.join(RESULT), serde_json::to_string(&result).unwrap()).unwrap();
        compare.push(run);
    }
    let compared = ReportOptions { compare, n_clips: 0, ..options(&runs.join("official-1")) };
    let page = page(&compared);
    let document = parse(&page);
    let section = section(&document, "pareto");
    assert_eq!(count(section, "circle"), 4);
    for name in ["this: tiny", "runs/official-2", "rivals/small", "rivals/worse", "4 epochs, fold 1"] {
        assert!(text(section).contains(name), "{name}: {}", text(section));
    }
    let row = |name: &str| {
        let rows = section.descendants().filter(|n| n.has_tag_name("tr"));
        rows.map(text).find(|row| row.contains(name)).unwrap()
    };
    assert!(row("rivals/small").ends_with("yes"), "{}", row("rivals/small"));
    assert!(!row("rivals/worse").ends_with("yes"), "{}", row("rivals/worse"));
    assert!(!sections(&document).contains(&"missing".to_owned()), "{}", text(document.root()));
    let absent = ReportOptions { compare: vec![fixture.path().join("none")], ..compared };
    assert!(gather(&absent).err().unwrap().to_string().contains("none"));
}

#[test]
fn names_from_files_do_not_become_markup() {
    let folder = tempfile::tempdir().unwrap();
    let labels = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "a & b"].map(str::to_owned);
    let set = "</style><b>set</b>".to_owned();
    let recording = |i: usize| Recording {
        id: format!("{set}/<i>{i}</i>.wav"),
        set: set.clone(),
        source: (i / 2).to_string(),
        label: i % 3,
    };
    let logits: Vec<f32> = (0..36).map(|i| ((i * 7) % 5) as f32).collect();
    let predictions = Predictions {
        labels: labels.to_vec(),
        background: None,
        activation: Activation::Softmax,
        own: (0..3).map(|class| (set.clone(), class)).collect(),
        recordings: (0..12).map(recording).collect(),
        logits,
        logits_int8: None,
    };
    let run = folder.path().join("<u>run");
    std::fs::create_dir(&run).unwrap();
    predictions.write(&run.join(PREDICTIONS)).unwrap();
    let page = page(&options(&run));
    let document = parse(&page);
    is_alone(&document);
    assert_eq!(count(document.root(), "script"), 1, "the page's own");
    assert_eq!(count(document.root(), "img") + count(document.root(), "i") + count(document.root(), "u"), 0);
    for label in &labels {
        assert!(text(section(&document, "classes")).contains(label.as_str()), "{label}");
    }
    assert!(text(section(&document, "clips")).contains("<i>"));
    let missing = text(section(&document, "missing"));
    for what in ["no recipe", "no training curves", "no result", "No spectrograms"] {
        assert!(missing.contains(what), "{what}: {missing}");
    }
}

#[test]
fn what_was_not_held_out_or_not_finished_is_said() {
    let fixture = Fixture::new();
    let all = FitOptions { fold: None, ..common::options(fixture.path(), short(&fixture), "all") };
    fit(&all).unwrap();
    let whole = page(&options(&all.out));
    let document = parse(&whole);
    assert_eq!(sections(&document), ["summary", "curves", "recipe", "environment", "missing"]);
    assert!(
        text(section(&document, "missing")).contains("nothing was held out"),
        "{}",
        text(section(&document, "missing"))
    );

    let broken = FitOptions { stop_after: Some(6), ..common::options(fixture.path(), short(&fixture), "broken") };
    assert!(matches!(fit(&broken), Err(Error::Interrupted)));
    let half = page(&options(&broken.out));
    let document = parse(&half);
    assert!(text(section(&document, "summary")).contains("broken is not finished: step 6 of 16"));
    assert!(text(section(&document, "missing")).contains("broken: no result"));

    let command = |run: &Path| {
        Command::new(env!("CARGO_BIN_EXE_earwitness-train"))
            .env_remove("EARWITNESS_DATA")
            .args(["report", "--resamples", "20"])
            .arg(run)
            .output()
            .unwrap()
    };
    let output = command(&all.out);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("report.html"));
    let empty = fixture.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let output = command(&empty);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("empty: no run here"), "{output:?}");
    assert_eq!(command(&fixture.path().join("absent")).status.code(), Some(1));
}

const STAGES: &str = r#"
name = "tiny-slowfast"
seed = 3
data_root = "."

[[data]]
name = "clips"
csv = "clips.csv"
audio = "."

[network]
kind = "slowfast"
width_per_group = 8
n_frames = 80

[train]
view_seconds = 0.4
views = 2
train_views = 1

[[stage]]
name = "second-by-name"
epochs = 2
lr = 0.01
batch = 8
weight = 0.5

[[stage]]
name = "decay"
init = "stage:second-by-name"
epochs = 1
lr = 0.01
batch = 8
weight = 0.5
"#;

#[test]
fn a_run_of_stages_is_shown_as_far_as_it_goes() {
    let fixture = Fixture::new();
    let recipe = Recipe::parse(STAGES, Path::new("tiny.toml")).unwrap();
    let run = common::options(fixture.path(), recipe, "runs/official-1");
    fit(&run).unwrap();
    let found = page(&options(&run.out));
    let document = parse(&found);
    assert_eq!(sections(&document)[..SECTIONS.len()], SECTIONS, "the data is where the training found it");
    std::fs::remove_file(run.out.join(ENVIRONMENT)).unwrap();
    let bare = page(&options(&run.out));
    let document = parse(&bare);
    assert_eq!(sections(&document), ["summary", "curves", "recipe", "environment", "missing"]);
    let summary = text(section(&document, "summary"));
    assert!(summary.contains("By model") && summary.contains("fused") && summary.contains("mAUC"), "{summary}");
    let curves = text(section(&document, "curves"));
    assert!(curves.find("second-by-name") < curves.find("decay"), "stages in the order of the training: {curves}");

    let with_data =
        ReportOptions { data_root: Some(fixture.path().to_owned()), ..options(&fixture.path().join("runs")) };
    let whole = page(&with_data);
    let document = parse(&whole);
    assert_eq!(sections(&document)[..SECTIONS.len()], SECTIONS);
    assert_eq!(count(section(&document, "clips"), "image"), 3);
    assert!(text(section(&document, "recipe")).contains("[[stage]]"));
}
