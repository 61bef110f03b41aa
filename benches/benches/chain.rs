//! Time of each stage and of the whole chain, with the model that ships and the demo scene as its
//! sound. 10 ms of `chain/a second` are 1 % of a core.

use criterion::{Criterion, criterion_group, criterion_main};

fn stages(criterion: &mut Criterion) {
    for (name, prepare) in benches::STAGES {
        let mut stage = prepare();
        criterion.bench_function(name, |bencher| bencher.iter(|| stage.step()));
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
