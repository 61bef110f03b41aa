//! Counts what each stage takes from the heap once it is under way, and what a further stream
//! keeps of it. Enters: nothing. Leaves: a table.

use std::sync::Arc;

use benches::allocator::{CountingAllocator, count_allocations, count_bytes};
use benches::{STAGES, Stage, home, scene};
use edge::capture::Mono;
use edge::decide::Rules;
use edge::engine::{Engine, Precision, StreamEngine};
use edge::pipeline::Chain;
use edge::ring;
use edge::status::Status;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A microphone of a usual kind.
const RATE_HZ: u32 = 48_000;

fn main() {
    println!("{:<40} {:>24}", "stage", "allocations per piece");
    for named @ (name, _) in STAGES {
        let (mut stage, n) = Stage::under_way(named);
        let n_allocations = count_allocations(|| (0..n).for_each(|_| stage.step()));
        println!("{name:<40} {:>24.1}", n_allocations as f64 / n as f64);
    }
    println!();
    println!("{:<40} {:>24}", "a further stream at 48 kHz", "kB of the heap");
    for precision in [Precision::F32, Precision::Int8] {
        println!("{:<40} {:>24.1}", precision.as_str(), stream_bytes(precision) as f64 / 1e3);
    }
}

/// What a second stream keeps of the heap after 10 s, on the weights of the first: the state of
/// the network, the buffers of the other stages, and a ring of 3 s as the daemon has it.
fn stream_bytes(precision: Precision) -> usize {
    let model = home();
    let first = StreamEngine::load(&model, precision).expect("the model's own network");
    let samples = scene(RATE_HZ);
    let stream = || {
        let status = Arc::new(Status::default());
        let ring = ring::ring(3 * RATE_HZ as usize, Arc::clone(&status));
        let engine = first.another().expect("a state");
        let rules = Rules::new(&model.manifest, &model.manifest.decision);
        let mut chain = Chain::new(&model.manifest, rules, engine, RATE_HZ, status).expect("the model's own chain");
        for block in samples[..10 * RATE_HZ as usize].chunks(RATE_HZ as usize / 50) {
            chain.push(block).expect("the model's own network");
            chain.transitions().for_each(drop);
        }
        (Mono::new(2), ring, chain)
    };
    count_bytes(stream).1
}
