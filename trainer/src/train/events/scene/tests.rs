use super::*;
use crate::data::Clip;

const N_MELS: usize = 64;

/// A clip of a steady sound between silence.
fn clip(label: usize, n_frames: usize, sounding: Range<usize>) -> Source {
    let frames = (0..n_frames).flat_map(|t| [if sounding.contains(&t) { 1.0 } else { -2.0 }; N_MELS]).collect();
    Source::new(Clip { label, frames, ..Clip::default() }, &FrontendConfig::student(), 12.0)
}

fn slots(lookahead_ms: Option<f64>) -> Slots {
    Slots::new(&FrontendConfig::student(), 64, 8, lookahead_ms)
}

struct Fixture {
    settings: Events,
    augment: Augment,
    clips: Vec<Source>,
    foreign: Vec<Source>,
}

impl Fixture {
    /// Sounds of the classes 0 and 1; class 2 is the background. Nothing is done to them but to be placed.
    fn new() -> Self {
        let augment = Augment { stretch: 0.0, mel_shift: 0.0, eq_db: 0.0, n_freq_masks: 0, ..Augment::default() };
        let settings = Events {
            batch: 16,
            empty: 0.25,
            second: 0.5,
            foreign: 0.0,
            snr_db: [40.0, 40.0],
            reverb: 0.0,
            sound_eq_db: 0.0,
            ..Events::default()
        };
        let clips = (0..32).map(|i| clip(i % 2, 200, 40..140)).collect();
        Self { settings, augment, clips, foreign: Vec::new() }
    }

    fn batcher(&self) -> SceneBatcher<'_> {
        let sources = Sources { clips: &self.clips, beds: &[], foreign: &self.foreign };
        let slots = slots(Some(self.settings.lookahead_ms));
        SceneBatcher::new(&self.settings, &self.augment, 1, &FrontendConfig::student(), slots, (3, Some(2)), sources)
    }
}

#[test]
fn a_slot_is_where_the_decide_stage_sees_it() {
    // Receptive field of 64 frames: 15,720 samples, 655 ms. Its middle frame is as far from both ends.
    let middle = slots(None);
    assert_eq!((middle.slot(0), middle.slot(3)), (28..36, 52..60));
    // 240 ms before the end is 415 ms from the start; the slot is 375 to 455 ms, and a frame's middle is at 12.5 ms plus its start.
    assert_eq!(slots(Some(240.0)).slot(0), 37..45);
    assert_eq!((middle.count(63), middle.count(64), middle.count(71), middle.count(72)), (0, 1, 1, 2));
    let last = slots(Some(40.0)).slot(0);
    assert!(last.end <= 64, "{last:?} is heard");
}

#[test]
fn targets_are_where_the_sound_is() {
    let fixture = Fixture::new();
    let batch = fixture.batcher().batch(3);
    let (n_frames, n_outputs) = (fixture.settings.scene_frames, batch.targets.len() / 16 / 3);
    let (mut n_on, mut n_off) = (0, 0);
    for (power, targets) in batch.power.chunks_exact(n_frames * N_MELS).zip(batch.targets.chunks_exact(n_outputs * 3)) {
        let level = |t: usize| power[t * N_MELS + 20..t * N_MELS + 40].iter().sum::<f32>();
        let loudest = (0..n_frames).map(level).fold(0.0, f32::max);
        for (j, target) in targets.chunks_exact(3).enumerate() {
            let slot = fixture.batcher().slots.slot(j);
            let [quietest, most] = [f32::min, f32::max].map(|pick| slot.clone().map(level).reduce(pick).unwrap());
            if target[0].max(target[1]) == 1.0 {
                n_on += 1;
                assert!(quietest > loudest * 1e-3, "a slot that sounds all the time is loud all the time");
            } else if target[2] == 1.0 && targets.iter().skip(2).step_by(3).any(|background| *background < 1.0) {
                n_off += 1;
                assert!(most < loudest * 2e-3, "{most} of {loudest} beside the sound");
            }
            assert!((target[2] - (1.0 - target[0].max(target[1]))).abs() < 1e-6);
        }
    }
    assert!(n_on > 50 && n_off > 50, "{n_on} and {n_off}");
}

#[test]
fn sounds_at_the_same_time_are_both_there_or_share() {
    let sum = |fixture: &Fixture| {
        let batch = fixture.batcher().batch(0);
        batch.targets.chunks_exact(3).map(|t| t.iter().sum::<f32>()).fold(0.0, f32::max)
    };
    let mut fixture = Fixture::new();
    (fixture.settings.empty, fixture.settings.second) = (0.0, 1.0);
    assert!((sum(&fixture) - 2.0).abs() < 1e-5);
    fixture.settings.head = Head::Softmax;
    assert!((sum(&fixture) - 1.0).abs() < 1e-5);
}

#[test]
fn foreign_sounds_are_heard_and_are_the_backgrounds() {
    let mut fixture = Fixture::new();
    (fixture.settings.empty, fixture.settings.foreign) = (1.0, 1.0);
    fixture.settings.foreign_snr_db = [40.0, 40.0];
    let quiet = fixture.batcher().batch(0);
    fixture.foreign = vec![clip(2, 400, 0..400)];
    let batch = fixture.batcher().batch(0);
    assert!(batch.power.iter().sum::<f32>() > 100.0 * quiet.power.iter().sum::<f32>());
    assert!(batch.targets.chunks_exact(3).all(|target| target == [0.0, 0.0, 1.0]));
}

#[test]
fn a_batch_is_the_same_whenever_it_is_made() {
    let fixture = Fixture { settings: Events::default(), augment: Augment::default(), ..Fixture::new() };
    assert_eq!(fixture.batcher().batch(7), fixture.batcher().batch(7));
    assert_ne!(fixture.batcher().batch(7), fixture.batcher().batch(8));
}
