//! What parsers say about a value, in words for people: types of this program's source leave the
//! sentence.

/// Names of types in messages of serde and of the TOML parser, and what is meant.
const TYPES: [(&str, &str); 16] = [
    ("a borrowed string", "text in quotes"),
    ("a string", "text in quotes"),
    ("a sequence", "a list in brackets"),
    ("a boolean", "true or false"),
    ("a map", "a section"),
    ("path string", "text in quotes"),
    ("usize", "a whole number, at least 0"),
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, at least 0"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("an integer", "a whole number"),
];

/// `message` with what is expected in words.
pub(crate) fn plain(message: &str) -> String {
    let Some((before, expected)) = message.rsplit_once("expected ") else { return message.to_string() };
    let end = expected.find([',', ';', '\n']).unwrap_or(expected.len());
    let (what, rest) = expected.split_at(end);
    let what = match what.split_once(' ') {
        // `expected struct DecideSection`: a value where a table of keys belongs.
        Some(("struct" | "enum", _)) => "a section",
        _ => TYPES.iter().find(|(name, _)| *name == what.trim_end()).map_or(what, |(_, words)| words),
    };
    format!("{before}expected {what}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_of_the_source_is_named() {
        let cases = [
            (
                "invalid type: integer `3`, expected struct DecideSection",
                "invalid type: integer `3`, expected a section",
            ),
            (
                "invalid value: integer `-1`, expected u16",
                "invalid value: integer `-1`, expected a whole number from 0 to 65535",
            ),
            ("invalid type: string \"a\", expected f32", "invalid type: string \"a\", expected a number"),
            (
                "invalid type: string \"a\", expected a sequence\n",
                "invalid type: string \"a\", expected a list in brackets\n",
            ),
            ("unknown field `x`, expected one of `a`, `b`", "unknown field `x`, expected one of `a`, `b`"),
            ("expected a score above 0, at most 1, actual 1.5", "expected a score above 0, at most 1, actual 1.5"),
            ("duplicate key", "duplicate key"),
        ];
        for (message, words) in cases {
            assert_eq!(plain(message), words);
        }
    }
}
