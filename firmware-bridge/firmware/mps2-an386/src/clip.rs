//! A recording in flash in place of a microphone: the time enters, and the blocks leave that a
//! microphone would have by then.

include!(concat!(env!("OUT_DIR"), "/clip.rs"));

/// The clip, over and over, in blocks of `N` samples.
#[derive(Debug)]
pub struct Clip<const N: usize> {
    /// Where the next block begins.
    place: usize,
    /// When it is due, in samples since `start_ms`.
    n_samples: u64,
    last_ms: u32,
    elapsed_ms: u64,
}

impl<const N: usize> Clip<N> {
    /// Begins to play at `now_ms`.
    ///
    /// # Panics
    ///
    /// When the clip is not a whole number of blocks.
    pub fn start(now_ms: u32) -> Self {
        assert!(CLIP.len().is_multiple_of(N));
        Self { place: 0, n_samples: 0, last_ms: now_ms, elapsed_ms: 0 }
    }

    /// The next block, if a microphone would have it by `now_ms`.
    pub fn next(&mut self, now_ms: u32) -> Option<&'static [i16; N]> {
        self.elapsed_ms += u64::from(now_ms.wrapping_sub(self.last_ms));
        self.last_ms = now_ms;
        if self.elapsed_ms * u64::from(RATE_HZ) < (self.n_samples + N as u64) * 1_000 {
            return None;
        }
        let block = CLIP[self.place..].first_chunk()?;
        self.n_samples += N as u64;
        self.place = (self.place + N) % CLIP.len();
        Some(block)
    }
}
