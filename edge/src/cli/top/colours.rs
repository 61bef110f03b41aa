//! Colours of the spectrogram: how loud it is enters, what a place of the terminal shows leaves.

use std::env;

use ratatui::style::Color;

use crate::cli::screen::ColorChoice;

/// From nothing to the loudest, from dark to light, so that it is read without colour vision, too.
const ANCHORS: [(u8, u8, u8); 6] =
    [(0, 0, 8), (40, 11, 84), (120, 28, 109), (188, 55, 84), (237, 105, 37), (252, 255, 164)];

/// The same without colours.
const RAMP: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '%', '#', '@'];

/// What the terminal can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColourDepth {
    Truecolor,
    Indexed,
    None,
}

/// Colours and characters of a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colours {
    pub(super) depth: ColourDepth,
    /// Whether there are more characters than those of ASCII.
    pub(super) has_blocks: bool,
}

impl Colours {
    pub(super) fn of_terminal(choice: ColorChoice, has_blocks: bool) -> Self {
        let depth = match choice {
            ColorChoice::Auto => depth(|name| env::var(name).ok()),
            ColorChoice::Truecolor => ColourDepth::Truecolor,
            ColorChoice::Indexed => ColourDepth::Indexed,
            ColorChoice::Never => ColourDepth::None,
        };
        Colours { depth, has_blocks }
    }

    /// The colour of a loudness in [0, 1].
    pub(super) fn of(self, loudness: f32) -> Color {
        let (r, g, b) = blend(loudness);
        match self.depth {
            ColourDepth::Truecolor => Color::Rgb(r, g, b),
            ColourDepth::Indexed => Color::Indexed(indexed(r, g, b)),
            ColourDepth::None => Color::Reset,
        }
    }

    /// The character of a loudness in [0, 1], for a terminal without colours.
    pub(super) fn character(loudness: f32) -> char {
        RAMP[(loudness.clamp(0.0, 1.0) * (RAMP.len() - 1) as f32).round() as usize]
    }
}

/// From the environment variables that terminals set. NO_COLOR: <https://no-color.org>
fn depth(variable: impl Fn(&str) -> Option<String>) -> ColourDepth {
    let value = |name: &str| variable(name).unwrap_or_default();
    let (term, color_term) = (value("TERM"), value("COLORTERM"));
    if !value("NO_COLOR").is_empty() || term.is_empty() || ["dumb", "vt100", "vt220"].contains(&term.as_str()) {
        ColourDepth::None
    } else if color_term == "truecolor" || color_term == "24bit" || term.ends_with("-direct") {
        ColourDepth::Truecolor
    } else {
        ColourDepth::Indexed
    }
}

fn blend(loudness: f32) -> (u8, u8, u8) {
    let place = loudness.clamp(0.0, 1.0) * (ANCHORS.len() - 1) as f32;
    let at = (place as usize).min(ANCHORS.len() - 2);
    let share = place - at as f32;
    let (from, to) = (ANCHORS[at], ANCHORS[at + 1]);
    let mix = |from: u8, to: u8| (f32::from(from) + (f32::from(to) - f32::from(from)) * share).round() as u8;
    (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// The nearest of the 216 colours of xterm's cube, whose levels are 0, 95, 135, 175, 215 and 255.
fn indexed(r: u8, g: u8, b: u8) -> u8 {
    let level = |value: u8| match value {
        0..48 => 0,
        48..115 => 1,
        value => (value - 35) / 40,
    };
    16 + 36 * level(r) + 6 * level(g) + level(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_say_what_they_can() {
        let of = |variables: &[(&str, &str)]| {
            depth(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(of(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), ColourDepth::Truecolor);
        assert_eq!(of(&[("TERM", "xterm-256color")]), ColourDepth::Indexed);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), ColourDepth::None);
        assert_eq!((of(&[("TERM", "dumb")]), of(&[])), (ColourDepth::None, ColourDepth::None));
    }

    #[test]
    fn louder_is_lighter() {
        let light = |(r, g, b): (u8, u8, u8)| 2 * u32::from(r) + 5 * u32::from(g) + u32::from(b);
        let steps: Vec<u32> = (0..=20).map(|step| light(blend(step as f32 / 20.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{steps:?}");
        assert_eq!((indexed(0, 0, 0), indexed(255, 255, 255), indexed(95, 135, 175)), (16, 231, 16 + 36 + 12 + 3));
    }
}
