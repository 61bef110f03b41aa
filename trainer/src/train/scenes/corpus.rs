//! The scenes of a stage, on disk.
//!
//! Enters: how scenes are composed, of what, and the tagger. Leaves: [`Scene`]s by number, composed
//! and heard by the tagger when they are first asked for, and kept in the cache. A scene depends on
//! the settings, the recordings and its number alone, and its file is complete once it has its
//! name: what was interrupted continues where it stopped. The recordings are read when the first
//! scene has to be composed. Scenes are made on the threads that ask for them.

use crate::common::random::{Purpose, rng_for};
use crate::data::scenes::{Listing, Pool, PoolSettings, SceneSettings, compose};
use crate::error::{Error, Result};
use crate::nets::Precision;
use crate::nets::head::Patches;
use crate::nets::teacher::ced::{self, Ced};
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sounds::TruthEvent;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use tch::{Device, Kind, Tensor};

/// How the tagger hears a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// In long pieces, for what a step is: a teacher of a student.
    Pieces,
    /// As a model does that is the tagger with a head.
    Patches(Patches),
}

/// Steps of the tagger that are heard at once, 9.6 s: it wants seconds of context, and hears 10 s
/// at most.
const STEPS_AT_ONCE: usize = 60;
/// Patches that it hears at once.
const PATCHES_AT_ONCE: i64 = 16;
/// Version of the files.
const VERSION: u32 = 1;

/// Makes the scenes of a stage, or finds them.
pub struct SceneCorpus {
    settings: SceneSettings,
    seed: u64,
    n_scenes: usize,
    frontend: FrontendConfig,
    folder: PathBuf,
    listing: Listing,
    making: Making,
    makers: OnceLock<Makers>,
    /// Held while the makers are made.
    guard: Mutex<()>,
    /// Whether every scene was there when it was first asked for.
    is_complete: OnceLock<bool>,
}

/// How scenes are made.
#[derive(Debug, Clone)]
pub struct Making {
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Memory for recordings.
    pub memory_mb: usize,
    /// The place of CED-tiny.
    pub tagger: PathBuf,
    /// Its arithmetic.
    pub precision: Precision,
    /// How it hears.
    pub hearing: Hearing,
}

struct Makers {
    pool: Pool,
    /// Those that no thread is using: each uses one of its own.
    taggers: Mutex<Vec<Ced>>,
}

/// A scene as a training needs it.
#[derive(Debug)]
pub struct Scene {
    /// `(n_frames, n_mels)`, half precision: normalised log-mel values; of patches none.
    pub frames: Tensor,
    /// `(n_steps, 192)`, half precision: the tagger's embedding of each step of 160 ms; of patches
    /// `(n_patches, n_kept + 1, 192)`.
    pub embeddings: Tensor,
    /// `(n_steps, 527)`, 8 bits: 255 times the square roots of the tagger's posteriors.
    pub tags: Tensor,
    /// What sounds when.
    pub events: Vec<Event>,
}

/// A label that sounds, or may sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds.
    pub onset_s: f64,
    /// Seconds.
    pub offset_s: f64,
    /// The label.
    pub label: String,
    /// Whether it sounds for certain.
    pub is_certain: bool,
}

impl SceneCorpus {
    /// The scenes `0..n_scenes` of `settings`, of the recordings of `listing`, in a folder of the
    /// cache.
    ///
    /// # Errors
    ///
    /// If a recording cannot be read, or the cache cannot be written.
    pub fn new(
        settings: &SceneSettings,
        n_scenes: usize,
        seed: u64,
        listing: Listing,
        frontend: &FrontendConfig,
        making: Making,
    ) -> Result<Self> {
        let mut digest = Sha256::new();
        digest.update(listing.digest()?);
        let how = serde_json::to_vec(&(VERSION, settings, seed, frontend.hash(), ced::SHA256, making.precision));
        digest.update(how.map_err(|e| Error::Usage(e.to_string()))?);
        if let Hearing::Patches(Patches { n_steps, first, half }) = making.hearing {
            digest.update([n_steps, first, half].map(|n| n as u8));
        }
        let key: String = digest.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
        let folder = making.cache.join(format!("scenes-{key}"));
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(Self {
            settings: settings.clone(),
            seed,
            n_scenes,
            frontend: frontend.clone(),
            folder,
            listing,
            making,
            makers: OnceLock::new(),
            guard: Mutex::new(()),
            is_complete: OnceLock::new(),
        })
    }

    /// Number of scenes.
    pub fn len(&self) -> usize {
        self.n_scenes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n_scenes == 0
    }

    /// Frames of each scene.
    pub fn n_frames(&self) -> usize {
        self.frontend.n_frames((self.settings.seconds * f64::from(self.frontend.sample_rate)) as usize)
    }

    /// Scene number `k`.
    ///
    /// # Errors
    ///
    /// If a recording or the tagger cannot be read, the sounds do not fit into the scene, or the
    /// cache cannot be written.
    pub fn scene(&self, k: usize) -> Result<Scene> {
        let path = self.path(k);
        if path.exists()
            && let Some(scene) = Scene::read(&path)
        {
            return Ok(scene);
        }
        let scene = self.make(k)?;
        scene.write(&path)?;
        Ok(scene)
    }

    fn path(&self, k: usize) -> PathBuf {
        self.folder.join(format!("{k:06}.safetensors"))
    }

    /// Reads the recordings, on all threads of the pool, unless every scene is in the cache. To be
    /// called before threads of the pool ask for scenes: a thread of the pool that waits for
    /// another one's recordings could be the one that has to decode them.
    ///
    /// # Errors
    ///
    /// If a recording or the tagger cannot be read.
    pub fn prepare(&self) -> Result<()> {
        let are_there = || (0..self.n_scenes).all(|k| self.path(k).exists());
        if *self.is_complete.get_or_init(are_there) { Ok(()) } else { self.makers().map(drop) }
    }

    fn makers(&self) -> Result<&Makers> {
        let _guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(makers) = self.makers.get() {
            return Ok(makers);
        }
        eprintln!("scenes: reading recordings; scenes are composed into {}", self.folder.display());
        let settings = PoolSettings {
            sample_rate: self.frontend.sample_rate,
            memory_mb: self.making.memory_mb,
            ..PoolSettings::default()
        };
        // A tagger that cannot be read is reported before the recordings are read, which takes
        // minutes.
        let taggers = Mutex::new(vec![self.tagger()?]);
        let makers = Makers { pool: Pool::read(self.listing.clone(), settings)?, taggers };
        Ok(self.makers.get_or_init(|| makers))
    }

    fn tagger(&self) -> Result<Ced> {
        let kind = if self.making.precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
        Ced::load(&self.making.tagger)?.to(Device::Cpu, kind)
    }

    fn make(&self, k: usize) -> Result<Scene> {
        let makers = self.makers()?;
        let seed = rng_for(self.seed, Purpose::Composition, k as u64).random();
        let scene = compose(&self.settings, &makers.pool, seed)?;
        let frames = edge_frontend::log_mel(&self.frontend, &scene.samples)?;
        let n_mels = self.frontend.n_mels as i64;
        let free = || makers.taggers.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = free().pop();
        let tagger = unused.map_or_else(|| self.tagger(), Ok)?;
        let frames = Tensor::f_from_slice(&frames)?.f_view([-1, n_mels])?;
        let (kept, (embeddings, tags)) = match self.making.hearing {
            Hearing::Pieces => (frames, hear(&tagger, self.frontend.sample_rate, &scene.samples)?),
            // A head sees only what the tagger outputs.
            Hearing::Patches(patches) => {
                (frames.f_narrow(0, 0, 0)?, hear_patches(&tagger, &self.frontend, patches, &frames)?)
            }
        };
        free().push(tagger);
        let event = |is_certain: bool| {
            move |e: TruthEvent| Event { onset_s: e.onset_s, offset_s: e.offset_s, label: e.label, is_certain }
        };
        let certain = scene.truth.into_iter().map(event(true));
        Ok(Scene {
            frames: kept.f_to_kind(Kind::Half)?,
            embeddings,
            tags,
            events: certain.chain(scene.unsure.into_iter().map(event(false))).collect(),
        })
    }
}

/// What the tagger outputs for a recording: embeddings `(n_steps, 192)` in half precision, and 255
/// times the square roots of the posteriors, `(n_steps, 527)`. The recording is heard in pieces of
/// 9.6 s; a last one that is shorter than half a second is left out.
fn hear(tagger: &Ced, sample_rate: u32, samples: &[f32]) -> Result<(Tensor, Tensor)> {
    let samples = edge_frontend::resample(sample_rate, ced::SAMPLE_RATE, samples)?;
    let n_piece = (STEPS_AT_ONCE as f64 * ced::STEP_S * f64::from(ced::SAMPLE_RATE)) as usize;
    let (whole, rest) = samples.split_at(samples.len() / n_piece * n_piece);
    let mut pieces = Vec::new();
    if !whole.is_empty() {
        pieces.push(Tensor::f_from_slice(whole)?.f_view([-1, n_piece as i64])?);
    }
    if rest.len() >= ced::SAMPLE_RATE as usize / 2 {
        pieces.push(Tensor::f_from_slice(rest)?.f_view([1, -1])?);
    }
    let (mut embeddings, mut tags) = (Vec::new(), Vec::new());
    for piece in pieces {
        let heard = tch::no_grad(|| tagger.hear(&piece))?;
        embeddings.push(heard.embeddings.f_reshape([-1, ced::EMBEDDING_WIDTH as i64])?.f_to_kind(Kind::Half)?);
        tags.push(in_bytes(&heard.posteriors.f_reshape([-1, ced::N_TAGS as i64])?)?);
    }
    Ok((Tensor::f_cat(&embeddings, 0)?, Tensor::f_cat(&tags, 0)?))
}

/// What the tagger outputs for frames `(n_frames, n_mels)` of a scene, patch by patch. Of each
/// patch the embeddings of the steps that are kept and, last, the mean over all its steps,
/// `(n_patches, n_kept + 1, 192)` in half precision; and 255 times the square roots of the
/// posteriors of the steps that are learnt from, `(n_patches * HOP, 527)`.
fn hear_patches(
    tagger: &Ced,
    frontend: &FrontendConfig,
    patches: Patches,
    frames: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let (factor, offset) = assemble::ced::decibels(frontend);
    let decibels = frames.f_mul_scalar(f64::from(factor))?.f_add_scalar(f64::from(offset))?;
    let (size, hop) = ((patches.n_steps * ced::PATCH) as i64, (Patches::HOP * ced::PATCH) as i64);
    // (n_patches, n_mels, size) to (n_patches, size, n_mels).
    let all = decibels.f_unfold(0, size, hop)?.f_transpose(1, 2)?;
    let (mut embeddings, mut tags) = (Vec::new(), Vec::new());
    for piece in all.f_split(PATCHES_AT_ONCE, 0)? {
        let tokens = tagger.tokens_of_frames(&piece.f_contiguous()?)?;
        let heard = tokens.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        let kept = heard.f_narrow(1, (patches.first - patches.half) as i64, patches.n_kept() as i64)?;
        let mean = heard.f_mean_dim([1i64].as_slice(), true, Kind::Float)?;
        let learnt = kept.f_narrow(1, patches.half as i64, Patches::HOP as i64)?;
        tags.push(in_bytes(&tagger.posteriors(&learnt.f_reshape([-1, ced::EMBEDDING_WIDTH as i64])?)?)?);
        embeddings.push(Tensor::f_cat(&[kept, mean], 1)?.f_to_kind(Kind::Half)?);
    }
    Ok((Tensor::f_cat(&embeddings, 0)?, Tensor::f_cat(&tags, 0)?))
}

/// 255 times the square roots of posteriors, in 8 bits.
fn in_bytes(posteriors: &Tensor) -> Result<Tensor> {
    Ok(posteriors.f_sqrt()?.f_mul_scalar(255.0)?.f_round()?.f_to_kind(Kind::Uint8)?)
}

impl Scene {
    /// The scene in the file at `path`, if it is intact.
    fn read(path: &Path) -> Option<Self> {
        let tensors = Tensor::read_safetensors(path).ok()?;
        let get = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, value)| value.shallow_clone());
        let events = Vec::<u8>::try_from(get("events")?).ok()?;
        Some(Self {
            frames: get("frames")?,
            embeddings: get("embeddings")?,
            tags: get("tags")?,
            events: serde_json::from_slice(&events).ok()?,
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let events = serde_json::to_vec(&self.events).map_err(|e| Error::content(path, e.to_string()))?;
        let tensors = [
            ("frames", self.frames.shallow_clone()),
            ("embeddings", self.embeddings.shallow_clone()),
            ("tags", self.tags.shallow_clone()),
            ("events", Tensor::f_from_slice(&events)?),
        ];
        // Several trainings may fill one cache, and several threads ask for one scene.
        static N_WRITTEN: AtomicU64 = AtomicU64::new(0);
        let n_written = N_WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{}-{n_written}.partial", std::process::id()));
        Tensor::write_safetensors(&tensors, &partial).map_err(|e| Error::content(&partial, e.to_string()))?;
        std::fs::rename(&partial, path).map_err(Error::io(path))
    }
}
