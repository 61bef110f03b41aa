//! Which channels are heard, as it is written.

use std::fmt;
use std::str::FromStr;

/// Which channels of several are heard. Written as `mean`, `loudest`, `2` or `1,3`, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Channels {
    /// The mean of all.
    #[default]
    Mean,
    /// The mean of these, counted from 0, in rising order.
    Only(Vec<u16>),
    /// At any time the one that is loudest.
    Loudest,
}

impl Channels {
    /// The mean of the channels `numbers`, counted from 1.
    ///
    /// # Errors
    ///
    /// Why there can be no such channels.
    pub fn only(numbers: &[u16]) -> Result<Self, String> {
        let mut indices = Vec::new();
        for number in numbers {
            let index = number.checked_sub(1).ok_or("channels are counted from 1, so 0 is not a channel")?;
            if !indices.contains(&index) {
                indices.push(index);
            }
        }
        indices.sort_unstable();
        if indices.is_empty() { Err("the list names no channel".into()) } else { Ok(Channels::Only(indices)) }
    }

    /// The fewest channels that a device must have.
    #[cfg(feature = "mic")]
    pub(crate) fn n_least(&self) -> u16 {
        match self {
            Channels::Mean => 1,
            Channels::Only(indices) => indices.iter().max().map_or(1, |index| index + 1),
            // One of one is no choice.
            Channels::Loudest => 2,
        }
    }

    /// Refuses channels that a stream of `n_channels` does not have.
    ///
    /// # Errors
    ///
    /// Which channel is missing.
    pub(crate) fn check(&self, n_channels: usize) -> Result<(), String> {
        match self {
            Channels::Only(indices) => match indices.iter().find(|&&index| usize::from(index) >= n_channels) {
                Some(index) => {
                    Err(format!("channel {} is configured, but the source has {n_channels}", u32::from(*index) + 1))
                }
                None => Ok(()),
            },
            Channels::Mean | Channels::Loudest => Ok(()),
        }
    }
}

impl FromStr for Channels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Channels::Mean),
            "loudest" => Ok(Channels::Loudest),
            numbers => {
                let parsed: Result<Vec<u16>, _> = numbers.split(',').map(|number| number.trim().parse()).collect();
                Channels::only(&parsed.map_err(|_| {
                    format!("{text:?} is neither \"mean\", \"loudest\", a channel such as 1, nor several such as 1,3")
                })?)
            }
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channels::Mean => f.write_str("mean"),
            Channels::Loudest => f.write_str("loudest"),
            Channels::Only(indices) => {
                let numbers: Vec<String> = indices.iter().map(|index| (u32::from(*index) + 1).to_string()).collect();
                f.write_str(&numbers.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_written_as_they_are_read() {
        for text in ["mean", "loudest", "1", "2,4"] {
            assert_eq!(text.parse::<Channels>().unwrap().to_string(), text);
        }
        assert_eq!("3, 1,3".parse::<Channels>().unwrap(), Channels::Only(vec![0, 2]));
        for (text, reason) in
            [("0", "counted from 1"), ("", "is neither"), ("left", "\"left\" is neither"), ("1;2", "1;2")]
        {
            assert!(text.parse::<Channels>().unwrap_err().contains(reason), "{text}");
        }
        assert!(Channels::only(&[]).is_err());
    }

    #[test]
    fn a_channel_that_is_missing_is_named() {
        let channels: Channels = "1,3".parse().unwrap();
        assert_eq!(channels.check(3), Ok(()));
        assert_eq!(channels.check(2).unwrap_err(), "channel 3 is configured, but the source has 2");
    }
}
