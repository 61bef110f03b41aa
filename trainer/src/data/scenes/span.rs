//! A range that a value is drawn from, as a user writes it: `10` or `5..20`.

use rand::Rng as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

use crate::common::random::Rng;

/// From `low` to `high`, which may be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Span {
    /// From `low` to `high`.
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// One value.
    pub const fn only(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// A uniform draw.
    pub fn draw(&self, rng: &mut Rng) -> f64 {
        self.low + (self.high - self.low) * rng.random::<f64>()
    }

    /// A draw that is uniform on a logarithmic scale; the range must be above zero.
    pub fn draw_log(&self, rng: &mut Rng) -> f64 {
        self.low * (self.high / self.low).powf(rng.random::<f64>())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high { write!(f, "{}", self.low) } else { write!(f, "{}..{}", self.low, self.high) }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        let ends = match text.split_once("..") {
            Some((low, high)) => number(low).zip(number(high)),
            None => number(text).map(|value| (value, value)),
        };
        let (low, high) = ends.ok_or_else(|| format!("expected a number or a range such as 5..20, got {text:?}"))?;
        if low > high {
            return Err(format!("the range {text} ends below its start"));
        }
        Ok(Self { low, high })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.low, self.high].serialize(serializer)
    }
}

/// A number, or `[low, high]`.
impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a number or [low, high]")]
        enum Form {
            Only(f64),
            Range([f64; 2]),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Only(value) => Self::only(value),
            Form::Range([low, high]) => Self { low, high },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};

    #[test]
    fn ranges_are_read_and_printed() {
        assert_eq!("5..20".parse(), Ok(Span::new(5.0, 20.0)));
        assert_eq!("-65..-50".parse(), Ok(Span::new(-65.0, -50.0)));
        assert_eq!("10".parse(), Ok(Span::only(10.0)));
        assert_eq!(Span::new(0.2, 0.6).to_string(), "0.2..0.6");
        for text in ["", "a", "1..", "..2", "5..b", "nan", "1..inf"] {
            assert!(text.parse::<Span>().unwrap_err().contains("expected a number"), "{text}");
        }
        assert!("20..5".parse::<Span>().unwrap_err().contains("ends below its start"));
    }

    #[test]
    fn draws_stay_inside() {
        let mut rng = rng_for(1, Purpose::Composition, 0);
        for _ in 0..1000 {
            assert!((5.0..=20.0).contains(&Span::new(5.0, 20.0).draw(&mut rng)));
            assert!((0.5..=4.000_001).contains(&Span::new(0.5, 4.0).draw_log(&mut rng)));
            assert_eq!(Span::only(3.0).draw(&mut rng), 3.0);
        }
    }
}
