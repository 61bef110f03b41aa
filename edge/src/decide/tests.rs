use edge_frontend::Activation;
use proptest::prelude::*;

use super::*;

const PERIOD_S: f64 = 0.08;
const SLOT_OFFSET_S: f64 = 0.1;

pub(crate) fn class(threshold_on: f32, threshold_off: f32) -> ClassRules {
    ClassRules {
        window_frames: 1,
        threshold_on,
        threshold_off,
        min_duration_frames: 1,
        min_gap_frames: 1,
        cooldown_frames: 0,
        max_duration_frames: 1000,
    }
}

/// All classes with a window of `window_frames`.
pub(crate) fn rules(window_frames: usize, classes: Vec<Option<ClassRules>>) -> Rules {
    Rules {
        activation: Activation::Sigmoid,
        average: Average::Logits,
        temperature: 1.0,
        frame_period_s: PERIOD_S,
        slot_offset_s: SLOT_OFFSET_S,
        lookback_frames: 4,
        level_gate_dbfs: None,
        min_energy: None,
        background: None,
        classes: classes.into_iter().map(|class| class.map(|class| ClassRules { window_frames, ..class })).collect(),
    }
}

fn push(decider: &mut Decider, t_start_s: f64, logits: &[f32], on_transition: impl FnMut(Transition)) {
    decider.push(&Output { t_start_s, level_dbfs: -30.0, logits }, on_transition);
}

/// Runs a decider over frames of logits; each transition comes with the frame at which it was
/// reported (the number of frames for those of the flush).
fn decide(rules: &Rules, frames: &[Vec<f32>]) -> Vec<(usize, Transition)> {
    let mut decider = Decider::new(rules.clone());
    let mut transitions = Vec::new();
    for (at, logits) in frames.iter().enumerate() {
        push(&mut decider, at as f64 * PERIOD_S, logits, |transition| transitions.push((at, transition)));
    }
    decider.flush(|transition| transitions.push((frames.len(), transition)));
    decider.flush(|transition| panic!("{transition:?} after the flush"));
    transitions
}

/// One class, one logit per frame.
fn decide_one(class: ClassRules, window_frames: usize, logits: &[f32]) -> Vec<(usize, Phase, usize)> {
    let frames: Vec<Vec<f32>> = logits.iter().map(|logit| vec![*logit]).collect();
    let slot = |t_s: f64| ((t_s - SLOT_OFFSET_S) / PERIOD_S).round() as usize;
    decide(&rules(window_frames, vec![Some(class)]), &frames)
        .into_iter()
        .map(|(at, t)| match t.t_offset_s {
            None => (at, t.phase, slot(t.t_onset_s)),
            Some(t_offset_s) => (at, t.phase, slot(t_offset_s) - 1),
        })
        .collect()
}

const HIGH: f32 = 4.0;
const LOW: f32 = -4.0;

#[test]
fn onset_and_offset_fall_on_the_first_and_last_dominating_frame() {
    let mut logits = [LOW; 24];
    logits[8..14].fill(HIGH);
    // The mean of four logits is as likely as not (0.5) with two high ones, at frame 9, and again
    // at frame 15.
    let events = decide_one(class(0.5, 0.5), 4, &logits);
    assert_eq!(events, [(9, Phase::Onset, 8), (16, Phase::Offset, 13)]);
}

#[test]
fn an_onset_is_followed_back_across_pauses_that_would_not_end_an_event() {
    let between = 0.0; // posterior 0.5
    let logits = [LOW, between, between, LOW, between, LOW, between, HIGH, LOW, LOW];
    let events = |min_gap_frames| decide_one(ClassRules { min_gap_frames, ..class(0.9, 0.4) }, 1, &logits);
    assert_eq!(events(1), [(7, Phase::Onset, 6), (8, Phase::Offset, 7)]);
    assert_eq!(events(2), [(7, Phase::Onset, 4), (9, Phase::Offset, 7)], "no further than four frames");
}

#[test]
fn nothing_begins_before_the_window_is_full() {
    let events = decide_one(class(0.5, 0.3), 4, &[HIGH; 6]);
    assert_eq!(events, [(3, Phase::Onset, 0), (6, Phase::Offset, 5)]);
    assert_eq!(decide_one(class(0.5, 0.3), 4, &[HIGH; 3]), []);
}

#[test]
fn the_score_has_to_fall_below_the_lower_threshold() {
    let between = 0.0; // posterior 0.5
    let mut logits = vec![LOW, HIGH, between, between, between, LOW];
    assert_eq!(decide_one(class(0.9, 0.4), 1, &logits), [(1, Phase::Onset, 1), (5, Phase::Offset, 4)]);
    logits.push(between);
    assert_eq!(decide_one(class(0.9, 0.4), 1, &logits).len(), 2, "what lies between the thresholds begins nothing");
}

#[test]
fn short_events_are_not_reported() {
    let rules = ClassRules { min_duration_frames: 3, ..class(0.5, 0.3) };
    let mut logits = [LOW; 20];
    logits[4..6].fill(HIGH);
    logits[10..13].fill(HIGH);
    assert_eq!(decide_one(rules, 1, &logits), [(12, Phase::Onset, 10), (13, Phase::Offset, 12)]);
}

#[test]
fn short_gaps_do_not_end_an_event() {
    let rules = ClassRules { min_gap_frames: 3, ..class(0.5, 0.3) };
    let mut logits = [HIGH; 20];
    logits[5..7].fill(LOW);
    logits[10..13].fill(LOW);
    let events = decide_one(rules, 1, &logits);
    assert_eq!(events, [(0, Phase::Onset, 0), (12, Phase::Offset, 9), (13, Phase::Onset, 13), (20, Phase::Offset, 19)]);
}

#[test]
fn nothing_begins_during_the_cooldown() {
    let rules = ClassRules { cooldown_frames: 4, ..class(0.5, 0.3) };
    let mut logits = [HIGH; 12];
    logits[3] = LOW;
    let events = decide_one(rules, 1, &logits);
    assert_eq!(events, [(0, Phase::Onset, 0), (3, Phase::Offset, 2), (7, Phase::Onset, 7), (12, Phase::Offset, 11)]);
}

#[test]
fn the_background_is_never_an_event() {
    assert_eq!(decide(&rules(1, vec![None, Some(class(0.9, 0.8))]), &[vec![HIGH, LOW], vec![HIGH, LOW]]), []);
}

#[test]
fn not_a_number_ends_events_and_begins_none() {
    let events = decide_one(class(0.5, 0.3), 1, &[HIGH, f32::NAN, f32::NAN, HIGH]);
    assert_eq!(
        events.iter().map(|event| event.1).collect::<Vec<_>>(),
        [Phase::Onset, Phase::Offset, Phase::Onset, Phase::Offset]
    );
}

#[test]
fn after_a_flush_the_stream_begins_again() {
    let mut decider = Decider::new(rules(2, vec![Some(class(0.5, 0.3))]));
    let mut phases = Vec::new();
    for t_start_s in [0.0, 0.08, 0.16] {
        push(&mut decider, t_start_s, &[HIGH], |t| phases.push((t.phase, t.t_onset_s)));
    }
    decider.flush(|t| phases.push((t.phase, t.t_onset_s)));
    assert_eq!(decider.scores(), [0.0]);
    for t_start_s in [100.0, 100.08] {
        push(&mut decider, t_start_s, &[HIGH], |t| phases.push((t.phase, t.t_onset_s)));
    }
    assert_eq!(phases, [(Phase::Onset, 0.1), (Phase::Offset, 0.1), (Phase::Onset, 100.1)]);
}

#[test]
fn an_event_is_cut_at_its_longest_and_the_class_must_fall_before_the_next() {
    let rules = ClassRules { max_duration_frames: 4, min_gap_frames: 2, ..class(0.5, 0.3) };
    let mut logits = [HIGH; 16];
    // One low frame is not a gap; two are.
    logits[7] = LOW;
    logits[10..12].fill(LOW);
    let events = decide_one(rules, 1, &logits);
    assert_eq!(events, [(0, Phase::Onset, 0), (3, Phase::Offset, 3), (12, Phase::Onset, 12), (15, Phase::Offset, 15)]);
}

#[test]
fn an_event_that_reaches_its_longest_behind_a_gap_longer_than_the_window_ends_there() {
    let rules = ClassRules { max_duration_frames: 10, min_gap_frames: 20, ..class(0.5, 0.3) };
    let mut logits = [LOW; 30];
    logits[2] = HIGH;
    logits[18] = HIGH;
    assert_eq!(decide_one(rules, 1, &logits), [(2, Phase::Onset, 2), (18, Phase::Offset, 11)]);
}

#[test]
fn nothing_begins_below_the_level_gate_and_nothing_ends_by_it() {
    let gated = Rules { level_gate_dbfs: Some(-50.0), ..rules(1, vec![Some(class(0.5, 0.3))]) };
    let mut decider = Decider::new(gated);
    let mut seen = Vec::new();
    for (at, (level_dbfs, logit)) in
        [(-60.0, HIGH), (-50.1, HIGH), (-50.0, HIGH), (-90.0, HIGH), (f32::NEG_INFINITY, LOW)].into_iter().enumerate()
    {
        decider.push(&Output { t_start_s: 0.0, level_dbfs, logits: &[logit] }, |t| seen.push((at, t.phase)));
    }
    assert_eq!(seen, [(2, Phase::Onset), (4, Phase::Offset)]);
}

#[test]
fn nothing_begins_below_the_least_energy() {
    let classes = vec![Some(class(0.5, 0.3)), Some(class(0.5, 0.3)), None];
    let rules =
        Rules { activation: Activation::Softmax, min_energy: Some(3.0), background: Some(2), ..rules(1, classes) };
    // Sure of class 0 in each; the energy is the size of the logits.
    let frames: Vec<Vec<f32>> = [[1.0, -9.0, -9.0], [2.9, -9.0, -9.0], [3.1, -9.0, -9.0]].map(Vec::from).into();
    let seen: Vec<_> = decide(&rules, &frames).into_iter().map(|(at, t)| (at, t.phase)).collect();
    assert_eq!(seen, [(2, Phase::Onset), (3, Phase::Offset)]);
}

/// The module documentation's rules for one class, by searching in the whole history instead of
/// keeping a state.
fn reference(
    class_id: usize,
    class: &ClassRules,
    lookback: usize,
    scores: &[f32],
    posteriors: &[f32],
) -> Vec<(usize, Transition)> {
    let (n, window) = (scores.len(), class.window_frames);
    let dominates = |at: &usize| posteriors[*at] > class.threshold_off;
    let holds = |at: &usize| scores[*at] >= class.threshold_off;
    let (min_duration, min_gap, cooldown, max_duration) = (
        class.min_duration_frames as usize,
        class.min_gap_frames as usize,
        class.cooldown_frames as usize,
        class.max_duration_frames as usize,
    );
    let mut transitions = Vec::new();
    let (mut from, mut earliest) = (window - 1, 0);
    while let Some(crossing) = (from.max(earliest)..n).find(|&at| scores[at] >= class.threshold_on) {
        let recent = (crossing + 1 - window).max(earliest);
        let run_end = (recent..=crossing).rev().find(dominates).unwrap_or(crossing);
        let oldest = (crossing + 1).saturating_sub(lookback.max(window)).max(earliest);
        let oldest = oldest.max((run_end + 1).saturating_sub(max_duration));
        let mut first = run_end;
        while let Some(at) = (oldest..first).rev().take(min_gap).find(dominates) {
            first = at;
        }
        let held = (crossing..n).take_while(holds).count();
        let last_at = |now: usize| {
            let held = (crossing + 1..=now).filter(holds);
            let reach = held.map(|at| if dominates(&at) { at } else { at.saturating_sub(window - 1) });
            reach.fold(run_end, usize::max).min(first + max_duration - 1)
        };
        let Some(confirmed) = (crossing..crossing + held).find(|&now| last_at(now) + 1 - first >= min_duration) else {
            from = crossing + held;
            continue;
        };
        let score = scores[confirmed];
        let peak_until = |end: usize| (crossing..end).filter(holds).map(|at| scores[at]).fold(0.0, f32::max);
        let t_onset_s = first as f64 * PERIOD_S + SLOT_OFFSET_S;
        let onset = Transition {
            class_id,
            phase: Phase::Onset,
            t_onset_s,
            t_offset_s: None,
            score,
            peak_score: peak_until(confirmed + 1),
        };
        transitions.push((confirmed, onset));
        // The first frame of the gap that ends the event, or of the silence at the end of the
        // stream.
        let ends = |&at: &usize| at + min_gap <= n && (at..at + min_gap).all(|at| !holds(&at));
        let gap = (confirmed + 1..n).find(ends);
        let is_spent = |at: &usize| holds(at) && last_at(*at) + 1 - first >= max_duration;
        let spent = (confirmed + 1..gap.unwrap_or(n)).find(is_spent);
        let (last, reported) = match (spent, gap) {
            (Some(spent), _) => (last_at(spent), spent),
            (None, Some(gap)) => (last_at(gap - 1), gap + min_gap - 1),
            (None, None) => (last_at(n - 1), n),
        };
        let t_offset_s = Some(last as f64 * PERIOD_S + SLOT_OFFSET_S + PERIOD_S);
        let peak_score = peak_until(if spent.is_some() { reported + 1 } else { n.min(reported) });
        transitions.push((reported, Transition { phase: Phase::Offset, t_offset_s, peak_score, ..onset }));
        (from, earliest) = (reported + 1, last + 1 + cooldown);
        if let Some(spent) = spent {
            let Some(gap) = (spent + 1..n).find(ends) else { break };
            (from, earliest) = (gap + min_gap, gap + min_gap + cooldown);
        }
    }
    transitions
}

fn activated(activation: Activation, logits: &[f32]) -> Vec<f32> {
    clip_posteriors(activation, Average::Logits, 1.0, logits.len(), logits)
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let any_class = (1usize..8, 0.2f32..0.9, 0.2f32..1.0, 1u64..6, 1u64..6, 0u64..6, 0u64..12).prop_map(
        |(window_frames, on, share, min_duration, min_gap, cooldown, more)| ClassRules {
            window_frames,
            threshold_on: on,
            threshold_off: on * share,
            min_duration_frames: min_duration,
            min_gap_frames: min_gap,
            cooldown_frames: cooldown,
            max_duration_frames: min_duration + more,
        },
    );
    let activation = prop_oneof![Just(Activation::Softmax), Just(Activation::Sigmoid)];
    let average = prop_oneof![Just(Average::Logits), Just(Average::Posteriors)];
    (1usize..10, activation, average, prop::collection::vec(prop::option::weighted(0.9, any_class), 3)).prop_map(
        |(lookback_frames, activation, average, classes)| Rules {
            activation,
            average,
            lookback_frames,
            classes,
            ..rules(1, Vec::new())
        },
    )
}

/// Sounds of a few frames each, with some noise on every logit.
fn any_frames() -> impl Strategy<Value = Vec<Vec<f32>>> {
    let noise = prop::collection::vec(prop::collection::vec(-1.5f32..1.5, 3), 1..12);
    prop::collection::vec((0usize..3, 0f32..6.0, noise), 0..12).prop_map(|sounds| {
        let mut frames = Vec::new();
        for (class_id, level, noise) in sounds {
            frames.extend(noise.into_iter().map(|mut frame| {
                frame[class_id] += level;
                frame
            }));
        }
        frames
    })
}

proptest! {
    #[test]
    fn the_state_machine_does_what_the_rules_say(rules in any_rules(), frames in any_frames()) {
        let posteriors: Vec<Vec<f32>> = frames.iter().map(|frame| activated(rules.activation, frame)).collect();
        let mut expected = Vec::new();
        for (class_id, class) in rules.classes.iter().enumerate() {
            let Some(class) = class else { continue };
            let score = |at: usize| {
                let window = &frames[(at + 1).saturating_sub(class.window_frames)..=at];
                clip_posteriors(rules.activation, rules.average, 1.0, 3, &window.concat())[class_id]
            };
            let scores: Vec<f32> = (0..frames.len()).map(score).collect();
            let posteriors: Vec<f32> = posteriors.iter().map(|row| row[class_id]).collect();
            expected.extend(reference(class_id, class, rules.lookback_frames, &scores, &posteriors));
        }
        expected.sort_by_key(|(at, transition)| (*at, transition.class_id));
        let actual = decide(&rules, &frames);
        prop_assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(&expected) {
            prop_assert!(close(actual, expected), "{:?} is not {:?}", actual, expected);
        }
    }

    #[test]
    fn phases_alternate_and_events_of_a_class_do_not_overlap(rules in any_rules(), frames in any_frames()) {
        let transitions = decide(&rules, &frames);
        for class_id in 0..3 {
            let mut t_end_s = f64::NEG_INFINITY;
            let of_class: Vec<_> = transitions.iter().map(|(_, t)| t).filter(|t| t.class_id == class_id).collect();
            prop_assert_eq!(of_class.len() % 2, 0);
            for pair in of_class.chunks(2) {
                let class = rules.classes[class_id].unwrap();
                prop_assert_eq!((pair[0].phase, pair[1].phase), (Phase::Onset, Phase::Offset));
                prop_assert_eq!(pair[0].t_onset_s, pair[1].t_onset_s);
                prop_assert!(pair[0].t_onset_s > t_end_s - 1e-9);
                let t_offset_s = pair[1].t_offset_s.unwrap();
                let duration_s = t_offset_s - pair[0].t_onset_s;
                prop_assert!(duration_s > class.min_duration_frames as f64 * PERIOD_S - 1e-9);
                prop_assert!(duration_s < class.max_duration_frames as f64 * PERIOD_S + 1e-9);
                prop_assert!(pair[0].score >= class.threshold_off && pair[1].peak_score >= class.threshold_on);
                t_end_s = t_offset_s + class.cooldown_frames as f64 * PERIOD_S;
            }
        }
    }

    #[test]
    fn events_of_a_class_do_not_depend_on_the_other_classes_rules(rules in any_rules(), frames in any_frames()) {
        let together = decide(&rules, &frames);
        for class_id in 0..3 {
            let only = |at: usize| if at == class_id { rules.classes[at] } else { None };
            let alone = decide(&Rules { classes: (0..3).map(only).collect(), ..rules.clone() }, &frames);
            let of_class: Vec<_> = together.iter().filter(|(_, t)| t.class_id == class_id).copied().collect();
            prop_assert_eq!(alone, of_class);
        }
    }

    #[test]
    fn decisions_do_not_depend_on_how_long_the_stream_has_run(rules in any_rules(), frames in any_frames(), n_before in 1usize..40) {
        let silence = vec![vec![-60.0, -60.0, -60.0]; n_before];
        let mut decider = Decider::new(Rules { activation: Activation::Sigmoid, ..rules.clone() });
        silence.iter().for_each(|frame| push(&mut decider, 0.0, frame, |_| {}));
        let mut fresh = Decider::new(Rules { activation: Activation::Sigmoid, ..rules.clone() });
        for (at, frame) in frames.iter().enumerate() {
            push(&mut decider, 0.0, frame, |_| {});
            push(&mut fresh, 0.0, frame, |_| {});
            if at + 1 >= rules.longest_window() {
                prop_assert_eq!(decider.scores(), fresh.scores());
            }
        }
    }
}

fn close(a: &(usize, Transition), b: &(usize, Transition)) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let ((at_a, a), (at_b, b)) = (a, b);
    at_a == at_b
        && (a.class_id, a.phase, a.score, a.peak_score) == (b.class_id, b.phase, b.score, b.peak_score)
        && near(a.t_onset_s, b.t_onset_s)
        && near(a.t_offset_s.unwrap_or(0.0), b.t_offset_s.unwrap_or(0.0))
}
