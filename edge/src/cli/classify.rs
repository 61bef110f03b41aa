//! `earwitness classify`: names recordings as a whole.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use edge::Result;
use edge::classify::RecordingClassifier;
use serde::Serialize;

use super::args::ClassifyArgs;
use super::stdout_error;

#[derive(Serialize)]
struct Record<'a> {
    file: String,
    top: Vec<Guess<'a>>,
}

#[derive(Serialize)]
struct Guess<'a> {
    label: &'a str,
    score: f32,
}

/// A file that cannot be classified is reported and does not keep the others from it; then the exit
/// code is 1.
pub(super) fn classify(args: &ClassifyArgs) -> Result<ExitCode> {
    edge::logging::start("warn")?;
    let (model, engine) = super::load(args.model.as_deref(), args.precision, super::with_hop(args.hop_ms))?;
    let mut classifier = RecordingClassifier::new(model, engine)?;
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for file in &args.files {
        let posteriors = match classifier.classify_file(file) {
            Ok(posteriors) => posteriors,
            Err(error) => {
                super::say(format_args!("earwitness: {error}"));
                code = ExitCode::from(1);
                continue;
            }
        };
        let record = record(file, classifier.labels(), &posteriors, args.top.into());
        let text = if args.json { json(&record) } else { table(&record) };
        out.write_all(text.as_bytes()).map_err(stdout_error)?;
    }
    Ok(code)
}

fn record<'a>(file: &Path, labels: &'a [String], posteriors: &[f32], top: usize) -> Record<'a> {
    let mut guesses: Vec<Guess> =
        labels.iter().zip(posteriors).map(|(label, score)| Guess { label, score: *score }).collect();
    guesses.sort_by(|a, b| b.score.total_cmp(&a.score));
    guesses.truncate(top);
    Record { file: file.display().to_string(), top: guesses }
}

fn json(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_else(|error| unreachable!("a record has only string keys: {error}")) + "\n"
}

fn table(record: &Record) -> String {
    let width = record.top.iter().map(|guess| guess.label.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", record.file);
    for Guess { label, score } in &record.top {
        text.push_str(&format!("  {label:width$}  {score:.3}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_labels_come_first_and_line_up() {
        let labels = ["dog".to_string(), "water-flowing".to_string(), "cat".to_string()];
        let record = record(Path::new("a.wav"), &labels, &[0.25, 0.5, 0.0], 2);
        assert_eq!(table(&record), "a.wav\n  water-flowing  0.500\n  dog            0.250\n");
        let expected = r#"{"file":"a.wav","top":[{"label":"water-flowing","score":0.5},{"label":"dog","score":0.25}]}"#;
        assert_eq!(json(&record), format!("{expected}\n"));
    }
}
