//! One sound from its generator to a finished recording: place, level, recording noise.

use crate::math;
use crate::rng::Rng;
use crate::room::{self, Place};
use crate::sound::Sound;
use crate::take::Take;
use crate::{
    alert, animal, door, engine, fault, furniture, heat, knock, liquid, machine, music, rainfall, scrape, signal,
};
use crate::{tableware, voice, wind};

/// Renders `seconds` of `sound` at `sample_rate` Hz: mono, magnitude at most 1, at the level that
/// such recordings have.
///
/// Every property that differs between two real recordings of a class is drawn from `seed`; the
/// same arguments return the same samples on every platform. Sounds that come in blows or calls
/// begin within the first 0.2 s and repeat.
///
/// # Panics
///
/// If `sample_rate` is below 8000 Hz or `seconds` is not finite.
pub fn render(sound: Sound, sample_rate: u32, seconds: f32, seed: u64) -> Vec<f32> {
    record(sound, sample_rate, seconds, seed, Recording::Varied)
}

/// How a take is recorded.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Recording {
    /// Level by seed, and the noise of a random recorder beneath.
    Varied,
    /// At the class's middle level and without noise: for scenes, which have one room and one
    /// microphone.
    Clean,
}

pub(crate) fn record(sound: Sound, sample_rate: u32, seconds: f32, seed: u64, recording: Recording) -> Vec<f32> {
    assert!(sample_rate >= 8000, "sample rate {sample_rate} Hz is below 8000 Hz");
    assert!(seconds.is_finite(), "length {seconds} s is not finite");
    let rate = sample_rate as f32;
    let n = (seconds.max(0.0) * rate) as usize;
    if n == 0 {
        return Vec::new();
    }
    // Sounds of equal seed share nothing: the name is mixed into it (FNV-1a).
    let name = sound
        .name()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = Rng::new(seed ^ name);
    let mut take = Take::new(rate, n, rng.fork());
    let place = play(sound, &mut take);
    if sound != Sound::Silence {
        room::place(&mut take.samples, rate, &mut rng.fork(), place);
    }
    let (middle_db, spread_db) = level(sound);
    let offset_db = if recording == Recording::Varied { (spread_db * rng.normal()).clamp(-15.0, 12.0) } else { 0.0 };
    let mut samples = take.samples;
    let gain = math::from_db(middle_db + offset_db) / math::rms(&samples).max(1e-9);
    for x in &mut samples {
        *x *= gain;
    }
    limit(&mut samples, &mut rng);
    if recording == Recording::Varied && rng.chance(noisy(sound)) {
        let bed_db = (middle_db - rng.uniform(14.0, 42.0)).clamp(-75.0, -44.0);
        let bed = signal::bed(&mut rng, rate, n);
        let gain = math::from_db(bed_db) / math::rms(&bed).max(1e-9);
        for (x, bed) in samples.iter_mut().zip(&bed) {
            *x += gain * bed;
        }
    }
    let peak = math::peak(&samples);
    if peak > LOUDEST {
        for x in &mut samples {
            *x *= LOUDEST / peak;
        }
    }
    samples
}

/// The chance that a recording has audible noise: clips of single calls are often cut out and
/// padded with nothing.
fn noisy(sound: Sound) -> f32 {
    match sound {
        Sound::Silence => 0.0,
        Sound::Dog | Sound::Rooster | Sound::Sneezing => 0.4,
        _ => 0.85,
    }
}

/// A recorder's soft limiter: peaks beyond 18-28 dB over the RMS are rounded off.
fn limit(samples: &mut [f32], rng: &mut Rng) {
    let knee = math::rms(samples).max(1e-9) * math::from_db(rng.uniform(18.0, 28.0));
    for x in samples {
        let ratio = *x / knee;
        *x /= (1.0 + ratio * ratio).sqrt();
    }
}

/// Peaks above this are scaled down, the whole recording with them.
const LOUDEST: f32 = 0.98;

/// Runs the generator; returns where such a sound is heard.
pub(crate) fn play(sound: Sound, take: &mut Take) -> Place {
    let generate = match sound {
        Sound::Rain => return rainfall::rain(take),
        Sound::SeaWaves => return outdoors(rainfall::sea_waves, take),
        Sound::Chainsaw => return outdoors(engine::chainsaw, take),
        Sound::Helicopter => return outdoors(engine::helicopter, take),
        Sound::Rooster => return outdoors(animal::rooster, take),
        Sound::Wind => return outdoors(wind::gusts, take),
        Sound::CarPassing => return outdoors(engine::cars_passing, take),
        Sound::Hum => return wired(fault::mains_hum, take),
        Sound::Overdriven => return wired(fault::overdriven, take),
        Sound::Blender => machine::blender,
        Sound::BoilingWater => liquid::boiling_water,
        Sound::Book => scrape::book,
        Sound::Chopping => knock::chopping,
        Sound::CleanDishes => liquid::clean_dishes,
        Sound::Cupboard => furniture::cupboard,
        Sound::Cutlery => tableware::cutlery,
        Sound::Dishwasher => liquid::dishwasher,
        Sound::Drawer => furniture::drawer,
        Sound::Eat => scrape::eat,
        Sound::Fridge => furniture::fridge,
        Sound::FryingPan => heat::frying_pan,
        Sound::Juicer => machine::juicer,
        Sound::Microwave => machine::microwave,
        Sound::Peel => scrape::peel,
        Sound::Plates => tableware::plates,
        Sound::StoveBurner => heat::stove_burner,
        Sound::StoveFan => machine::stove_fan,
        Sound::Sweep => scrape::sweep,
        Sound::WaterFlowing => liquid::water_flowing,
        Sound::ClockTick => signal::clock_tick,
        Sound::CracklingFire => heat::crackling_fire,
        Sound::CryingBaby => voice::crying_baby,
        Sound::Dog => animal::dog,
        Sound::Sneezing => voice::sneezing,
        Sound::Footsteps => knock::footsteps,
        Sound::Typing => knock::typing,
        Sound::Babble => voice::babble,
        Sound::Vacuum => machine::vacuum,
        Sound::Beep => signal::beep,
        Sound::RoomNoise => signal::room_noise,
        Sound::Silence => signal::silence,
        Sound::Door => door::hinged,
        Sound::Knocking => knock::knocking,
        Sound::Paper => scrape::paper,
        Sound::Alarm => alert::alarm,
        Sound::Chords => music::chords,
        Sound::SlidingDoor => door::sliding,
        Sound::Draught => wind::draught,
        Sound::Melody => music::melody,
        Sound::Whistle => music::whistle,
        Sound::RingTone => alert::ring_tone,
        Sound::Radio => fault::radio,
    };
    generate(take);
    Place::Indoors
}

fn outdoors(generate: fn(&mut Take), take: &mut Take) -> Place {
    generate(take);
    Place::Outdoors
}

fn wired(generate: fn(&mut Take), take: &mut Take) -> Place {
    generate(take);
    Place::Wire
}

/// RMS over a recording in dBFS: middle and standard deviation. Measured on the clips of Kitchen20
/// and ESC-10 (median; a 2.56th of the range from the 10th to the 90th percentile, bounded at 6);
/// negatives by judgement.
fn level(sound: Sound) -> (f32, f32) {
    match sound {
        Sound::Blender => (-22.0, 6.0),
        Sound::BoilingWater => (-31.0, 6.0),
        Sound::Book => (-42.0, 6.0),
        Sound::Chopping => (-29.0, 6.0),
        Sound::CleanDishes => (-32.0, 6.0),
        Sound::Cupboard => (-33.0, 6.0),
        Sound::Cutlery => (-32.0, 6.0),
        Sound::Dishwasher => (-31.0, 6.0),
        Sound::Drawer => (-32.0, 6.0),
        Sound::Eat => (-40.0, 6.0),
        Sound::Fridge => (-36.0, 6.0),
        Sound::FryingPan => (-37.0, 6.0),
        Sound::Juicer => (-25.0, 6.0),
        Sound::Microwave => (-35.0, 6.0),
        Sound::Peel => (-45.0, 6.0),
        Sound::Plates => (-26.0, 6.0),
        Sound::StoveBurner => (-37.0, 6.0),
        Sound::StoveFan => (-26.0, 6.0),
        Sound::Sweep => (-50.0, 6.0),
        Sound::WaterFlowing => (-32.0, 5.0),
        Sound::Chainsaw => (-16.0, 3.0),
        Sound::ClockTick => (-37.0, 5.0),
        Sound::CracklingFire => (-31.0, 6.0),
        Sound::CryingBaby => (-20.0, 3.0),
        Sound::Dog => (-21.0, 5.0),
        Sound::Helicopter => (-16.0, 3.0),
        Sound::Rain => (-21.0, 4.0),
        Sound::Rooster => (-19.0, 4.0),
        Sound::SeaWaves => (-20.0, 2.5),
        Sound::Sneezing => (-24.0, 4.0),
        Sound::Footsteps => (-38.0, 6.0),
        Sound::Typing => (-42.0, 6.0),
        Sound::Babble => (-30.0, 6.0),
        Sound::Vacuum => (-27.0, 6.0),
        Sound::Beep => (-30.0, 6.0),
        Sound::RoomNoise => (-52.0, 6.0),
        Sound::Silence => (-92.0, 4.0),
        Sound::Door => (-34.0, 6.0),
        Sound::Knocking => (-33.0, 6.0),
        Sound::Paper => (-40.0, 6.0),
        Sound::Wind => (-28.0, 6.0),
        Sound::Hum => (-44.0, 6.0),
        Sound::Chords => (-30.0, 6.0),
        Sound::Alarm => (-24.0, 5.0),
        Sound::Overdriven => (-13.0, 2.0),
        Sound::SlidingDoor => (-36.0, 6.0),
        Sound::Draught => (-38.0, 6.0),
        Sound::Melody => (-30.0, 6.0),
        Sound::Whistle => (-32.0, 6.0),
        Sound::RingTone => (-28.0, 6.0),
        Sound::CarPassing => (-36.0, 6.0),
        Sound::Radio => (-33.0, 6.0),
    }
}
