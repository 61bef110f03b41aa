//! Annotations in the form of EPIC-SOUNDS.
//!
//! Enters: a CSV file with the columns `annotation_id`, `video_id`, `start_timestamp`,
//! `stop_timestamp` and, but for the test set, `class` and `class_id`; others are ignored, the
//! sample columns too. Leaves: checked segments and the names of the classes. Every error names the
//! file, the line and the field.

use super::Segment;
use crate::data::csv::{csv_error, read_text};
use crate::error::Error;
use csv::StringRecord;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Reads the annotations at `csv` into segments of a recording of `sample_rate`, and the names of
/// classes by id. Ids are below `n_classes`, and one that no row has is named after its number;
/// without `n_classes`, the ids in the file have no gaps.
///
/// # Errors
///
/// If the table cannot be read, lacks a column or is empty; a timestamp is no `HH:MM:SS.mmm`; a
/// segment is empty; an `annotation_id` occurs twice; a `class_id` is unknown, or stands for
/// another class in another row.
pub fn read(csv: &Path, sample_rate: u32, n_classes: Option<usize>) -> Result<(Vec<Segment>, Vec<String>), Error> {
    let (segments, labels) = read_rows(csv, sample_rate, n_classes)?;
    Ok((segments.into_iter().collect::<Result<_, _>>()?, labels?))
}

/// Rows, each checked against those before it, and the names of the classes.
pub type Rows = (Vec<Result<Segment, Error>>, Result<Vec<String>, Error>);

/// The rows of [`read`], the wrong ones among them.
///
/// # Errors
///
/// If the table cannot be read, lacks a column or is empty.
pub fn read_rows(csv: &Path, sample_rate: u32, n_classes: Option<usize>) -> Result<Rows, Error> {
    let text = read_text(csv)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| csv_error(csv, &e))?.clone();
    let columns = Columns::find(&header).map_err(|message| Error::input(csv, Some(1), message))?;
    let mut classes = Classes { n_classes, ..Classes::default() };
    let mut lines: HashMap<String, usize> = HashMap::new();
    let mut read = |record: csv::Result<StringRecord>| {
        let record = record.map_err(|e| csv_error(csv, &e))?;
        let line = record.position().map_or(0, |p| p.line() as usize);
        let at_line = |message| Error::input(csv, Some(line), message);
        let segment = columns.segment(&record, line, sample_rate, &mut classes).map_err(at_line)?;
        match lines.insert(segment.annotation_id.clone(), line) {
            Some(other) => Err(at_line(format!("annotation_id: {:?} is in line {other} too", segment.annotation_id))),
            None => Ok(segment),
        }
    };
    let segments: Vec<_> = reader.records().map(&mut read).collect();
    if segments.is_empty() {
        return Err(Error::input(csv, None, "table has no rows"));
    }
    let labels = match columns.class {
        None => Ok(Vec::new()),
        Some(_) => classes.labels().map_err(|message| Error::input(csv, None, message)),
    };
    Ok((segments, labels))
}

struct Columns {
    annotation_id: usize,
    video_id: usize,
    start: usize,
    stop: usize,
    /// Of `class` and `class_id`.
    class: Option<(usize, usize)>,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, String> {
        let find = |name: &str| header.iter().position(|h| h == name);
        let column = |name| find(name).ok_or_else(|| format!("column {name:?} is missing"));
        let class = match (find("class"), find("class_id")) {
            (None, None) => None,
            _ => Some((column("class")?, column("class_id")?)),
        };
        Ok(Self {
            annotation_id: column("annotation_id")?,
            video_id: column("video_id")?,
            start: column("start_timestamp")?,
            stop: column("stop_timestamp")?,
            class,
        })
    }

    fn segment(
        &self,
        record: &StringRecord,
        line: usize,
        sample_rate: u32,
        classes: &mut Classes,
    ) -> Result<Segment, String> {
        let field = |at: usize, name: &str| match record.get(at) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(format!("{name} is empty")),
        };
        let sample = |at: usize, name: &str| {
            let text = field(at, name)?;
            let (seconds, ms) =
                timestamp(text).ok_or_else(|| format!("{name}: {text:?} is not a time of the form HH:MM:SS.mmm"))?;
            Ok::<_, String>(to_sample(seconds, ms, sample_rate))
        };
        let annotation_id = field(self.annotation_id, "annotation_id")?.to_owned();
        let recording = field(self.video_id, "video_id")?.to_owned();
        let (start, stop) = (sample(self.start, "start_timestamp")?, sample(self.stop, "stop_timestamp")?);
        if stop <= start {
            let (from, to) = (field(self.start, "start_timestamp")?, field(self.stop, "stop_timestamp")?);
            return Err(format!(
                "stop_timestamp: segment {annotation_id} is empty: it starts at {from} and stops at {to}"
            ));
        }
        let class = match self.class {
            None => None,
            Some((name, id)) => Some(classes.add(field(name, "class")?, field(id, "class_id")?, line)?),
        };
        let source = recording.clone();
        Ok(Segment { annotation_id, recording, start, stop, class, fold: 0, source, line })
    }
}

/// Whole seconds and milliseconds of `HH:MM:SS.mmm`.
fn timestamp(text: &str) -> Option<(u64, u64)> {
    let digits = |part: &str, n: std::ops::RangeInclusive<usize>| {
        let sound = n.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| sound)
    };
    let (hours, rest) = text.split_once(':')?;
    let (minutes, rest) = rest.split_once(':')?;
    let (seconds, ms) = rest.split_once('.')?;
    let (hours, ms) = (digits(hours, 2..=6)?, digits(ms, 3..=3)?);
    let (minutes, seconds) = (digits(minutes, 2..=2)?, digits(seconds, 2..=2)?);
    (minutes < 60 && seconds < 60).then_some((hours * 3600 + minutes * 60 + seconds, ms))
}

/// The sample of a time, by the double-precision arithmetic of the official code: some come out one
/// below `ms * 24`.
fn to_sample(seconds: u64, ms: u64, sample_rate: u32) -> u64 {
    ((seconds as f64 + ms as f64 / 1000.0) * f64::from(sample_rate)) as u64
}

/// The classes seen so far: names by id and back, each with the line that had it first.
#[derive(Default)]
struct Classes {
    n_classes: Option<usize>,
    by_id: BTreeMap<usize, (String, usize)>,
    by_name: HashMap<String, (usize, usize)>,
}

impl Classes {
    fn add(&mut self, name: &str, id: &str, line: usize) -> Result<usize, String> {
        let number: usize = id.parse().map_err(|_| format!("class_id: {id:?} is not a whole number"))?;
        if let Some(n) = self.n_classes.filter(|n| number >= *n) {
            return Err(format!("class_id: {number} is unknown; there are {n} classes, from 0"));
        }
        let (known_name, first) = self.by_id.entry(number).or_insert_with(|| (name.to_owned(), line));
        if known_name != name {
            return Err(format!("class_id: {number} is {name:?} here, but {known_name:?} in line {first}"));
        }
        let (known_id, first) = *self.by_name.entry(name.to_owned()).or_insert((number, line));
        if known_id != number {
            return Err(format!("class: {name:?} has class_id {number} here, but {known_id} in line {first}"));
        }
        Ok(number)
    }

    fn labels(mut self) -> Result<Vec<String>, String> {
        let Some(n) = self.n_classes else {
            let gap = self.by_id.keys().enumerate().find(|(i, id)| i != *id);
            return match gap {
                Some((i, _)) => Err(format!("class_id: no row has {i}, but there are greater ones")),
                None => Ok(self.by_id.into_values().map(|(name, _)| name).collect()),
            };
        };
        let name = |id| self.by_id.remove(&id).map_or_else(|| format!("class {id}"), |(name, _)| name);
        Ok((0..n).map(name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "annotation_id,participant_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample,\
                        description,class,class_id\n";

    fn read_text(text: &str, n_classes: Option<usize>) -> Result<(Vec<Segment>, Vec<String>), Error> {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("t.csv");
        std::fs::write(&table, text).unwrap();
        read(&table, 24_000, n_classes)
    }

    fn message(rows: &str) -> String {
        read_text(&format!("{HEAD}{rows}"), Some(44)).unwrap_err().to_string()
    }

    /// A row of class `class` from 1 s to 2 s.
    fn row(id: &str, class: &str) -> String {
        format!("{id},P01,P01_11,00:00:01.000,00:00:02.000,0,0,\"a, b\",{class}\n")
    }

    #[test]
    fn rows_become_segments() {
        let text =
            format!("{HEAD}P01_11_0,P01,P01_11,00:00:01.017,01:02:03.500,7,8,\"clang, \nclatter\",rustle / x,1\n");
        let (segments, labels) = read_text(&(text + &row("z", "water,0")), Some(3)).unwrap();
        let first = &segments[0];
        assert_eq!((first.annotation_id.as_str(), first.recording.as_str()), ("P01_11_0", "P01_11"));
        // 1.017 * 24000 is 24407.999... in double precision.
        assert_eq!((first.start, first.stop), (24_407, 3723 * 24_000 + 12_000));
        assert_eq!((first.class, first.fold, first.source.as_str(), first.line), (Some(1), 0, "P01_11", 2));
        assert_eq!((segments[1].class, segments[1].line), (Some(0), 4));
        assert_eq!(labels, ["water", "rustle / x", "class 2"]);
        let test = "annotation_id,video_id,start_timestamp,stop_timestamp\na,v,00:00:00.000,00:00:00.001\n";
        let (segments, labels) = read_text(test, Some(44)).unwrap();
        assert_eq!((segments[0].class, segments[0].start, segments[0].stop), (None, 0, 24));
        assert!(labels.is_empty());
    }

    #[test]
    fn malformed_timestamps() {
        for bad in ["1.5", "00:00:01", "00:00:01.5", "00:00:01.0000", "00:60:00.000", "00:00:60.000", "00:00:-1.000"] {
            let text = message(&format!("a,P,V,{bad},00:00:02.000,0,0,d,c,0\n"));
            assert!(text.contains("t.csv:2: start_timestamp: "), "{text}");
            assert!(text.contains(bad), "{text}");
        }
        assert!(message("a,P,V,00:00:01.000,,0,0,d,c,0\n").contains("t.csv:2: stop_timestamp is empty"));
        assert!(message("a,P,V,00:00:01.000,99999999999999999999:00:00.000,0,0,d,c,0\n").contains("stop_timestamp"));
    }

    #[test]
    fn empty_segments() {
        for stop in ["00:00:01.000", "00:00:00.999"] {
            let text = message(&format!("a7,P,V,00:00:01.000,{stop},0,0,d,c,0\n"));
            assert!(text.contains("t.csv:2: stop_timestamp: segment a7 is empty"), "{text}");
        }
    }

    #[test]
    fn unknown_and_contradicting_classes() {
        let two = |a, b| message(&(row("a", a) + &row("b", b)));
        assert!(two("x,0", "y,44").contains("t.csv:3: class_id: 44 is unknown"));
        assert!(two("x,0", "y,-1").contains("t.csv:3: class_id: \"-1\" is not a whole number"));
        assert!(two("x,0", "y,").contains("t.csv:3: class_id is empty"));
        assert!(two("x,0", "y,0").contains("t.csv:3: class_id: 0 is \"y\" here, but \"x\" in line 2"));
        assert!(two("x,0", "x,1").contains("t.csv:3: class: \"x\" has class_id 1 here, but 0 in line 2"));
        let gap = read_text(&format!("{HEAD}{}{}", row("a", "x,0"), row("b", "y,2")), None);
        assert!(gap.unwrap_err().to_string().contains("class_id: no row has 1"));
        let whole = read_text(&format!("{HEAD}{}{}", row("a", "x,1"), row("b", "y,0")), None).unwrap();
        assert_eq!(whole.1, ["y", "x"]);
    }

    #[test]
    fn wrong_tables() {
        assert!(
            message(&(row("a", "x,0") + &row("b", "x,0") + &row("a", "x,0"))).contains("t.csv:4: annotation_id: \"a\"")
        );
        assert!(message("").contains("t.csv: table has no rows"));
        assert!(message("a,P\n").contains("t.csv:2"));
        assert!(message(&row("", "x,0")).contains("t.csv:2: annotation_id is empty"));
        let no_video = read_text("annotation_id,start_timestamp,stop_timestamp\n", None).unwrap_err().to_string();
        assert!(no_video.contains("t.csv:1: column \"video_id\" is missing"), "{no_video}");
        let half = read_text("annotation_id,video_id,start_timestamp,stop_timestamp,class\n", None).unwrap_err();
        assert!(half.to_string().contains("t.csv:1: column \"class_id\" is missing"));
        let absent = read(Path::new("/nowhere/t.csv"), 24_000, None).unwrap_err();
        assert!(
            absent.kind() == crate::error::ErrorKind::Usage
                && absent.to_string().contains("/nowhere/t.csv: table cannot be read")
        );
    }

    /// The official annotations, beside the repository; in CI their absence fails.
    fn official(name: &str) -> Option<std::path::PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/epic-sounds");
        let path = folder.join(name);
        if !path.exists() {
            assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
            eprintln!("{} is missing: not checked", path.display());
            return None;
        }
        Some(path)
    }

    #[test]
    fn official_validation_rows() {
        let Some(path) = official("EPIC_Sounds_validation.csv") else { return };
        let (segments, labels) = read(&path, 24_000, Some(44)).unwrap();
        assert_eq!((segments.len(), labels.len()), (8035, 44));
        assert_eq!((labels[13].as_str(), labels[34].as_str()), ("background", "ceramic / wood collision"));
        let of_class = |class| segments.iter().filter(|s| s.class == Some(class)).count();
        assert_eq!((of_class(0), of_class(43)), (1381, 3));
        assert_eq!(read(&path, 24_000, None).unwrap(), (segments.clone(), labels));

        // Against milliseconds times 24, in whole numbers.
        let mut table = csv::Reader::from_path(&path).unwrap();
        let exact = |text: &str| -> u64 {
            let (seconds, ms) = timestamp(text).unwrap();
            (seconds * 1000 + ms) * 24
        };
        let mut n_below = 0;
        for (record, segment) in table.records().zip(&segments) {
            let record = record.unwrap();
            let below = [exact(&record[3]) - segment.start, exact(&record[4]) - segment.stop];
            assert!(below.iter().all(|&b| b <= 1), "{}", segment.annotation_id);
            n_below += usize::from(below.contains(&1));
        }
        assert_eq!(n_below, 994);
        let mut lengths: Vec<u64> = segments.iter().map(|s| s.stop - s.start).collect();
        lengths.sort_unstable();
        let short = lengths.iter().filter(|&&n| n < 47_976).count();
        assert!((0.69..0.71).contains(&(short as f64 / 8035.0)), "{short}");
        assert_eq!(lengths[0], 4800);
    }

    #[test]
    fn official_test_rows() {
        let Some(path) = official("EPIC_Sounds_recognition_test_timestamps.csv") else { return };
        let (segments, labels) = read(&path, 24_000, Some(44)).unwrap();
        assert!(labels.is_empty() && segments.iter().all(|s| s.class.is_none()));
        let (first, last) = (&segments[0], segments.last().unwrap());
        assert_eq!((first.annotation_id.as_str(), first.recording.as_str()), ("P02_106_0", "P02_106"));
        assert_eq!((first.start, first.stop), (92_520, 99_408));
        assert_eq!(last.line, segments.len() + 1);
    }
}
