//! The options of a source: which of its channels, how loud, in which layout. Each option knows its
//! name and for which sources it is.

use super::raw::Layout;
use crate::mono::Channels;

/// How a source is to be heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceOptions {
    /// Whether a recording is read as fast as the machine can instead of in real time.
    pub fast: bool,
    /// What is in a raw stream.
    pub layout: Layout,
    /// Which channels are heard.
    pub channels: Channels,
    /// How much louder the sound is made, dB.
    pub gain_db: f32,
    /// Whether a pipe's sound comes as it happens; if absent, its pace shows it.
    pub live: Option<bool>,
}

impl SourceOptions {
    /// What the samples are multiplied by.
    pub fn gain(&self) -> f32 {
        10.0_f32.powf(self.gain_db / 20.0)
    }
}

/// An option of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceOption {
    /// Which of the machine's microphones.
    Device,
    /// Faster than real time.
    Fast,
    /// The layout of raw samples: rate, format, number of channels.
    Layout,
    /// Which channels.
    Channels,
    /// How much louder.
    Gain,
    /// Whether a pipe is live.
    Live,
}

impl SourceOption {
    /// How it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            SourceOption::Device => "--device",
            SourceOption::Fast => "--fast",
            SourceOption::Layout => "--rate, --format, --raw-channels",
            SourceOption::Channels => "--channels",
            SourceOption::Gain => "--gain-db",
            SourceOption::Live => "--live",
        }
    }

    /// For which sources it is.
    pub fn purpose(self) -> &'static str {
        match self {
            SourceOption::Device => "only for the source mic",
            SourceOption::Fast => "only for the source file:PATH; a live source cannot be read faster than real time",
            SourceOption::Layout => "only for the sources stdin, exec:COMMAND and FIFOs, which deliver raw samples",
            SourceOption::Channels => "not for microcontrollers, which send one channel",
            SourceOption::Gain => "for any source",
            SourceOption::Live => {
                "only for the sources stdin and FIFOs; for other sources it is known whether they are live"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gain_is_in_decibels() {
        let gain = |gain_db| SourceOptions { gain_db, ..SourceOptions::default() }.gain();
        assert_eq!((gain(0.0), gain(20.0)), (1.0, 10.0));
        assert!((gain(-6.0206) - 0.5).abs() < 1e-5);
    }
}
