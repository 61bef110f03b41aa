//! `make soak`: a day of sound and faults for the real daemon. Usage: soak [HOURS] [SEED]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: f64| arguments.next().map_or(Ok(default), |text| text.parse::<f64>());
    let (Ok(hours), Ok(seed)) = (next(24.0), next(1.0)) else {
        eprintln!("usage: soak [HOURS] [SEED]");
        return ExitCode::from(2);
    };
    let report = tests::soak::live(hours, seed as u64, |hours| eprintln!("{hours:5.1} hours of sound"));
    println!("{:#}", report.to_json());
    let whole = report.n_lost == 0 && report.n_invented == 0 && report.n_open == 0 && report.growth_kib() < 1024;
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
