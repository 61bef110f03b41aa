//! Draws without replacement, as from a pack of cards: everything comes up before anything comes up
//! again.

use crate::common::random::Rng;
use rand::Rng as _;

/// A shuffled pack that is shuffled again when it is used up.
pub(super) struct Deck<T> {
    cards: Vec<T>,
    n_left: usize,
}

impl<T: Copy> Deck<T> {
    pub(super) fn new(cards: Vec<T>) -> Self {
        Self { n_left: cards.len(), cards }
    }

    /// The next card; none if there are none at all.
    pub(super) fn draw(&mut self, rng: &mut Rng) -> Option<T> {
        if self.n_left == 0 {
            self.n_left = self.cards.len();
        }
        let last = self.n_left.checked_sub(1)?;
        self.cards.swap(rng.random_range(0..=last), last);
        self.n_left = last;
        Some(self.cards[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};

    #[test]
    fn every_card_comes_up_once_a_round() {
        let (mut deck, mut rng) = (Deck::new((0..7).collect()), rng_for(1, Purpose::Composition, 0));
        let rounds: Vec<Vec<usize>> = (0..4).map(|_| (0..7).filter_map(|_| deck.draw(&mut rng)).collect()).collect();
        for round in &rounds {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_ne!(rounds[0], rounds[1]);
        assert_eq!(Deck::<usize>::new(Vec::new()).draw(&mut rng), None);
    }
}
