//! Everything that is wrong with a table of segments and its audio.
//!
//! Enters: a table and the place of its audio. Leaves: an error per row or recording, where opening
//! the same as a [`SegmentSet`](super::SegmentSet) ends at the first one.

use super::folder::Folder;
use super::hdf5::Hdf5;
use super::{Segment, annotations, clips};
use crate::data::csv::read_rows;
use crate::error::Error;
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// What is wrong with the table of clips at `csv`, or of background, and with the recordings in
/// `folder`, if that is there.
pub fn clips(
    csv: &Path,
    folder: Option<&Path>,
    background: bool,
    frontend: &FrontendConfig,
    max_bytes: usize,
) -> Vec<Error> {
    let rows = match read_rows(csv, folder, background) {
        Ok(rows) => rows,
        Err(error) => return vec![error],
    };
    let (mut sound, mut problems) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok(row) => sound.push(row),
            Err(error) => problems.push(error),
        }
    }
    if folder.is_some() {
        let decoded = clips::decode(csv, sound, frontend, max_bytes);
        problems.extend(decoded.segments.into_iter().filter_map(Result::err));
    }
    problems
}

/// What is wrong with the annotations at `csv` and with their `audio`, an HDF5 file or a folder, if
/// that is there. A recording that is missing or damaged is named once, with its first row.
pub fn annotated(
    csv: &Path,
    audio: Option<&Path>,
    frontend: &FrontendConfig,
    n_classes: usize,
    max_bytes: usize,
) -> Vec<Error> {
    let (rows, labels) = match annotations::read_rows(csv, frontend.sample_rate, Some(n_classes)) {
        Ok(read) => read,
        Err(error) => return vec![error],
    };
    let (mut problems, mut recordings) = (Vec::new(), BTreeMap::<String, Vec<Segment>>::new());
    for row in rows {
        match row {
            Ok(segment) => recordings.entry(segment.recording.clone()).or_default().push(segment),
            Err(error) => problems.push(error),
        }
    }
    problems.extend(labels.err());
    let Some(audio) = audio else { return problems };
    let lengths: Vec<Result<u64, String>> = match lengths(audio, &recordings, frontend, max_bytes) {
        Ok(lengths) => lengths,
        Err(error) => {
            problems.push(error);
            return problems;
        }
    };
    for ((recording, segments), length) in recordings.iter().zip(lengths) {
        match length {
            Err(message) => {
                let more = match segments.len() {
                    1 => String::new(),
                    n => format!(", which {} more rows name", n - 1),
                };
                let message = format!("video_id: {message}{more}");
                problems.push(Error::input(csv, Some(segments[0].line), message));
            }
            Ok(n) => problems.extend(segments.iter().filter(|s| s.start >= n).map(|segment| {
                let (id, start) = (&segment.annotation_id, segment.start);
                let message = format!(
                    "start_timestamp: segment {id} begins at sample {start}, but {recording} in {} has only {n}",
                    audio.display()
                );
                Error::input(csv, Some(segment.line), message)
            })),
        }
    }
    problems
}

/// Samples of each recording, or what is wrong with it.
fn lengths(
    audio: &Path,
    recordings: &BTreeMap<String, Vec<Segment>>,
    frontend: &FrontendConfig,
    max_bytes: usize,
) -> Result<Vec<Result<u64, String>>, Error> {
    if !audio.is_dir() {
        let mut file = Hdf5::open(audio).map_err(|message| Error::input(audio, None, message))?;
        return Ok(recordings.keys().map(|recording| file.look_up(recording)).collect());
    }
    let paths = Folder::list(audio).map_err(Error::io(audio))?;
    let folder = Folder::new(paths, frontend.sample_rate, max_bytes);
    let bar = crate::common::progress::bar(recordings.len() as u64, "recordings");
    let length = |recording: &String| {
        bar.inc(1);
        match folder.path(recording) {
            None => Err(format!("{} has no {recording}.wav, .flac, .ogg or .mp3", audio.display())),
            Some(_) => folder.samples(recording).map(|samples| samples.len() as u64),
        }
    };
    let names: Vec<&String> = recordings.keys().collect();
    let lengths = names.into_par_iter().map(length).collect();
    bar.finish_and_clear();
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(path: &Path, n_samples: u32) {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 24_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        (0..n_samples).for_each(|i| writer.write_sample((i % 100) as i16).unwrap());
        writer.finalize().unwrap();
    }

    fn messages(errors: &[Error]) -> String {
        errors.iter().map(|e| e.to_string() + "\n").collect()
    }

    #[test]
    fn every_wrong_clip_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, csv) = (folder.path(), folder.path().join("t.csv"));
        wav(&folder.join("a.wav"), 2400);
        std::fs::write(folder.join("b.wav"), b"no sound").unwrap();
        let rows = "a.wav,dog,1,s\nb.wav,dog,1,s\nc.wav,dog,1,s\na.wav,dog,none,s\na.wav,cat,2,t\n";
        std::fs::write(&csv, format!("file,label,fold,source_id\n{rows}")).unwrap();
        let frontend = FrontendConfig::student();
        let found = messages(&clips(&csv, Some(folder), false, &frontend, 1 << 20));
        assert_eq!(found.lines().count(), 4, "{found}");
        for part in ["t.csv:3: ", "t.csv:4: file", "t.csv:5: fold", "t.csv:6: file: another clip named \"a\""] {
            assert!(found.contains(part), "{part} is not in {found}");
        }
        let table_alone = messages(&clips(&csv, None, false, &frontend, 1 << 20));
        assert!(table_alone.contains("t.csv:5: fold") && table_alone.lines().count() == 1, "{table_alone}");
    }

    #[test]
    fn every_wrong_annotation_is_named_and_a_recording_once() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, csv) = (folder.path(), folder.path().join("t.csv"));
        wav(&folder.join("v.wav"), 48_000);
        let head = "annotation_id,video_id,start_timestamp,stop_timestamp,class,class_id\n";
        let rows = "a,v,00:00:00.000,00:00:01.000,x,0\nb,v,00:00:02.000,00:00:03.000,x,0\n\
                    c,w,00:00:00.000,00:00:01.000,x,0\nd,w,00:00:00.000,00:00:01.000,x,0\n\
                    e,v,00:00:01.000,00:00:01.000,x,0\nf,v,00:00:00.000,00:00:01.000,y,9\n";
        std::fs::write(&csv, format!("{head}{rows}")).unwrap();
        let found = messages(&annotated(&csv, Some(folder), &FrontendConfig::epic_sounds(), 3, 1 << 20));
        assert_eq!(found.lines().count(), 4, "{found}");
        let parts = [
            "t.csv:3: start_timestamp: segment b begins at sample 48000",
            "t.csv:4: video_id: ",
            "which 1 more rows name",
            "t.csv:6: stop_timestamp",
            "t.csv:7: class_id: 9 is unknown",
        ];
        for part in parts {
            assert!(found.contains(part), "{part} is not in {found}");
        }
        assert!(annotated(&csv, None, &FrontendConfig::epic_sounds(), 3, 1 << 20).len() == 2);
    }
}
