//! Claim: conversion to 24 kHz rejects aliases by at least 80 dB and keeps the pass band flat to
//! 0.1 dB.

#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;

use edge_frontend::resample;

const TO_HZ: u32 = 24_000;
/// Up to here the pass band is flat; above 12 kHz nothing may come through. The filter falls in
/// between.
const PASS_HZ: f64 = 11_000.0;

fn level_db(samples: &[f32]) -> f64 {
    let power = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / samples.len() as f64;
    10.0 * power.log10()
}

/// Level of a converted sine of `hz` against the original, edges left out.
fn gain_db(from_hz: u32, hz: f64) -> f64 {
    let tone: Vec<f32> =
        (0..from_hz).map(|n| (0.5 * (TAU * hz * f64::from(n) / f64::from(from_hz)).sin()) as f32).collect();
    let converted = resample(from_hz, TO_HZ, &tone).unwrap();
    level_db(&converted[2_400..21_600]) - level_db(&tone)
}

#[test]
fn aliases_are_rejected_by_80_db() {
    for from_hz in [48_000, 44_100] {
        let top = f64::from(from_hz) / 2.0;
        let tones = (0..).map(|i| 12_000.0 + 93.7 * f64::from(i)).take_while(|&hz| hz < top);
        let (hz, worst) = tones.map(|hz| (hz, gain_db(from_hz, hz))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        println!("{from_hz} to {TO_HZ}: strongest alias {worst:.1} dB, of {hz:.0} Hz");
        assert!(worst <= -80.0, "{from_hz}: {worst} dB at {hz} Hz");
    }
}

#[test]
fn the_pass_band_ripples_by_less_than_a_tenth_of_a_decibel() {
    for from_hz in [48_000, 44_100] {
        let tones = (0..).map(|i| 20.0 + 97.3 * f64::from(i)).take_while(|&hz| hz < PASS_HZ);
        let (hz, worst) =
            tones.map(|hz| (hz, gain_db(from_hz, hz))).max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap();
        println!("{from_hz} to {TO_HZ}: largest ripple {worst:.4} dB, at {hz:.0} Hz");
        assert!(worst.abs() < 0.1, "{from_hz}: {worst} dB at {hz} Hz");
    }
}
