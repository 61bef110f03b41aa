//! Counts the instructions of each stage, so that a change of cost is seen however busy the machine
//! is. Enters: nothing, or the name of a stage and a number of pieces. Leaves: a table, or what a
//! run under valgrind executes.
//!
//! ```text
//! instructions                 count all stages, show them beside benches/instructions.toml
//! instructions --write         count all stages and write benches/instructions.toml
//! instructions --check         count all stages; exit code 1 if one differs by more than 3 %
//! instructions STAGE N         do N pieces of the stage's work (what is run under valgrind)
//! ```
//!
//! A count is the difference between a run of many pieces and a run of few, so what prepares the
//! stage is not in it. Valgrind executes the kernels for AVX2 and FMA, whatever else the processor
//! has; on a processor without them the counts are others and cannot be compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use benches::STAGES;

/// Counts may differ by this share from the committed ones.
const TOLERANCE: f64 = 0.03;
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");
const HEADER: &str =
    "# Instructions of one piece of each stage's work, on x86-64 with AVX2: `make bench-instructions`.\n";

type Counts = BTreeMap<String, u64>;
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        [] => compare().map(|_| true),
        ["--check"] => compare(),
        ["--write"] => write(),
        [stage, n] => work(stage, n),
        _ => Err("usage: instructions [--check | --write | STAGE N]".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// Does `n` pieces of a stage's work.
fn work(name: &str, n: &str) -> Outcome<bool> {
    let n: usize = n.parse().map_err(|e| format!("{n:?} is not a number of pieces: {e}"))?;
    let (_, prepare) =
        STAGES.into_iter().find(|(known, _)| *known == name).ok_or_else(|| format!("there is no stage {name:?}"))?;
    let mut stage = prepare();
    (0..n).for_each(|_| stage.step());
    Ok(true)
}

fn write() -> Outcome<bool> {
    let text = toml::to_string(&count()?).map_err(|e| e.to_string())?;
    std::fs::write(COMMITTED, format!("{HEADER}{text}")).map_err(|e| format!("{COMMITTED}: {e}"))?;
    println!("{COMMITTED} is written");
    Ok(true)
}

/// Shows the counts beside the committed ones. Returns whether all are within the tolerance.
fn compare() -> Outcome<bool> {
    let text = std::fs::read_to_string(COMMITTED).map_err(|e| format!("{COMMITTED}: {e}"))?;
    let committed: Counts = toml::from_str(&text).map_err(|e| format!("{COMMITTED}: {e}"))?;
    let counts = count()?;
    let mut all_within = committed.len() == counts.len();
    println!("{:<40} {:>12} {:>12} {:>8}", "stage", "committed", "now", "change");
    for (name, now) in &counts {
        let Some(before) = committed.get(name) else {
            println!("{name:<40} {:>12} {now:>12}", "-");
            all_within = false;
            continue;
        };
        let change = *now as f64 / *before as f64 - 1.0;
        all_within &= change.abs() <= TOLERANCE;
        println!("{name:<40} {before:>12} {now:>12} {:>+7.1} %", 100.0 * change);
    }
    if !all_within {
        println!(
            "A stage has changed by more than {:.0} %. If that is meant: `instructions --write`.",
            100.0 * TOLERANCE
        );
    }
    Ok(all_within)
}

/// Instructions of one piece, by stage. The decide stage is left out: what prepares it runs the
/// network, whose count differs from run to run by more than the stage itself has.
fn count() -> Outcome<Counts> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    STAGES
        .iter()
        .filter(|(name, _)| !name.starts_with("decide"))
        .map(|(name, _)| {
            let (few, many) = n_pieces(name);
            let n = executed(&program, name, many)?.saturating_sub(executed(&program, name, few)?);
            Ok(((*name).to_owned(), n / (many - few)))
        })
        .collect()
}

/// Pieces in the short and in the long run: 10 s of the scene between them.
fn n_pieces(name: &str) -> (u64, u64) {
    match name {
        _ if name.ends_with("hop") => (100, 1_100),
        _ if name.ends_with("pulse") => (25, 150),
        _ => (2, 12),
    }
}

/// All instructions of a run.
fn executed(program: &Path, stage: &str, n: u64) -> Outcome<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    let output = command.arg(program).arg(stage).arg(n.to_string()).output();
    let output = output.map_err(|e| format!("valgrind (Debian package valgrind) does not start: {e}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    // ==1234== I refs:        123,456,789
    let refs = log.lines().find_map(|line| line.split_once("refs:")).filter(|_| output.status.success());
    let digits: String = refs.map(|(_, n)| n.chars().filter(char::is_ascii_digit).collect()).unwrap_or_default();
    digits.parse().map_err(|_| format!("{stage}: valgrind does not say how many instructions were executed: {log}"))
}
