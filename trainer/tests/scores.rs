//! Claims: scores files are numpy's, measures are scikit-learn's, rows meet by annotation_id, and
//! whatever is wrong is named.
//!
//! References are in `tests/reference`, with the scripts and versions that made them. EPIC-SOUNDS'
//! own validation annotations lie beside the repository, in `../shared`; in CI (`CI` is set) their
//! absence fails.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use trainer::judge::scores::{Scores, measure};

fn reference(what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(what)
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// Runs `earwitness-train`; gives its output if it ends with `code`.
fn train(args: &[&dyn AsRef<std::ffi::OsStr>], code: i32) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
    command.args(args.iter().map(|arg| arg.as_ref()));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {}", stderr(&output));
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The document that a command with `--json` prints, and nothing else.
fn document(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Random numbers from 0 to 1; the same on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }
}

#[test]
fn files_of_numpy_read_as_numpy_wrote_them() {
    let expected = json(&reference("scores/expected.json"));
    assert_eq!(expected.as_object().unwrap().len(), 8);
    for (name, expected) in expected.as_object().unwrap() {
        let read = Scores::read(&reference(&format!("scores/{name}.npz"))).unwrap();
        let ids: Vec<&str> =
            expected["annotation_id"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(read.annotation_id, ids, "{name}");
        let shape: Vec<usize> =
            expected["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let n_views = if shape.len() == 3 { shape[1] } else { 1 };
        assert_eq!((read.len(), read.n_views, read.n_classes), (shape[0], n_views, *shape.last().unwrap()), "{name}");
        assert_eq!(read.scores, floats(&expected["scores"]), "{name}");
    }
}

/// Entries of a zip archive.
fn entries(path: &Path) -> BTreeMap<String, (zip::CompressionMethod, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let entry = |i| {
        let mut entry = archive.by_index(i).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().to_owned(), (entry.compression(), bytes))
    };
    (0..2).map(entry).collect()
}

#[test]
fn files_of_ours_are_those_that_numpy_writes() {
    let folder = folder();
    let ours = folder.path().join("ours.npz");
    for name in ["plain", "unicode"] {
        let theirs = reference(&format!("scores/{name}.npz"));
        let mut scores = Scores::read(&theirs).unwrap();
        if name == "unicode" {
            // Stored big-endian there.
            scores.scores.iter_mut().for_each(|s| *s = f32::from_bits(s.to_bits().swap_bytes()));
        }
        scores.write(&ours).unwrap();
        let (ours, mut theirs) = (entries(&ours), entries(&theirs));
        if name == "unicode" {
            let bytes = &mut theirs.get_mut("scores.npy").unwrap().1;
            let at = bytes.windows(3).position(|w| w == b">f4").unwrap();
            bytes[at] = b'<';
        }
        assert_eq!(ours, theirs, "{name}: byte for byte, header, padding and all");
    }
}

#[test]
fn broken_files_name_file_and_row() {
    for (name, says) in [
        ("bad_object", "array annotation_id holds pickled objects; save it with dtype=str"),
        ("bad_nan", "row 1 (\"b\"): score of class 1 is NaN"),
        ("bad_overflow", "row 2 (\"c\"): score of class 0 is inf"),
        ("bad_twice", "row 2: annotation_id \"a\" is in row 0 already"),
        ("bad_empty_id", "row 1: annotation_id is empty"),
        ("bad_lengths", "annotation_id has 2 rows, scores 3"),
        ("bad_missing", "array scores is missing"),
        ("bad_no_ids", "array annotation_id is missing"),
        ("bad_integers", "array scores must be float32 or float64"),
        ("bad_half", "array scores type \"<f2\" is not supported"),
        ("bad_flat", "array scores: shape [3] must have two or three dimensions"),
        ("bad_float_ids", "array annotation_id: must be strings or whole numbers"),
        ("bad_table", "array annotation_id: shape [3, 1] must have one dimension"),
        ("bad_no_rows", "scores are empty: 0 rows"),
        ("bad_records", "array scores holds records"),
    ] {
        let message = Scores::read(&reference(&format!("scores/{name}.npz"))).unwrap_err().to_string();
        assert!(message.contains(&format!("{name}.npz: {says}")), "{message}");
    }
    let message = Scores::read(&reference("scores/bad_array.npy")).unwrap_err().to_string();
    assert!(message.contains("bad_array.npy: is not a .npz file, or is cut off"), "{message}");
}

#[test]
fn no_damage_to_a_file_goes_unnoticed_or_panics() {
    let folder = folder();
    let path = folder.path().join("damaged.npz");
    for name in ["plain", "views_fortran"] {
        let sound = reference(&format!("scores/{name}.npz"));
        let (bytes, scores) = (std::fs::read(&sound).unwrap(), Scores::read(&sound).unwrap());
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let message = Scores::read(&path).unwrap_err().to_string();
            assert!(message.contains("damaged.npz: "), "{message}");
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                std::fs::write(&path, &damaged).unwrap();
                // Names, dates and flags of the archive may be damaged without harm; what is read
                // is never another.
                if let Ok(read) = Scores::read(&path) {
                    assert_eq!(
                        (read.annotation_id, read.scores),
                        (scores.annotation_id.clone(), scores.scores.clone())
                    );
                }
            }
        }
    }
}

#[test]
fn measures_are_those_of_scikit_learn() {
    let cases = json(&reference("measures.json"));
    assert_eq!(cases.as_array().unwrap().len(), 21);
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let truth: Vec<usize> =
            case["truth"].as_array().unwrap().iter().map(|c| c.as_u64().unwrap() as usize).collect();
        let n_classes = case["n_classes"].as_u64().unwrap() as usize;
        let redact = case["redact"].as_u64().map(|class| class as usize);
        let measured = measure(&floats(&case["scores"]), n_classes, &truth, redact).unwrap();
        let measured = serde_json::to_value(measured).unwrap();
        let expected = case["expected"].as_object().unwrap();
        assert_eq!(measured.as_object().unwrap().len(), expected.len(), "{name}");
        for (key, expected) in expected {
            match (measured[key].as_f64(), expected.as_f64()) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-9, "{name}: {key} {a} {b}"),
                (a, b) => assert_eq!(a, b, "{name}: {key}"),
            }
        }
    }
}

#[test]
fn fused_files_follow_the_first_and_search_finds_the_better_model() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let n = 200;
    let ids: Vec<String> = (0..n).map(|i| format!("P{:02}_{i}", i % 37)).collect();
    let truth: Vec<usize> = (0..n).map(|i| i * 7 % 4).collect();
    let mut noise = Noise(1);
    let mut model = |sharpness: f32| -> Vec<f32> {
        let mut row = |&class: &usize| {
            let raw: Vec<f32> =
                (0..4).map(|c| (noise.next() + if c == class { sharpness } else { 0.0 }).exp()).collect();
            let sum: f32 = raw.iter().sum();
            raw.into_iter().map(move |p| p / sum)
        };
        truth.iter().flat_map(|class| row(class).collect::<Vec<_>>()).collect()
    };
    let (strong, weak) = (model(0.6), model(0.05));
    Scores::new("a", ids.clone(), 1, 4, strong.clone()).unwrap().write(&at("a.npz")).unwrap();
    // The second file has its rows in reverse, and two views whose sum counts.
    let reversed: Vec<f32> = weak.chunks(4).rev().flat_map(|row| [row, row].concat()).map(|p| p / 2.0).collect();
    let back = ids.iter().rev().cloned().collect();
    Scores::new("b", back, 2, 4, reversed).unwrap().write(&at("b.npz")).unwrap();
    let table: String = ids.iter().zip(&truth).map(|(id, class)| format!("{id},{class}\n")).collect();
    std::fs::write(at("t.csv"), format!("annotation_id,class_id\n{table}")).unwrap();

    let (a, b, t, out) = (at("a.npz"), at("b.npz"), at("t.csv"), at("out.npz"));
    train(&[&"fuse", &"--scores", &a, &b, &"--weights", &".25", &".75", &"--out", &out], 0);
    let fused = Scores::read(&out).unwrap();
    assert_eq!((&fused.annotation_id, fused.n_views), (&ids, 1));
    let expected = strong.iter().zip(&weak).map(|(s, w)| 0.25 * s + 0.75 * w);
    assert!(fused.scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));

    let search: &[&dyn AsRef<std::ffi::OsStr>] = &[&"fuse", &"--scores", &a, &b, &"--search", &"--annotations", &t];
    let output = train(&[search, &[&"--json", &"--out", &out]].concat(), 0);
    assert!(stderr(&output).contains("warning: the weights are measured on the rows on which they were found"));
    let found = document(&output);
    assert_eq!(found["given"]["weights"], serde_json::json!([0.5, 0.5]));
    let top1 = |which: &str| found[which]["measures"]["top1"].as_f64().unwrap();
    assert!(top1("found") >= top1("given") && top1("held_out") <= top1("found"), "{found}");
    assert!(found["found"]["weights"][0].as_f64().unwrap() > 0.5, "the better model weighs more: {found}");
    assert_eq!(found["files"][0]["measures"]["n"], n);
    let folds = found["held_out"]["folds"].as_array().unwrap();
    assert_eq!(folds.iter().map(|fold| fold["n"].as_u64().unwrap()).sum::<u64>(), n as u64);
    // What was written measures as the search said.
    let measured = document(&train(&[&"evaluate", &"--scores", &out, &"--annotations", &t, &"--json"], 0));
    assert_eq!(measured, found["found"]["measures"]);

    let output = stdout(&train(search, 0));
    let names: Vec<&str> = output.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    assert_eq!(
        names,
        ["rows", "top-1", a, b, "given", "found", "to", "held_out", "to", "fold", "fold", "fold", "fold", "fold"],
        "{output}"
    );
}

#[test]
fn four_files_have_the_weights_of_the_report() {
    let folder = folder();
    let file = |class: usize| {
        let path = folder.path().join(format!("{class}.npz"));
        let one_hot = (0..4).map(|c| f32::from(u8::from(c == class))).collect();
        Scores::new("x", vec!["a".to_owned()], 1, 4, one_hot).unwrap().write(&path).unwrap();
        path
    };
    let files: Vec<PathBuf> = (0..4).map(file).collect();
    let out = folder.path().join("out.npz");
    train(&[&"fuse", &"--scores", &files[0], &files[1], &files[2], &files[3], &"--out", &out], 0);
    assert_eq!(Scores::read(&out).unwrap().scores, [0.1, 0.4, 0.25, 0.25]);
}

#[test]
fn mistakes_end_in_one_line_and_the_right_code() {
    let folder = folder();
    let (plain, missing) = (reference("scores/plain.npz"), reference("scores/none.npz"));
    let (views, out) = (reference("scores/views.npz"), folder.path().join("out.npz"));
    let table = folder.path().join("t.csv");
    std::fs::write(&table, "annotation_id,class_id\nP00_100_0,0\nP01_101_7,1\n").unwrap();
    let message = |args: &[&dyn AsRef<std::ffi::OsStr>], code| {
        let output = train(args, code);
        assert!(stdout(&output).is_empty());
        stderr(&output)
    };
    let fuse = message(&[&"fuse", &"--scores", &plain, &missing, &"--out", &out], 1);
    assert!(fuse.contains("none.npz: No such file"), "{fuse}");
    let fuse = message(&[&"fuse", &"--scores", &plain, &views, &"--out", &out], 1);
    assert!(
        fuse.contains("views.npz: annotation_ids are not those of") && fuse.contains("only there P04_104_28"),
        "{fuse}"
    );
    let fuse = message(&[&"fuse", &"--scores", &plain, &"--weights", &"1", &"2", &"--out", &out], 2);
    assert!(fuse.contains("--weights: 2 given for 1 scores files"), "{fuse}");
    let fuse = message(&[&"fuse", &"--scores", &plain, &"--weights", &"0", &"--out", &out], 2);
    assert!(fuse.contains("all weights are 0"), "{fuse}");
    let fuse = message(&[&"fuse", &"--scores", &plain], 2);
    assert!(fuse.contains("--out"), "{fuse}");
    let fuse = message(&[&"fuse", &"--scores", &plain, &"--search"], 2);
    assert!(fuse.contains("--annotations"), "{fuse}");
    let evaluate = message(&[&"evaluate", &"--scores", &plain], 2);
    assert!(evaluate.contains("--annotations"), "{evaluate}");
    let evaluate = message(&[&"evaluate", &"--scores", &plain, &"--annotations", &table], 1);
    assert!(evaluate.contains("plain.npz: row 2: \"P02_102_14\" is not annotated in"), "{evaluate}");
    std::fs::write(&table, "annotation_id,class_id\nP00_100_0,0\nP01_101_7,44\n").unwrap();
    let evaluate = message(&[&"evaluate", &"--scores", &plain, &"--annotations", &table], 2);
    assert!(evaluate.contains("t.csv:3: class_id 44 is unknown to") && evaluate.contains("3 classes"), "{evaluate}");
    let submit = message(&[&"submit", &"--scores", &plain, &"--out", &out], 1);
    assert!(submit.contains("plain.npz: scores are of 3 classes, a submission takes 44"), "{submit}");
    assert!(!out.exists());
}

#[test]
fn clips_tables_and_their_background() {
    let folder = folder();
    let (table, npz) = (folder.path().join("clips.csv"), folder.path().join("s.npz"));
    let write = |labels: [&str; 3]| {
        let rows: String = (0..3).map(|i| format!("audio/c{i}.ogg,{},1,s\n", labels[i])).collect();
        std::fs::write(&table, format!("file,label,fold,source_id\n{rows}")).unwrap();
    };
    let ids = vec!["c2".to_owned(), "c0".to_owned(), "c1".to_owned()];
    let scores = vec![0.1, 0.8, 0.1, 0.7, 0.2, 0.1, 0.2, 0.1, 0.7];
    Scores::new("x", ids, 1, 3, scores).unwrap().write(&npz).unwrap();
    let evaluate = |extra: &[&dyn AsRef<std::ffi::OsStr>], code| {
        train(&[&[&"evaluate" as &dyn AsRef<_>, &"--scores", &npz, &"--annotations", &table], extra].concat(), code)
    };
    write(["background", "water", "dog"]);
    assert_eq!(document(&evaluate(&[&"--json"], 0))["top1"], 1.0);
    let redacted = document(&evaluate(&[&"--json", &"--redact-background"], 0));
    assert_eq!((&redacted["n"], &redacted["n_redacted"]), (&2.into(), &1.into()));
    let text = stdout(&evaluate(&[&"--redact_background", &"--background-id", &"1"], 0));
    assert!(text.contains("2 of 3 classes, 2 present, 1 of class 1 left out"), "{text}");
    assert!(text.contains("top-1   100.00\n") && text.contains("mAUC    1.0000\n"), "{text}");
    let nothing = stderr(&evaluate(&[&"--redact-background", &"--background-id", &"9"], 2));
    assert!(nothing.contains("class 9"), "{nothing}");
    write(["cat", "water", "dog"]);
    let nothing = stderr(&evaluate(&[&"--redact-background"], 2));
    assert!(nothing.contains("has no label background; give --background-id"), "{nothing}");
}

/// EPIC-SOUNDS' validation annotations: the table and annotation_id and class_id of each row.
fn validation() -> Option<(PathBuf, Vec<(String, usize)>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/epic-sounds/EPIC_Sounds_validation.csv");
    if !path.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
        eprintln!("{} is missing: not checked with the real annotations", path.display());
        return None;
    }
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let (id, class) = (column("annotation_id"), column("class_id"));
    let rows = reader.records().map(Result::unwrap).map(|r| (r[id].to_owned(), r[class].parse().unwrap())).collect();
    Some((path, rows))
}

#[test]
fn epic_sounds_validation_with_an_oracle_and_with_chance() {
    let Some((table, rows)) = validation() else { return };
    assert_eq!(rows.len(), 8035);
    let folder = folder();
    let ids: Vec<String> = rows.iter().rev().map(|row| row.0.clone()).collect();
    let (oracle, chance) = (folder.path().join("oracle.npz"), folder.path().join("chance.npz"));
    let one_hot = rows.iter().rev().flat_map(|row| (0..44).map(|class| f32::from(u8::from(class == row.1))));
    Scores::new("x", ids.clone(), 1, 44, one_hot.collect()).unwrap().write(&oracle).unwrap();
    let mut noise = Noise(2);
    let random = (0..8035 * 44).map(|_| noise.next()).collect();
    Scores::new("x", ids.clone(), 1, 44, random).unwrap().write(&chance).unwrap();
    let evaluate = |scores: &PathBuf, redact: bool| {
        let extra: &[&dyn AsRef<std::ffi::OsStr>] = if redact { &[&"--redact-background"] } else { &[] };
        let args: &[&dyn AsRef<std::ffi::OsStr>] =
            &[&"evaluate", &"--scores", scores, &"--annotations", &table, &"--json"];
        document(&train(&[args, extra].concat(), 0))
    };
    for (redact, n, n_redacted, n_present) in [(false, 8035, 0, 44), (true, 8002, 33, 43)] {
        let perfect = evaluate(&oracle, redact);
        for (key, expected) in [("n", n), ("n_redacted", n_redacted), ("n_present", n_present), ("n_classes", 44)] {
            assert_eq!(perfect[key], expected, "{key}");
        }
        assert!(["top1", "top5", "mca", "map", "mauc"].iter().all(|key| perfect[key] == 1.0), "{perfect}");
        let random = evaluate(&chance, redact);
        let near = |key: &str, value: f64, by: f64| {
            let found = random[key].as_f64().unwrap();
            assert!((found - value).abs() < by, "{key}: {found}");
        };
        near("top1", 1.0 / 44.0, 0.007);
        near("top5", 5.0 / 44.0, 0.015);
        near("mca", 1.0 / 44.0, 0.02);
        near("map", 1.0 / 44.0, 0.01);
        near("mauc", 0.5, 0.05);
    }

    let out = folder.path().join("submission.zip");
    train(&[&"submit", &"--scores", &chance, &"--out", &out], 0);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
    assert_eq!(archive.len(), 1);
    let submission: serde_json::Value = serde_json::from_reader(archive.by_name("test.json").unwrap()).unwrap();
    let header = serde_json::json!({"version": "0.1", "challenge": "audio_based_interaction_recognition",
        "sls_pt": 2, "sls_tl": 3, "sls_td": 4, "t_mod": 0, "results": submission["results"]});
    assert_eq!(submission, header);
    assert_eq!(submission["results"].as_object().unwrap().len(), 8035);
    for (id, row) in ids.iter().zip(Scores::read(&chance).unwrap().scores.chunks(44)) {
        let read = submission["results"][id]["interaction"].as_object().unwrap();
        assert_eq!(read.len(), 44);
        assert!(
            row.iter().enumerate().all(|(class, &s)| read[&class.to_string()].as_f64().unwrap() as f32 == s),
            "{id}"
        );
    }
}

#[test]
fn a_search_on_four_models_of_epic_sounds_size_finds_the_same_on_any_number_of_threads() {
    let Some((table, rows)) = validation() else { return };
    let folder = folder();
    let ids: Vec<String> = rows.iter().map(|row| row.0.clone()).collect();
    let files: Vec<PathBuf> = (0..4)
        .map(|model| {
            let mut noise = Noise(10 + model);
            let path = folder.path().join(format!("{model}.npz"));
            let row = |class: usize| {
                let raw: Vec<f32> =
                    (0..44).map(|c| noise.next().powi(4) + if c == class { 0.5 } else { 0.0 }).collect();
                let sum: f32 = raw.iter().sum();
                raw.into_iter().map(move |p| 5.0 * p / sum)
            };
            let scores = rows.iter().map(|row| row.1).flat_map(row).collect();
            Scores::new("x", ids.clone(), 1, 44, scores).unwrap().write(&path).unwrap();
            path
        })
        .collect();
    let search = |threads: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
        command.env("RAYON_NUM_THREADS", threads).arg("fuse").arg("--scores").args(&files);
        command.args(["--search", "--redact-background", "--json", "--annotations"]).arg(&table);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        document(&output)
    };
    let found = search("2");
    assert_eq!(found["given"]["weights"], serde_json::json!([0.1, 0.4, 0.25, 0.25]));
    let top1 = |which: &str| found[which]["measures"]["top1"].as_f64().unwrap();
    assert!(top1("given") > found["files"][1]["measures"]["top1"].as_f64().unwrap(), "fusion helps");
    // Models of one kind are best weighed alike, and that holds on rows not searched.
    assert!(top1("found") > top1("given") && top1("held_out") > top1("given"), "{found}");
    assert!(found["found"]["weights"].as_array().unwrap().iter().all(|w| (0.1..0.4).contains(&w.as_f64().unwrap())));
    assert_eq!(search("1"), found);
}
