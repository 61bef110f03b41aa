//! Which recordings a pool has, before any of them is read.

use crate::data::Contents;
use crate::data::csv::{Row, read_table};
use crate::data::folder;
use crate::data::folds::{self, FoldMode};
use crate::data::sets::{DataSet, Tables};
use crate::data::world::{Purpose, Recording, Role};
use crate::error::{Error, Result};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Which recordings of a recipe's data sets a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// What folds are.
    pub folds: FoldMode,
    /// Held-out fold; none if all clips are trained on.
    pub fold: Option<u32>,
    /// For training: the clips of the other folds, and the rest of each background recording. Else
    /// the clips of the held-out fold, and its stretch of each background recording. Of the world
    /// the recordings for this purpose.
    pub purpose: Purpose,
}

/// The recordings of a pool.
#[derive(Clone, Debug)]
pub struct Listing {
    pub(super) name: String,
    pub(super) root: PathBuf,
    pub(super) share: Share,
    pub(super) labels: Vec<String>,
    pub(super) clips: Vec<Listed>,
    /// By data set, each with how often it comes up.
    pub(super) unknown: Vec<(f64, Vec<Listed>)>,
    pub(super) beds: Vec<Listed>,
    pub(super) rooms: Vec<Listed>,
    /// Generated clips, only in trainings.
    pub(super) generated: Vec<Generated>,
}

/// A clip of the generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generated {
    pub(super) sound: sounds::Sound,
    /// Index into the labels.
    pub(super) class: usize,
    pub(super) seconds: f64,
    pub(super) seed: u64,
}

/// One recording of a pool.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    /// Index into the labels, of a clip.
    pub(super) class: usize,
    /// The label that a sound without one may have.
    pub(super) like: Option<String>,
    /// Whether folds hold out stretches of it.
    pub(super) is_divided: bool,
}

impl Listed {
    pub(super) fn clip(path: &Path, class: usize) -> Self {
        Self { path: path.to_owned(), class, like: None, is_divided: false }
    }
}

impl Listing {
    /// The clips, backgrounds and recordings of the world that `share` says, of the data sets of
    /// the recipe called `name`. A background recording whose table gives it a label of the recipe
    /// is left out, since it would be an event.
    ///
    /// # Errors
    ///
    /// If a table is wrong, there is no such fold, or a data set of the world has nothing to train
    /// on.
    pub fn of_data(name: &str, contents: &Contents, root: &Path, share: Share) -> Result<Self> {
        let (rows, quiet) = tables(contents.sets, root)?;
        let mut labels: Vec<String> = Vec::new();
        for (_, own) in &rows {
            let mut own: Vec<&String> = own.iter().map(|row| &row.label).collect();
            own.sort_unstable();
            own.dedup();
            labels.extend(own.into_iter().filter(|l| !labels.contains(l)).cloned().collect::<Vec<_>>());
        }
        labels.retain(|label| contents.background != Some(label));
        let class_of = |label: &str| labels.iter().position(|known| known == label);
        let fold_of_rows = fold_of_rows(&rows, &labels, share.folds);
        if let Some(fold) = share.fold.filter(|fold| !fold_of_rows.contains(fold)) {
            let mut there = fold_of_rows;
            there.sort_unstable();
            there.dedup();
            return Err(Error::Usage(format!("fold {fold} does not exist; the data has folds {there:?}")));
        }
        let trains = share.purpose == Purpose::Training;
        let all = rows.iter().flat_map(|(_, own)| own).zip(&fold_of_rows);
        let chosen = all.filter(|(_, fold)| (Some(**fold) == share.fold) != trains);
        let clips = chosen.filter_map(|(row, _)| Some(Listed::clip(&row.path, class_of(&row.label)?))).collect();
        let steady = quiet.iter().filter(|row| row.content.as_deref().and_then(class_of).is_none());
        let divided = |row: &Row| Listed { is_divided: true, ..Listed::clip(&row.path, 0) };
        let generated = contents.procedural.filter(|_| trains).map_or(Vec::new(), |settings| {
            let with_label = sounds::Sound::all().iter().filter_map(|&sound| Some((sound, class_of(sound.label()?)?)));
            let seeds = settings.seed..settings.seed + settings.clips_per_class as u64;
            let clips = |(sound, class): (sounds::Sound, usize)| {
                seeds.clone().map(move |seed| Generated { sound, class, seconds: settings.seconds, seed })
            };
            with_label.flat_map(clips).collect()
        });
        let mut listing = Self {
            generated,
            name: name.to_owned(),
            root: root.to_owned(),
            share,
            beds: steady.map(divided).collect(),
            clips,
            unknown: Vec::new(),
            rooms: Vec::new(),
            labels,
        };
        for set in contents.sets {
            let Some(world) = set.world() else { continue };
            let mut recordings = world.recordings(root, &set.audio, share.purpose)?;
            // In a training such a recording is neither a sound of its label nor of none; where
            // false alarms are counted it would be either.
            recordings.retain(|recording| trains || recording.like.is_none());
            if recordings.is_empty() && trains {
                return Err(Error::Usage(format!("data set {:?} has no recording to train on", set.name)));
            }
            let to = match world.role {
                Role::Foreign => {
                    listing.unknown.push((world.weight, Vec::new()));
                    let last = listing.unknown.len() - 1;
                    &mut listing.unknown[last].1
                }
                Role::Ambience => &mut listing.beds,
                Role::Rooms => &mut listing.rooms,
            };
            to.extend(
                recordings.into_iter().map(|Recording { path, like, .. }| Listed { like, ..Listed::clip(&path, 0) }),
            );
        }
        Ok(listing)
    }

    /// The same without labelled clips and without what folds hold out parts of.
    pub fn of_the_world(self) -> Self {
        let beds = self.beds.into_iter().filter(|bed| !bed.is_divided).collect();
        Self { clips: Vec::new(), generated: Vec::new(), beds, ..self }
    }

    /// A digest of the names, the parts that are played and the contents of all recordings.
    ///
    /// # Errors
    ///
    /// If a recording cannot be read.
    pub fn digest(&self) -> Result<Vec<u8>> {
        let mut digest = Sha256::new();
        // Of a recording that is not divided, the fold changes nothing.
        let divided = self.beds.iter().any(|bed| bed.is_divided);
        digest.update(format!("{:?}", (self.share.purpose, divided.then_some(self.share.fold))));
        if !self.generated.is_empty() {
            digest.update(format!("{:?}", self.generated));
        }
        let weights: Vec<f64> = self.unknown.iter().map(|(weight, _)| *weight).collect();
        digest.update(format!("{weights:?}"));
        let unknown = self.unknown.iter().map(|(_, recordings)| recordings);
        let parts = [&self.clips, &self.beds, &self.rooms].into_iter().chain(unknown);
        for (part, recordings) in parts.enumerate() {
            for Listed { path, class, like, .. } in recordings {
                let label = self.labels.get(*class).filter(|_| part == 0);
                digest.update(format!("{:?}", (part, folder::name_below(path, &self.root), label, like)));
                digest.update(Sha256::digest(std::fs::read(path).map_err(Error::io(path))?));
            }
        }
        Ok(digest.finalize().to_vec())
    }
}

/// The rows of a recipe's labelled sets, with the sets' names, and those of its background.
type Rows = (Vec<(String, Vec<Row>)>, Vec<Row>);

fn tables(sets: &[DataSet], root: &Path) -> Result<Rows> {
    let (mut labelled, mut background) = (Vec::new(), Vec::new());
    for set in sets {
        let audio = root.join(&set.audio);
        match &set.tables {
            Tables::Clips(csv) => labelled.push((set.name.clone(), read_table(&root.join(csv), &audio, false)?)),
            Tables::Background(csv) => background.extend(read_table(&root.join(csv), &audio, true)?),
            Tables::World(_) => (),
            Tables::EpicSounds(_) => {
                let message = format!("data set {:?}: scenes are composed of clips, not of annotated videos", set.name);
                return Err(Error::Usage(message));
            }
        }
    }
    Ok((labelled, background))
}

/// The fold of each row.
fn fold_of_rows(rows: &[(String, Vec<Row>)], labels: &[String], folds: FoldMode) -> Vec<u32> {
    let all = || rows.iter().flat_map(|(set, own)| own.iter().map(move |row| (set, row)));
    match folds {
        FoldMode::Official => all().map(|(_, row)| row.fold).collect(),
        FoldMode::Source => {
            let class = |label: &String| labels.iter().position(|known| known == label).unwrap_or(labels.len());
            let key = |(set, row): (&String, &Row)| (class(&row.label), format!("{set}/{}", row.source));
            folds::by_source(&all().map(key).collect::<Vec<_>>())
        }
    }
}
