//! Claim: with the model that ships, the daemon's own stages take nothing from the heap once they
//! are under way, and what the network takes does not grow.

use benches::allocator::{CountingAllocator, count_allocations};
use benches::{STAGES, Stage};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What runs the network, whose library allocates, and what makes the text of an event.
const ALLOCATES: [&str; 3] = ["engine/", "publish/", "chain/"];

#[test]
fn the_daemons_own_stages_do_not_allocate() {
    let own = STAGES.into_iter().filter(|(name, _)| !ALLOCATES.iter().any(|allocates| name.starts_with(allocates)));
    for named @ (name, _) in own {
        let (mut stage, n) = Stage::under_way(named);
        assert_eq!(count_allocations(|| (0..n).for_each(|_| stage.step())), 0, "{name}");
    }
}

#[test]
fn every_pulse_of_the_network_allocates_as_often_as_the_one_before() {
    for named @ (name, _) in STAGES.into_iter().filter(|(name, _)| name.starts_with("engine/")) {
        let (mut stage, n) = Stage::under_way(named);
        let one = count_allocations(|| stage.step());
        assert!(one > 0, "{name}: the counter does not count");
        assert_eq!(count_allocations(|| (0..n).for_each(|_| stage.step())), n as usize * one, "{name}");
    }
}
