//! When things sound.
//!
//! Enters: lengths and classes. Leaves: a start for each. Things that shall overlap are paired, of
//! two classes each; pairs and single things are strung in random order, with a pause between them
//! and what time is left spread over all pauses at random, so that they come at no regular times
//! but never too close.

use crate::common::random::Rng;
use rand::Rng as _;

/// Something to be placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item {
    /// Samples.
    pub(super) length: usize,
    /// Things of one class never overlap.
    pub(super) class: usize,
}

/// What things are placed on, in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub(super) length: usize,
    /// Least pause between things, and before the first and after the last.
    pub(super) pause: usize,
}

/// Why things cannot be placed.
#[derive(Debug, PartialEq)]
pub(super) enum Shortage {
    /// Of time: they need this many samples.
    Time(usize),
    /// Of classes: only this number of items can overlap another one.
    Classes(usize),
}

/// The start of each item, `overlap` of which (0 to 1, to the next even number) overlap one other.
pub(super) fn place(items: &[Item], overlap: f64, stage: Stage, rng: &mut Rng) -> Result<Vec<usize>, Shortage> {
    let pairs = pair(items, (overlap * items.len() as f64 / 2.0).round() as usize, rng)?;
    let mut paired = vec![false; items.len()];
    pairs.iter().for_each(|&(a, b)| (paired[a], paired[b]) = (true, true));
    // Of each block: its items with their starts in it, and its length.
    let mut blocks: Vec<(Vec<(usize, usize)>, usize)> =
        pairs.into_iter().map(|(a, b)| overlapping(items, a, b, rng)).collect();
    blocks.extend((0..items.len()).filter(|&i| !paired[i]).map(|i| (vec![(i, 0)], items[i].length)));
    shuffle(&mut blocks, rng);
    let needed = blocks.iter().map(|(_, length)| length + stage.pause).sum::<usize>() + stage.pause;
    let Some(free) = stage.length.checked_sub(needed) else { return Err(Shortage::Time(needed)) };
    let mut before: Vec<usize> = blocks.iter().map(|_| rng.random_range(0..=free)).collect();
    before.sort_unstable();
    let mut starts = vec![0; items.len()];
    let mut at = 0;
    for ((members, length), free_before) in blocks.iter().zip(before) {
        at += stage.pause;
        members.iter().for_each(|&(item, start)| starts[item] = at + free_before + start);
        at += length;
    }
    Ok(starts)
}

/// `n` disjoint pairs of items of different classes.
fn pair(items: &[Item], n: usize, rng: &mut Rng) -> Result<Vec<(usize, usize)>, Shortage> {
    let n_classes = items.iter().map(|item| item.class + 1).max().unwrap_or(0);
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); n_classes];
    let mut order: Vec<usize> = (0..items.len()).collect();
    shuffle(&mut order, rng);
    order.into_iter().for_each(|i| by_class[items[i].class].push(i));
    let mut pairs = Vec::new();
    while pairs.len() < n {
        // Where classes are uneven the largest must be paired first, or some of it would be left
        // without a partner.
        let first_tried = rng.random_range(0..n_classes.max(1));
        let in_turn = (0..n_classes).map(|i| (i + first_tried) % n_classes);
        let Some(largest) = in_turn.max_by_key(|&class| by_class[class].len()) else { break };
        let others: Vec<usize> = (0..n_classes).filter(|&c| c != largest && !by_class[c].is_empty()).collect();
        if others.is_empty() {
            break;
        }
        let other = others[rng.random_range(0..others.len())];
        pairs.extend(by_class[largest].pop().zip(by_class[other].pop()));
    }
    if pairs.len() < n { Err(Shortage::Classes(2 * pairs.len())) } else { Ok(pairs) }
}

/// One block of two items, the second of which starts while the first sounds: a quarter of the
/// shorter is common at least.
fn overlapping(items: &[Item], a: usize, b: usize, rng: &mut Rng) -> (Vec<(usize, usize)>, usize) {
    let (first, second) = if rng.random() { (a, b) } else { (b, a) };
    let (long, short) = (items[first].length, items[second].length);
    let common = (long.min(short) / 4).max(1);
    let start = rng.random_range(0..=long.saturating_sub(common));
    (vec![(first, 0), (second, start)], long.max(start + short))
}

fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.random_range(0..=i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};

    fn items(n: usize, n_classes: usize) -> Vec<Item> {
        (0..n).map(|i| Item { length: 100 + 37 * (i % 11), class: i % n_classes }).collect()
    }

    /// How many items overlap another one, having checked pauses, ends and classes.
    fn n_overlapping(items: &[Item], starts: &[usize], stage: Stage) -> usize {
        let span = |i: usize| (starts[i], starts[i] + items[i].length);
        let mut n = 0;
        for i in 0..items.len() {
            let (start, end) = span(i);
            assert!(start >= stage.pause && end + stage.pause <= stage.length);
            let mut overlaps = false;
            for j in (0..items.len()).filter(|&j| j != i) {
                let common = end.min(span(j).1) as i64 - start.max(span(j).0) as i64;
                if common > 0 {
                    assert_ne!(items[i].class, items[j].class);
                    assert!(common as usize >= items[i].length.min(items[j].length) / 4);
                    overlaps = true;
                } else {
                    // The second of a pair may end with a pause of its own before the next block,
                    // never closer.
                    assert!(-common >= stage.pause as i64, "{:?} {:?}", span(i), span(j));
                }
            }
            n += usize::from(overlaps);
        }
        n
    }

    #[test]
    fn shares_pauses_and_classes_are_kept() {
        for seed in 0..20 {
            for (overlap, expected) in [(0.0, 0), (0.2, 12), (0.5, 30), (1.0, 60)] {
                let (items, stage) = (items(60, 7), Stage { length: 40_000, pause: 50 });
                let starts = place(&items, overlap, stage, &mut rng_for(seed, Purpose::Composition, 0)).unwrap();
                assert_eq!(n_overlapping(&items, &starts, stage), expected);
            }
        }
    }

    #[test]
    fn uneven_classes_are_paired_as_far_as_possible() {
        let mut items = items(10, 1);
        items.extend((0..10).map(|i| Item { length: 80, class: 1 + i % 3 }));
        let stage = Stage { length: 40_000, pause: 50 };
        let starts = place(&items, 1.0, stage, &mut rng_for(1, Purpose::Composition, 0)).unwrap();
        assert_eq!(n_overlapping(&items, &starts, stage), 20);
    }

    #[test]
    fn shortages_are_told() {
        let mut rng = rng_for(1, Purpose::Composition, 0);
        let stage = Stage { length: 1000, pause: 50 };
        let ten = [Item { length: 100, class: 0 }; 10];
        assert_eq!(place(&ten, 0.0, stage, &mut rng), Err(Shortage::Time(1550)));
        assert_eq!(place(&ten, 0.5, stage, &mut rng), Err(Shortage::Classes(0)));
        assert_eq!(place(&[], 0.5, stage, &mut rng), Ok(Vec::new()));
        let exact = Stage { length: 1550, pause: 50 };
        assert_eq!(place(&ten[..1], 0.0, exact, &mut rng).unwrap().len(), 1);
    }
}
