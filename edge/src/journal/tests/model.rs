//! Operations on a journal against plain lists.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Take { sink: usize, n: usize },
    Acknowledge { sink: usize, at: usize },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..4_usize).prop_map(Step::Append),
        (0..2_usize, 1..6_usize).prop_map(|(sink, n)| Step::Take { sink, n }),
        (0..2_usize, 0..8_usize).prop_map(|(sink, at)| Step::Acknowledge { sink, at }),
        Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What a sink should see.
#[derive(Default)]
struct Model {
    /// Not handed out in this life, in order; those that are done in an earlier one may come
    /// again.
    waiting: Vec<String>,
    out: Vec<Arc<Record>>,
    done: Vec<String>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_is_lost_invented_or_out_of_order(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let start = || {
            let mut store = open(&path);
            for name in ["a", "b"] {
                store.add_sink(name, Start::Kept);
            }
            store
        };
        let mut store = start();
        let mut models = [Model::default(), Model::default()];
        let mut all: Vec<String> = Vec::new();
        let mut n = 0.0;
        for step in steps {
            match step {
                Step::Append(k) => {
                    let events: Vec<Event> = (0..k).map(|k| event(n + k as f64)[0].clone()).collect();
                    n += k as f64;
                    store.append(&events, now());
                    all.extend(expected(&events));
                    models.iter_mut().for_each(|model| model.waiting.extend(expected(&events)));
                }
                Step::Take { sink, n } => {
                    let records = store.take(sink, n);
                    let model = &mut models[sink];
                    let due: Vec<String> = model.waiting.drain(..n.min(model.waiting.len())).collect();
                    prop_assert_eq!(names(&records), due);
                    model.out.extend(records);
                }
                Step::Acknowledge { sink, at } if at < models[sink].out.len() => {
                    let record = models[sink].out.remove(at);
                    store.acknowledge(sink, record.seq);
                    models[sink].done.extend(names([&record]));
                }
                Step::Acknowledge { .. } => {}
                Step::Restart => {
                    drop(store);
                    store = start();
                    for model in &mut models {
                        // All that is done before the first that is not.
                        let first = all.iter().position(|payload| !model.done.contains(payload));
                        model.waiting = all[first.unwrap_or(all.len())..].to_vec();
                        model.done = all[..first.unwrap_or(all.len())].to_vec();
                        model.out.clear();
                    }
                }
            }
            for (sink, model) in models.iter().enumerate() {
                let n_pending = model.waiting.len() + model.out.len();
                prop_assert_eq!(store.depth(sink).n_events, n_pending as u64);
            }
        }
    }
}
