//! Claim: no stage executes more than 3 % more or fewer instructions than
//! `benches/instructions.toml` says. Needs the Debian package valgrind.

use std::process::Command;

#[test]
fn no_stage_has_become_dearer_unnoticed() {
    if !has_avx2() {
        eprintln!("not compared: the committed counts are those of x86-64 processors with AVX2 and FMA");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_instructions")).arg("--check").output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}", env!("CARGO_BIN_EXE_instructions")));
    let [table, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    println!("{table}");
    assert!(output.status.success(), "{table}{errors}");
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}
