//! How a file of truth is written: which character separates its columns, and which column is
//! which.

/// What a file of truth looks like, for messages.
pub(super) const EXAMPLE: &str =
    "a file of truth begins with the line onset_s,offset_s,label and has lines such as 1.5,3.25,dog";

/// Other names of the columns, without the unit.
const NAMES: [(&str, &[&str]); 3] = [
    ("onset_s", &["onset_s", "onset", "start", "start_s", "begin", "begin_s", "from", "start_time", "onset_time"]),
    (
        "offset_s",
        &["offset_s", "offset", "end", "end_s", "stop", "stop_s", "to", "end_time", "offset_time", "stop_time"],
    ),
    ("label", &["label", "event_label", "class", "event", "sound", "name", "category", "tag", "label_name"]),
];

/// The way in which a file is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) delimiter: u8,
    pub(super) has_header: bool,
    /// The columns.
    pub(super) onset: usize,
    pub(super) offset: usize,
    pub(super) label: usize,
}

/// The text in `bytes`: UTF-8, or UTF-16 with its mark, as spreadsheets save it.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => String::from_utf16(&utf16(u16::from_le_bytes)).ok(),
        [0xfe, 0xff, ..] => String::from_utf16(&utf16(u16::from_be_bytes)).ok(),
        _ => std::str::from_utf8(bytes).ok().map(str::to_string),
    };
    let text = text.ok_or_else(|| format!("not UTF-8: save it as a text in that encoding; {EXAMPLE}"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_string())
}

impl Form {
    /// How `text` is written, by its first line.
    ///
    /// # Errors
    ///
    /// The column that is missing, and why.
    pub(super) fn of(text: &str) -> Result<Self, (&'static str, String)> {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let track = Form { delimiter: b'\t', has_header: false, onset: 0, offset: 1, label: 2 };
        let cells: Vec<&str> = first.split('\t').collect();
        if cells.len() >= 2 && cells[..2].iter().all(|cell| track.seconds(cell.trim()).is_ok()) {
            return Ok(track);
        }
        let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|delimiter| {
            // Of equals the comma.
            let n = first.bytes().filter(|byte| byte == delimiter).count();
            (n, *delimiter == b',')
        });
        let delimiter = delimiter.unwrap_or(b',');
        let header: Vec<String> = first
            .split(char::from(delimiter))
            .map(|cell| cell.trim().trim_matches('"').trim().to_lowercase().replace([' ', '-'], "_"))
            .map(|cell| {
                cell.replace("(s)", "s").replace("_(seconds)", "_s").replace("_seconds", "_s").replace("_sec", "_s")
            })
            .collect();
        let column = |(name, known): (&'static str, &[&str])| {
            // The first name that there is: `onset_s` goes before `start`.
            let found = known.iter().find_map(|known| header.iter().position(|cell| cell == known));
            found.ok_or_else(|| (name, format!("column is missing; there is {first:?}: {EXAMPLE}")))
        };
        let [onset, offset, label] = NAMES.map(column);
        Ok(Form { delimiter, has_header: true, onset: onset?, offset: offset?, label: label? })
    }

    /// Seconds as they are written, or what is not.
    pub(super) fn seconds(&self, text: &str) -> Result<f64, String> {
        let number = if self.delimiter == b',' { text.to_string() } else { text.replacen(',', ".", 1) };
        number.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0).ok_or_else(|| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_however_they_are_separated_and_spelt() {
        let form = |delimiter, columns: [usize; 3]| Form {
            delimiter,
            has_header: true,
            onset: columns[0],
            offset: columns[1],
            label: columns[2],
        };
        for (header, expected) in [
            ("onset_s,offset_s,label", form(b',', [0, 1, 2])),
            ("Label;Onset_s;Offset_s", form(b';', [1, 2, 0])),
            ("ONSET\tOFFSET\tLABEL", form(b'\t', [0, 1, 2])),
            ("filename\tonset\toffset\tevent_label", form(b'\t', [1, 2, 3])),
            ("\"Start (s)\",\"End (s)\",\"Class\"", form(b',', [0, 1, 2])),
            ("start;end;onset_s;offset_s;label", form(b';', [2, 3, 4])),
        ] {
            assert_eq!(Form::of(header), Ok(expected), "{header}");
        }
        let track = Form { delimiter: b'\t', has_header: false, onset: 0, offset: 1, label: 2 };
        assert_eq!(Form::of("1.500000\t3.250000\tdog\n\\\t100\t200\n"), Ok(track));
        for text in ["", "1.5 3.25 dog\n", "onset_s,label\n", "time,what\n"] {
            let (field, reason) = Form::of(text).unwrap_err();
            assert!(field.ends_with("_s") && reason.contains("onset_s,offset_s,label"), "{text}: {reason}");
        }
    }

    #[test]
    fn spreadsheets_have_encodings_and_decimals_of_their_own() {
        let utf16: Vec<u8> = "\u{feff}Müll".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&utf16), Ok("Müll".into()));
        assert!(text(b"M\xfcll").unwrap_err().contains("not UTF-8"));
        let semicolons = Form::of("onset_s;offset_s;label").unwrap();
        assert_eq!((semicolons.seconds("1,5"), semicolons.seconds("1.5")), (Ok(1.5), Ok(1.5)));
        assert!(semicolons.seconds("1,5,2").is_err() && semicolons.seconds("-1").is_err());
        assert!(Form::of("onset_s,offset_s,label").unwrap().seconds("1,5").is_err());
    }
}
