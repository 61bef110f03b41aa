//! The level gate: blocks of samples enter, and those leave that are worth sending, with a little
//! of what came before. For slow or metered links, and for batteries. On the thread of the
//! microphone; 9 instructions per sample on a Cortex-M4.
//!
//! A block waits until its fate is known: it is sent if one of the `PRE` blocks after it is loud,
//! so that the beginning of a sound, which is quieter than its middle, is not lost. The delay is
//! `PRE` blocks, while the gate is closed and while it is open.

/// What is to become of the next samples, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// To be sent: [`Node::capture`](crate::node::Node::capture).
    Send(&'a [i16]),
    /// This many samples are not worth sending: [`Node::skip`](crate::node::Node::skip).
    Skip(usize),
}

/// A gate for blocks of `N` samples that lets through `PRE` blocks before a loud one; `PRE` is 1 at
/// least.
#[derive(Debug)]
pub struct Gate<const N: usize, const PRE: usize> {
    /// A ring of the blocks that wait; the oldest is at `head`.
    blocks: [[i16; N]; PRE],
    head: usize,
    n_waiting: usize,
    /// Sum of squares of a block from which on it is loud.
    threshold: u64,
    hold_blocks: u32,
    /// This many blocks, those that wait first, are sent in any case.
    n_due: u32,
}

impl<const N: usize, const PRE: usize> Gate<N, PRE> {
    /// A closed gate. Blocks with an effective value of at least `threshold` (of 32768) are loud,
    /// and the gate stays open for `hold_blocks` after the last of them.
    pub const fn new(threshold: u16, hold_blocks: u32) -> Self {
        const { assert!(PRE >= 1 && N >= 1) };
        let threshold = threshold as u64;
        Self {
            blocks: [[0; N]; PRE],
            head: 0,
            n_waiting: 0,
            threshold: threshold * threshold * N as u64,
            hold_blocks,
            n_due: 0,
        }
    }

    /// Takes the next block, and returns what is to be done with the oldest one that waits.
    pub fn push(&mut self, block: &[i16; N], on_decision: impl FnOnce(Decision<'_>)) {
        let energy: u64 = block.iter().map(|&sample| u64::from((i32::from(sample) * i32::from(sample)) as u32)).sum();
        if energy >= self.threshold {
            // Those that wait, this one, and those after it.
            self.n_due = self.n_waiting as u32 + 1 + self.hold_blocks;
        }
        if self.n_waiting < PRE {
            self.blocks[(self.head + self.n_waiting) % PRE] = *block;
            self.n_waiting += 1;
            return;
        }
        let oldest = &mut self.blocks[self.head];
        on_decision(if self.n_due > 0 { Decision::Send(oldest) } else { Decision::Skip(N) });
        self.n_due = self.n_due.saturating_sub(1);
        *oldest = *block;
        self.head = (self.head + 1) % PRE;
    }

    /// Blocks whose fate is not known yet, at most `PRE`.
    pub fn n_waiting(&self) -> usize {
        self.n_waiting
    }

    /// Whether what comes next is sent.
    pub fn is_open(&self) -> bool {
        self.n_due > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which blocks are sent by definition: those with a loud one among themselves, the two after
    /// and the three before.
    fn reference(loud: &[bool]) -> String {
        let is_sent = |n: usize| loud.iter().enumerate().any(|(m, &loud)| loud && m <= n + 2 && n <= m + 3);
        // The last two still wait.
        (0..loud.len().saturating_sub(2)).map(|n| if is_sent(n) { '#' } else { '.' }).collect()
    }

    fn gated(loud: &[bool]) -> String {
        let mut gate = Gate::<4, 2>::new(100, 3);
        let (mut sent, mut n) = (String::new(), 0);
        for (index, &loud) in loud.iter().enumerate() {
            let level = if loud { 100 } else { 99 };
            let block = [level, -level, level, -(level + index as i16 % 2)];
            gate.push(&block, |decision| {
                match decision {
                    Decision::Send(samples) => {
                        assert!(samples.len() == 4 && samples[0].unsigned_abs() >= 99);
                        sent.push('#');
                    }
                    Decision::Skip(n_samples) => {
                        assert_eq!(n_samples, 4);
                        sent.push('.');
                    }
                }
                n += 1;
            });
        }
        sent
    }

    #[test]
    fn the_beginning_and_the_end_of_a_sound_are_sent_with_it() {
        let loud: Vec<bool> = "......X.........X.X......".chars().map(|c| c == 'X').collect();
        assert_eq!(gated(&loud), "....######....########.".to_string());
    }

    proptest! {
        #[test]
        fn it_does_what_its_definition_says(loud in prop::collection::vec(prop::bool::weighted(0.15), 0..80)) {
            prop_assert_eq!(gated(&loud), reference(&loud));
        }
    }

    #[test]
    fn the_loudest_samples_do_not_overflow() {
        let mut gate = Gate::<1024, 1>::new(u16::MAX, 0);
        gate.push(&[i16::MIN; 1024], |_| ());
        assert!(!gate.is_open());
        let mut gate = Gate::<1024, 1>::new(32_768, 0);
        gate.push(&[i16::MIN; 1024], |_| ());
        assert!(gate.is_open());
    }
}
