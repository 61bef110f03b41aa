//! One direction of a serial line: this many bytes per millisecond, a driver's buffer at its end,
//! and faults.

use std::collections::VecDeque;

use rand::Rng;
use rand::rngs::StdRng;

/// 921,600 baud.
const BYTES_PER_MS: usize = 92;

/// What Linux keeps of a serial line for a program that does not read; the rest is lost.
const DRIVER_LEN: usize = 4_096;

/// Longest frame on the line: 10 ms at 8 kHz, or a hello.
const LONGEST_FRAME: usize = 175;

/// What happens to the bytes that come next.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A bit of the next byte is turned over.
    Flip(u8),
    /// The next byte does not arrive.
    Drop,
    /// A byte arrives that nobody sent.
    Insert(u8),
    /// So many bytes arrive as noise.
    Burst(usize),
    /// So many bytes do not arrive.
    Cut(usize),
}

impl Fault {
    /// Frames that it can touch: a delimiter that is lost or damaged joins two.
    pub fn n_frames_touched(&self) -> u64 {
        match self {
            Self::Flip(_) | Self::Drop | Self::Insert(_) | Self::Burst(_) => 2,
            // Short frames of messages among them.
            Self::Cut(n) => 2 + n.div_ceil(LONGEST_FRAME / 8) as u64,
        }
    }
}

/// The line.
pub struct Line {
    /// Bytes that were written and have not arrived.
    pub written: VecDeque<u8>,
    /// Bytes that have arrived and were not read.
    pub arrived: VecDeque<u8>,
    faults: VecDeque<Fault>,
    /// Bytes that still have to arrive as noise, or not at all.
    n_noise: usize,
    n_cut: usize,
    rng: StdRng,
}

impl Line {
    pub fn new(rng: StdRng) -> Self {
        Self { written: VecDeque::new(), arrived: VecDeque::new(), faults: VecDeque::new(), n_noise: 0, n_cut: 0, rng }
    }

    /// Room that the sender's driver still has.
    pub fn room(&self) -> usize {
        (2 * BYTES_PER_MS).saturating_sub(self.written.len())
    }

    pub fn fail(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// A millisecond goes by. At a wrong rate every byte is noise.
    pub fn step(&mut self, wrong_rate: bool) {
        for _ in 0..BYTES_PER_MS {
            let Some(mut byte) = self.written.pop_front() else {
                // On a line at rest a burst or a cut goes by like bytes do.
                self.n_noise = self.n_noise.saturating_sub(1);
                self.n_cut = self.n_cut.saturating_sub(1);
                continue;
            };
            match self.faults.pop_front() {
                Some(Fault::Flip(bit)) => byte ^= 1 << bit,
                Some(Fault::Drop) => continue,
                Some(Fault::Insert(more)) => self.arrive(more),
                Some(Fault::Burst(n)) => self.n_noise += n,
                Some(Fault::Cut(n)) => self.n_cut += n,
                None => (),
            }
            if self.n_cut > 0 {
                self.n_cut -= 1;
                continue;
            }
            if self.n_noise > 0 || wrong_rate {
                self.n_noise = self.n_noise.saturating_sub(1);
                byte = self.rng.random();
            }
            self.arrive(byte);
        }
    }

    fn arrive(&mut self, byte: u8) {
        if self.arrived.len() < DRIVER_LEN {
            self.arrived.push_back(byte);
        }
    }
}
