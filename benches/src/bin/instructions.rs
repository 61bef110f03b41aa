//! Counts the instructions of each stage, so that a change of cost is seen however busy the machine
//! is. Enters: nothing, or the name of a stage and a number of pieces. Leaves: a table, or what a
//! run under valgrind executes.
//!
//! ```text
//! instructions           count all stages, show them beside benches/instructions.toml
//! instructions --write   count all stages and write benches/instructions.toml
//! instructions --check   count all stages; exit code 1 if one differs by more than 3 %
//! instructions --work    do the work of all stages (what is run under valgrind)
//!
//! instructions --emulated QEMU PLUGIN PROGRAM
//!                        count all stages of PROGRAM, this program for another processor
//! instructions --stage NAME N
//!                        do N pieces of one stage's work (what is run under QEMU)
//! ```
//!
//! Valgrind collects inside of [`counted`] alone, so what prepares a stage is not in its count. It
//! executes the kernels for AVX2 and FMA, whatever else the processor has; on a processor without
//! them the counts are others and cannot be compared. QEMU counts whole programs
//! (`emulated/count.c`): a count is the difference between a run of many pieces and a run of few.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use benches::{STAGES, Stage, n_pieces};

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
        ["--work"] => {
            work();
            Ok(true)
        }
        ["--emulated", qemu, plugin, program] => emulated(qemu, plugin, program).map(|()| true),
        ["--stage", name, n] => stage(name, n).map(|()| true),
        _ => {
            Err("usage: instructions [--check | --write | --work | --emulated QEMU PLUGIN PROGRAM | --stage NAME N]"
                .into())
        }
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

/// Does the work of all stages, one after the other.
fn work() {
    for named in STAGES {
        let (mut stage, n) = Stage::under_way(named);
        counted(&mut stage, n);
    }
}

/// Does `n` pieces of the work of the stage `name`.
fn stage(name: &str, n: &str) -> Outcome<()> {
    let n = n.parse().map_err(|e| format!("{n:?} is not a number of pieces: {e}"))?;
    let (_, prepare) =
        STAGES.into_iter().find(|(known, _)| *known == name).ok_or_else(|| format!("there is no stage {name:?}"))?;
    counted(&mut prepare(), n);
    Ok(())
}

/// Does `n` pieces of a stage's work. Valgrind knows this function by its name.
#[inline(never)]
fn counted(stage: &mut Stage, n: u64) {
    (0..n).for_each(|_| stage.step());
}

fn write() -> Outcome<bool> {
    let text = toml::to_string(&count()?).map_err(|e| e.to_string())?;
    std::fs::write(COMMITTED, format!("{HEADER}{text}")).map_err(|e| format!("{COMMITTED}: {e}"))?;
    println!("{COMMITTED} is written");
    Ok(true)
}

/// Shows the counts beside the committed ones. Returns whether all are within the tolerance.
fn compare() -> Outcome<bool> {
    let committed = committed()?;
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

fn committed() -> Outcome<Counts> {
    let text = std::fs::read_to_string(COMMITTED).map_err(|e| format!("{COMMITTED}: {e}"))?;
    toml::from_str(&text).map_err(|e| format!("{COMMITTED}: {e}"))
}

/// Shows the counts of `program`, emulated, beside those of this processor that are committed.
fn emulated(qemu: &str, plugin: &str, program: &str) -> Outcome<()> {
    let committed = committed()?;
    println!("{:<40} {:>12} {:>12} {:>8}", "stage", "x86-64", "emulated", "ratio");
    for (name, _) in STAGES {
        let (n_first, n) = n_pieces(name);
        let run = |n: u64| executed_emulated(qemu, plugin, program, name, n);
        let now = run(n_first + n)?.saturating_sub(run(n_first)?) / n;
        let x86 = committed.get(name).copied().unwrap_or_default();
        println!("{name:<40} {x86:>12} {now:>12} {:>8.2}", now as f64 / x86 as f64);
    }
    Ok(())
}

/// All instructions of an emulated run.
fn executed_emulated(qemu: &str, plugin: &str, program: &str, stage: &str, n: u64) -> Outcome<u64> {
    let mut command = Command::new(qemu);
    command.args(["-plugin", plugin, program, "--stage", stage, &n.to_string()]);
    let output = command.output().map_err(|e| format!("{qemu} (Debian package qemu-user) does not start: {e}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let n = log.lines().find_map(|line| line.strip_prefix("executed: ")).filter(|_| output.status.success());
    n.and_then(|n| n.parse().ok()).ok_or_else(|| format!("{stage}: {qemu} does not say how much was executed: {log}"))
}

/// Instructions of one piece, by stage.
fn count() -> Outcome<Counts> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let dump = folder.path().join("callgrind");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--toggle-collect=instructions::counted", "--dump-after=instructions::counted"]);
    command.arg(format!("--callgrind-out-file={}", dump.display())).arg(program).arg("--work");
    let output = command.output().map_err(|e| format!("valgrind (Debian package valgrind) does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr)));
    }
    STAGES
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            // Dumps are numbered from 1 on.
            let n = executed(&folder.path().join(format!("callgrind.{}", at + 1)))?;
            Ok(((*name).to_owned(), n / n_pieces(name).1))
        })
        .collect()
}

/// All instructions of a dump.
fn executed(dump: &Path) -> Outcome<u64> {
    let text = std::fs::read_to_string(dump).map_err(|e| format!("{}: {e}", dump.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).and_then(|n| n.trim().parse().ok());
    total.filter(|n| *n > 0).ok_or_else(|| format!("{}: valgrind does not say how much was executed", dump.display()))
}
