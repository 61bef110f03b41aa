//! `make soak`: a day of sound and faults for the real daemon. Usage: soak [HOURS] [SEED]
//! [SECONDS]; the house is lived in for as many seconds at least.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: f64| arguments.next().map_or(Ok(default), |text| text.parse::<f64>());
    let (Ok(hours), Ok(seed), Ok(least_s)) = (next(24.0), next(1.0), next(600.0)) else {
        eprintln!("usage: soak [HOURS] [SEED] [SECONDS]");
        return ExitCode::from(2);
    };
    let report = tests::soak::live(hours, least_s, seed as u64, |hours| eprintln!("{hours:5.1} hours of sound"));
    println!("{:#}", report.to_json());
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
