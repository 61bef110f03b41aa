//! Claim: whatever fails around the daemon, it continues, loses no event and leaves none open. Two
//! hours of sound here, a day with `make soak`. Needs the Debian package mosquitto.

#[test]
fn two_hours_of_sound_and_faults() {
    let report = tests::soak::live(2.0, 1, |_| {});
    let n_faults: u32 = report.faults.values().sum();
    assert!(n_faults >= 10 && report.n_reported > 100, "{:#}", report.to_json());
    assert_eq!((report.n_lost, report.n_invented, report.n_open), (0, 0, 0), "{:#}", report.to_json());
}
