//! Lost frames and restarts, from the sequence numbers of those that arrive.

/// How a frame follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first frame since the start, since a hello or since a restart was noticed: nothing can
    /// be missing before it.
    First,
    /// The very next frame.
    Next,
    /// Frames are missing before this one.
    Gap {
        /// How many, 1-32767.
        lost: u16,
    },
}

/// Tracks the sequence numbers of one sender.
///
/// Numbers run modulo 65536. A number up to 32767 ahead of the expected one is a gap; anything
/// else, also a step back or the same number again, means that the sender has started again,
/// because a link neither reorders nor repeats frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequence {
    expected: Option<u16>,
    lost: u64,
    restarts: u32,
}

impl Sequence {
    /// A tracker that has seen nothing.
    pub const fn new() -> Self {
        Self { expected: None, lost: 0, restarts: 0 }
    }

    /// Takes the number of a frame that arrived.
    pub fn advance(&mut self, seq: u16) -> Step {
        let expected = self.expected.replace(seq.wrapping_add(1));
        match expected.map(|expected| seq.wrapping_sub(expected)) {
            None => Step::First,
            Some(0) => Step::Next,
            Some(lost) if lost < 0x8000 => {
                self.lost = self.lost.saturating_add(u64::from(lost));
                Step::Gap { lost }
            }
            Some(_) => {
                self.restarts = self.restarts.saturating_add(1);
                Step::First
            }
        }
    }

    /// The sender has announced that it starts again: the number that comes next is its first.
    /// Before any frame this changes nothing and counts as no restart.
    pub fn hello(&mut self) {
        if self.expected.take().is_some() {
            self.restarts = self.restarts.saturating_add(1);
        }
    }

    /// Frames missing in all; what was lost around a restart cannot be known and is not in it.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Times that the sender has started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(seqs: &[u16]) -> (Vec<Step>, Sequence) {
        let mut sequence = Sequence::new();
        (seqs.iter().map(|&seq| sequence.advance(seq)).collect(), sequence)
    }

    #[test]
    fn numbers_wrap_around_without_a_gap() {
        let (steps, sequence) = steps(&[65_534, 65_535, 0, 1]);
        assert_eq!(steps, [Step::First, Step::Next, Step::Next, Step::Next]);
        assert_eq!((sequence.lost(), sequence.restarts()), (0, 0));
    }

    #[test]
    fn gaps_are_counted_across_the_wrap() {
        let (steps, sequence) = steps(&[65_530, 65_533, 2]);
        assert_eq!(steps, [Step::First, Step::Gap { lost: 2 }, Step::Gap { lost: 4 }]);
        assert_eq!(sequence.lost(), 6);
    }

    #[test]
    fn a_jump_of_32768_is_a_restart_and_one_less_a_gap() {
        let (gap, _) = steps(&[9, 10 + 32_767]);
        assert_eq!(gap[1], Step::Gap { lost: 32_767 });
        for restart in [10 + 32_768, 9, 8, 0] {
            let (steps, sequence) = steps(&[9, restart, restart + 1]);
            assert_eq!(steps, [Step::First, Step::First, Step::Next]);
            assert_eq!((sequence.lost(), sequence.restarts()), (0, 1));
        }
    }

    #[test]
    fn a_hello_makes_the_next_number_the_first() {
        let mut sequence = Sequence::new();
        sequence.hello();
        assert_eq!(sequence.restarts(), 0);
        sequence.advance(5);
        sequence.hello();
        assert_eq!(sequence.advance(9), Step::First);
        assert_eq!((sequence.lost(), sequence.restarts()), (0, 1));
    }
}
