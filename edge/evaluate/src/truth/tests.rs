//! Reading truth.

use std::fs;

use super::*;
use crate::testing::sound;

const NOISE: usize = 1;
const TONE: usize = 2;

/// That of the labels background, noise and tone.
fn manifest() -> Manifest {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny/manifest.toml");
    Manifest::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read(text: &str, unknown: UnknownLabels) -> Result<Truth> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.csv");
    fs::write(&path, text).unwrap();
    truth(&path, &manifest(), unknown)
}

#[test]
fn truth_is_read_in_the_order_of_time() {
    let text =
        "\u{feff}label, note ,offset_s,onset_s\r\ntone,a,3.5,2\r\nnoise,\"b, c\", 1.25 ,0\r\nbackground,,9,8\r\n";
    let expected = Truth { sounds: vec![sound(NOISE, 0.0, 1.25), sound(TONE, 2.0, 3.5)], unknown: BTreeMap::new() };
    assert_eq!(read(text, UnknownLabels::Refuse).unwrap(), expected);
    assert_eq!(read("onset_s,offset_s,label\n", UnknownLabels::Refuse).unwrap(), Truth::default());
}

#[test]
fn truth_ends_with_its_recording() {
    let sounds = read("onset_s,offset_s,label\n1,2,tone\n3,5,tone\n", UnknownLabels::Refuse).unwrap();
    let path = Path::new("scene.csv");
    assert_eq!(sounds.clone().within(4.0, path).unwrap().sounds, [sound(TONE, 1.0, 2.0), sound(TONE, 3.0, 4.0)]);
    let refusal = sounds.within(3.0, path).unwrap_err().to_string();
    assert_eq!(refusal, "scene.csv: onset_s: a sound begins at 3 s, the recording ends at 3 s");
}

#[test]
fn unknown_labels_are_refused_or_counted() {
    let text = "onset_s,offset_s,label\n1,2,tone\n2,3,kettle\n3,4,bell\n4,5,kettle\n";
    let refusal = read(text, UnknownLabels::Refuse).unwrap_err().to_string();
    assert!(refusal.ends_with("scene.csv:3: label: the model tiny has no label \"bell\", \"kettle\""), "{refusal}");
    let read = read(text, UnknownLabels::LeaveOut).unwrap();
    assert_eq!(read.sounds, [sound(TONE, 1.0, 2.0)]);
    assert_eq!(read.unknown, BTreeMap::from([("bell".to_string(), 1), ("kettle".to_string(), 2)]));
}

#[test]
fn truth_that_makes_no_sense_is_refused_with_its_place() {
    let cases = [
        ("", ":1: onset_s: column is missing; there is \"\""),
        ("time;what\n", ":1: onset_s: column is missing; there is \"time;what\""),
        ("onset_s,offset_s\n1,2\n", ":1: label: column is missing; there is \"onset_s,offset_s\""),
        (
            "onset_s,offset_s,label\n1,2,tone\n1,x,tone\n",
            ":3: offset_s: expected seconds from the recording's start, actual \"x\"",
        ),
        (
            "onset_s,offset_s,label\n-1,2,tone\n",
            ":2: onset_s: expected seconds from the recording's start, actual \"-1\"",
        ),
        (
            "onset_s,offset_s,label\n1,inf,tone\n",
            ":2: offset_s: expected seconds from the recording's start, actual \"inf\"",
        ),
        ("onset_s,offset_s,label\n3,2,tone\n", ":2: offset_s: expected above onset_s (3), actual 2"),
        ("onset_s,offset_s,label\n2,2,tone\n", ":2: offset_s: expected above onset_s (2), actual 2"),
        ("onset_s,offset_s,label\n1,2\n", ":2: expected 3 values as in the header, actual 2"),
    ];
    for (text, end) in cases {
        let error = read(text, UnknownLabels::Refuse).unwrap_err().to_string();
        let error = error.strip_suffix(&format!(": {}", form::EXAMPLE)).unwrap_or(&error);
        assert!(error.ends_with(&format!("scene.csv{end}")), "{error}");
    }
    let missing = truth(Path::new("/no/such.csv"), &manifest(), UnknownLabels::Refuse).unwrap_err();
    assert!(matches!(missing, Error::Truth { .. }) && missing.to_string().starts_with("/no/such.csv: No such file"));
}

#[test]
fn other_programs_tables_and_label_tracks_are_read() {
    let expected = [sound(NOISE, 0.5, 1.25), sound(TONE, 2.0, 3.5)];
    for text in [
        "Onset_s;Offset_s;Label\n0,5;1,25;noise\n2;3,5;tone\n",
        "filename\tonset\toffset\tevent_label\na.wav\t0.5\t1.25\tnoise\na.wav\t2\t3.5\ttone\n",
        "START,END,CLASS\n0.5,1.25,noise\n2,3.5,tone\n",
        "0.500000\t1.250000\tnoise\n\\\t100.0\t2000.0\n2.000000\t3.500000\ttone\n",
        "2.0\t3.5\ttone\n0.5\t1.25\tnoise\n\n",
    ] {
        assert_eq!(read(text, UnknownLabels::Refuse).unwrap().sounds, expected, "{text:?}");
    }
}
