//! Node and host over a line that fails in every way, in both directions: what the host passes on
//! is exactly what the node's microphone heard, with exactly what is missing named, and after the
//! faults everything is as before.
//!
//! Time is simulated, a millisecond a step: nothing here depends on the machine's speed.
// Minutes of simulated time are hours to Miri.
#![cfg(not(miri))]
#![allow(clippy::unwrap_used)]

mod line;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use line::Fault;
use world::{Incident, World};

/// The kinds of fault of which one is a byte or a burst.
fn line_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..8_u8).prop_map(Fault::Flip),
        Just(Fault::Drop),
        prop_oneof![Just(0_u8), any::<u8>()].prop_map(Fault::Insert),
        (1..=16_usize).prop_map(Fault::Burst),
        (2..=200_usize).prop_map(Fault::Cut),
    ]
}

fn incident() -> impl Strategy<Value = Incident> {
    prop_oneof![
        4 => line_fault().prop_map(Incident::ToHost),
        2 => line_fault().prop_map(Incident::ToNode),
        1 => (1..12_000_u32).prop_map(|ms| Incident::Stall { ms }),
        1 => (1..5_000_u32).prop_map(|ms| Incident::WrongRate { ms }),
        1 => Just(Incident::Reopened),
    ]
}

fn restart() -> impl Strategy<Value = Incident> {
    prop_oneof![Just(Incident::NodeRestarts), Just(Incident::HostRestarts)]
}

/// As many cases as `PROPTEST_CASES` says, or 48: about 200,000 frames.
fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases: 48, ..default } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_sample_is_right_or_named_missing(
        incidents in prop::collection::vec((0..600_u32, incident()), 0..40),
        seed: u64,
    ) {
        let mut world = World::new(seed);
        world.run(1_000);
        for (pause_ms, incident) in incidents {
            world.suffer(incident);
            world.run(pause_ms);
        }
        // The longest way back: a node that has not noticed yet that its daemon is away, and one
        // word lost.
        world.run(5_000);
        world.check_recovered();
        // No restart: everything is exact to the sample and to the frame.
        world.check_complete();
        prop_assert_eq!(world.n_lost(), world.n_lost_by_numbers());
    }

    #[test]
    fn one_fault_of_the_line_costs_one_frame_or_the_two_that_it_touches(
        faults in prop::collection::vec((100..300_u32, line_fault()), 1..20),
        seed: u64,
    ) {
        let mut world = World::new(seed);
        world.run(1_000);
        let n_touched: u64 = faults.iter().map(|(_, fault)| fault.n_frames_touched()).sum();
        for (pause_ms, fault) in faults {
            world.suffer(Incident::ToHost(fault));
            world.run(pause_ms);
        }
        world.run(1_000);
        prop_assert!(world.n_lost() <= n_touched, "{} frames lost, {} touched", world.n_lost(), n_touched);
        prop_assert_eq!(world.n_lost(), world.n_lost_by_numbers());
        world.check_recovered();
    }

    #[test]
    fn after_a_restart_of_either_side_sound_is_back_within_a_second(
        restarts in prop::collection::vec((1_000..2_500_u32, restart()), 1..8),
        seed: u64,
    ) {
        let mut world = World::new(seed);
        world.run(1_000);
        for (pause_ms, restart) in restarts {
            world.suffer(restart);
            world.run(1_000);
            world.check_recovered();
            world.run(pause_ms);
        }
        // Each restart of the node may move time by a block and the way of a frame.
        world.check_time(8 * 25);
    }

    #[test]
    fn restarts_amid_faults_leave_no_wrong_sample(
        incidents in prop::collection::vec((0..600_u32, prop_oneof![3 => incident(), 1 => restart()]), 0..40),
        seed: u64,
    ) {
        let mut world = World::new(seed);
        for (pause_ms, incident) in incidents {
            world.suffer(incident);
            world.run(pause_ms);
        }
        world.run(5_000);
        world.check_recovered();
    }
}

/// Faults of every kind but restarts, until a million frames have arrived.
#[test]
#[ignore = "a million frames take long in a debug build"]
fn of_a_million_frames_none_is_wrong_and_every_one_that_is_missing_is_counted() {
    const N_FRAMES: usize = 1_000_000;
    let mut runner = TestRunner::deterministic();
    let mut draw = |strategy: &BoxedStrategy<(u32, Incident)>| strategy.new_tree(&mut runner).unwrap().current();
    let strategy = (0..600_u32, incident()).boxed();
    let (mut n_frames, mut n_lost, mut seed) = (0, 0, 0);
    while n_frames < N_FRAMES {
        seed += 1;
        let mut world = World::new(seed);
        world.run(1_000);
        for _ in 0..40 {
            let (pause_ms, incident) = draw(&strategy);
            world.suffer(incident);
            world.run(pause_ms);
        }
        world.run(5_000);
        world.check_recovered();
        world.check_complete();
        assert_eq!(world.n_lost(), world.n_lost_by_numbers());
        n_frames += world.n_frames();
        n_lost += world.n_lost();
    }
    println!("{n_frames} frames arrived, {n_lost} were lost");
    assert!(n_lost > 10_000, "the line was too good: {n_lost} lost");
}
