//! Claim: whatever fails around the daemon, it continues, loses no event and leaves none open. Two
//! hours of sound here and half a minute of a house with every kind of source, a day and ten
//! minutes with `make soak`. Needs the Debian packages ffmpeg and mosquitto.

#[test]
fn two_hours_of_sound_and_faults() {
    let report = tests::soak::live(2.0, 30.0, 1, |_| {});
    let n_faults: u32 = report.faults.values().sum();
    assert!(n_faults >= 10 && report.n_reported > 100, "{:#}", report.to_json());
    assert!(report.is_sound(), "{:#}", report.to_json());
}
