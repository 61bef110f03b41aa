//! What a terminal can show.

use std::env;
#[cfg(feature = "top")]
use std::str::FromStr;

/// Bars of eighths of a line.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same for a terminal with ASCII alone.
const MARKS: [char; 8] = ['.', ':', '-', '=', '+', 'o', 'O', '#'];

/// Which colours the user asks for.
#[cfg(feature = "top")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ColorChoice {
    /// What the terminal reports that it supports.
    #[default]
    Auto,
    Truecolor,
    Indexed,
    Never,
}

#[cfg(feature = "top")]
impl FromStr for ColorChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(ColorChoice::Auto),
            "truecolor" => Ok(ColorChoice::Truecolor),
            "256" => Ok(ColorChoice::Indexed),
            "never" => Ok(ColorChoice::Never),
            _ => Err(format!("expected auto, truecolor, 256 or never, actual {text:?}")),
        }
    }
}

/// Whether the terminal takes more than ASCII, by the locale (`LC_ALL`, `LC_CTYPE`, `LANG`, the
/// first that is set).
pub(super) fn has_blocks() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| env::var(name).ok());
    let locale = set.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A bar of one place for `n` of at most `most`: blank for none, and never blank for some.
pub(super) fn bar(n: u32, most: u32, blocks: bool) -> char {
    if n == 0 {
        return ' ';
    }
    let eighths = (f64::from(n) / f64::from(most.max(n)) * 8.0).round().clamp(1.0, 8.0) as usize;
    if blocks { BLOCKS[eighths - 1] } else { MARKS[eighths - 1] }
}
