//! Encoded frames that wait for the line. A frame enters at the back and leaves byte by byte from
//! the front; when the queue is full, the oldest frame that is not on the line yet is dropped: late
//! sound is worth less than new sound. Lives in its sender.

/// At most `DEPTH` frames of at most `N` bytes.
#[derive(Debug)]
pub(crate) struct Queue<const N: usize, const DEPTH: usize> {
    /// A ring: the oldest frame is at `head`.
    slots: [Slot<N>; DEPTH],
    head: usize,
    n_frames: usize,
    /// Bytes of the oldest frame that have left.
    n_left: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize, const DEPTH: usize> Queue<N, DEPTH> {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        // The frame on the line cannot be dropped, so that another one must be there to be.
        const { assert!(DEPTH >= 2) };
        Self { slots: [const { Slot { bytes: [0; N], len: 0 } }; DEPTH], head: 0, n_frames: 0, n_left: 0 }
    }

    /// Adds the frame that `encode` writes and whose length it returns. True if another one had to
    /// be dropped for it.
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut [u8; N]) -> usize) -> bool {
        let full = self.n_frames == DEPTH;
        if full {
            let next = (self.head + 1) % DEPTH;
            if self.n_left > 0 {
                // The one on the line takes the place of the next one, which is the oldest that can
                // go.
                self.slots.swap(self.head, next);
            }
            self.head = next;
            self.n_frames -= 1;
        }
        let slot = &mut self.slots[(self.head + self.n_frames) % DEPTH];
        slot.len = encode(&mut slot.bytes);
        self.n_frames += 1;
        full
    }

    /// What is next on the line: the rest of the oldest frame; empty if nothing waits.
    pub(crate) fn front(&self) -> &[u8] {
        match self.n_frames {
            0 => &[],
            _ => {
                let slot = &self.slots[self.head];
                &slot.bytes[self.n_left..slot.len]
            }
        }
    }

    /// The first `n_bytes` of [`front`](Self::front) have left. True if a frame is complete with
    /// them.
    pub(crate) fn advance(&mut self, n_bytes: usize) -> bool {
        self.n_left += n_bytes;
        let complete = self.n_frames > 0 && self.n_left >= self.slots[self.head].len;
        if complete {
            self.head = (self.head + 1) % DEPTH;
            self.n_frames -= 1;
            self.n_left = 0;
        }
        complete
    }

    /// Frames that wait, the one on the line among them.
    pub(crate) fn len(&self) -> usize {
        self.n_frames
    }

    /// Drops all frames but one that is on the line; returns how many.
    pub(crate) fn clear(&mut self) -> usize {
        let n_kept = usize::from(self.n_left > 0);
        core::mem::replace(&mut self.n_frames, n_kept) - n_kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue<8, 3>, byte: u8) -> bool {
        queue.push(|bytes| {
            bytes[..2].fill(byte);
            2
        })
    }

    fn drain(queue: &mut Queue<8, 3>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(&byte) = queue.front().first() {
            all.push(byte);
            queue.advance(1);
        }
        all
    }

    #[test]
    fn frames_leave_in_order() {
        let mut queue = Queue::new();
        for round in 0..5 {
            assert!(!push(&mut queue, round));
            assert!(!push(&mut queue, round + 100));
            assert_eq!(drain(&mut queue), [round, round, round + 100, round + 100]);
        }
    }

    #[test]
    fn the_oldest_frame_makes_room() {
        let mut queue = Queue::new();
        let dropped: Vec<bool> = (1..=5).map(|byte| push(&mut queue, byte)).collect();
        assert_eq!(dropped, [false, false, false, true, true]);
        assert_eq!(drain(&mut queue), [3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn the_frame_on_the_line_is_sent_to_its_end() {
        let mut queue = Queue::new();
        push(&mut queue, 1);
        assert!(!queue.advance(1));
        (2..=5).for_each(|byte| {
            push(&mut queue, byte);
        });
        assert_eq!(drain(&mut queue), [1, 4, 4, 5, 5]);
    }

    #[test]
    fn clearing_keeps_what_is_on_the_line() {
        let mut queue = Queue::new();
        push(&mut queue, 1);
        push(&mut queue, 2);
        assert_eq!(queue.clear(), 2);
        assert_eq!(queue.len(), 0);
        push(&mut queue, 3);
        push(&mut queue, 4);
        queue.advance(1);
        assert_eq!(queue.clear(), 1);
        assert_eq!(drain(&mut queue), [3]);
    }
}
