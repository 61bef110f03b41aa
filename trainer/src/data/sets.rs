//! Data sets: what a recipe's `[[data]]` tables name, opened as segments.
//!
//! Enters: a [`DataSet`] and the folder of the data. Leaves: an [`Opened`] set: segments that are
//! trained on or held out, and segments of background.

use super::segments::{Options, SegmentSet};
use super::world::{Role, World};
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A data set of a recipe. Paths are relative to the data root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct DataSet {
    /// Name used in reports.
    pub name: String,
    /// Folder that the `file` column of a table is relative to; of EPIC-SOUNDS, the HDF5 file or a
    /// folder with a recording per video.
    pub audio: PathBuf,
    /// What it consists of.
    pub tables: Tables,
}

/// The tables of a data set.
#[derive(Debug, Clone, PartialEq)]
pub enum Tables {
    /// Clips: a CSV with the columns `file`, `label`, `fold` and `source_id`; further columns are
    /// ignored.
    Clips(PathBuf),
    /// Recordings of background: a CSV with the column `file`. They are divided into folds by time.
    Background(PathBuf),
    /// EPIC-SOUNDS: annotations in the form of its authors.
    EpicSounds(EpicSounds),
    /// Recordings of the world, only for composed scenes.
    World(World),
}

/// The annotations of EPIC-SOUNDS.
#[derive(Debug, Clone, PartialEq)]
pub struct EpicSounds {
    /// Trained on.
    pub train: PathBuf,
    /// Evaluated on.
    pub validation: PathBuf,
    /// Segments that the annotators could not put into a category; they serve as background.
    pub uncategorised: Option<PathBuf>,
    /// Number of classes.
    pub n_classes: usize,
    /// Shortest stretch without annotations that serves as background; none to use no such
    /// stretches.
    pub least_gap_s: Option<f64>,
}

/// The keys of `[[data]]` as a recipe has them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    name: String,
    kind: Kind,
    audio: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    csv: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncategorised: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_classes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    least_gap_s: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Clips,
    Background,
    EpicSounds,
    Foreign,
    Ambience,
    Rooms,
}

impl Kind {
    fn role(self) -> Option<Role> {
        match self {
            Self::Foreign => Some(Role::Foreign),
            Self::Ambience => Some(Role::Ambience),
            Self::Rooms => Some(Role::Rooms),
            Self::Clips | Self::Background | Self::EpicSounds => None,
        }
    }
}

impl From<Role> for Kind {
    fn from(role: Role) -> Self {
        match role {
            Role::Foreign => Self::Foreign,
            Role::Ambience => Self::Ambience,
            Role::Rooms => Self::Rooms,
        }
    }
}

/// Classes of EPIC-SOUNDS.
const EPIC_CLASSES: usize = 44;

impl TryFrom<Keys> for DataSet {
    type Error = String;

    fn try_from(keys: Keys) -> std::result::Result<Self, String> {
        let name = keys.name.clone();
        let wrong = |message: &str| format!("data set {name:?}: {message}");
        let needed = |key: &str, value: &Option<PathBuf>| value.clone().ok_or_else(|| wrong(&format!("needs `{key}`")));
        if keys.name.is_empty() {
            return Err("a data set needs a `name`".to_owned());
        }
        if keys.audio.as_os_str().is_empty() {
            return Err(wrong("needs `audio`"));
        }
        let of_epic = [
            ("train", keys.train.is_some()),
            ("validation", keys.validation.is_some()),
            ("uncategorised", keys.uncategorised.is_some()),
            ("n_classes", keys.n_classes.is_some()),
            ("least_gap_s", keys.least_gap_s.is_some()),
        ];
        let misplaced = match keys.kind {
            Kind::EpicSounds => keys.csv.is_some().then_some("csv"),
            _ => of_epic.into_iter().find(|(_, given)| *given).map(|(key, _)| key),
        };
        let of_foreign = (keys.kind != Kind::Foreign && keys.weight.is_some()).then_some("weight");
        let of_world = (keys.kind.role().is_none() && !keys.test.is_empty()).then_some("test");
        let misplaced = misplaced.or(of_world).or(of_foreign);
        if let Some(key) = misplaced {
            return Err(wrong(&format!("`{key}` does not belong to a data set of this kind")));
        }
        let tables = match keys.kind {
            Kind::Foreign | Kind::Ambience | Kind::Rooms => {
                let role = keys.kind.role().unwrap_or(Role::Foreign);
                let weight = keys.weight.unwrap_or(1.0);
                if !(weight > 0.0 && weight.is_finite()) {
                    return Err(wrong("`weight` must be positive"));
                }
                Tables::World(World { role, csv: keys.csv.clone(), test: keys.test.clone(), weight })
            }
            Kind::Clips => Tables::Clips(needed("csv", &keys.csv)?),
            Kind::Background => Tables::Background(needed("csv", &keys.csv)?),
            Kind::EpicSounds => Tables::EpicSounds(EpicSounds {
                train: needed("train", &keys.train)?,
                validation: needed("validation", &keys.validation)?,
                uncategorised: keys.uncategorised.clone(),
                n_classes: keys.n_classes.unwrap_or(EPIC_CLASSES),
                least_gap_s: keys.least_gap_s,
            }),
        };
        Ok(Self { name: keys.name, audio: keys.audio, tables })
    }
}

impl From<DataSet> for Keys {
    fn from(set: DataSet) -> Self {
        let keys = Self { name: set.name, audio: set.audio, ..Self::default() };
        match set.tables {
            Tables::Clips(csv) => Self { csv: Some(csv), ..keys },
            Tables::Background(csv) => Self { kind: Kind::Background, csv: Some(csv), ..keys },
            Tables::EpicSounds(epic) => Self {
                kind: Kind::EpicSounds,
                train: Some(epic.train),
                validation: Some(epic.validation),
                uncategorised: epic.uncategorised,
                n_classes: Some(epic.n_classes),
                least_gap_s: epic.least_gap_s,
                ..keys
            },
            Tables::World(world) => Self {
                kind: world.role.into(),
                csv: world.csv,
                test: world.test,
                weight: (world.role == Role::Foreign).then_some(world.weight),
                ..keys
            },
        }
    }
}

/// The segments of a data set.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Name from the recipe.
    pub name: String,
    /// Names of the classes, by the segments' class index.
    pub labels: Vec<String>,
    /// Segments with a class; those with a fold are held out where it is the held-out one, others
    /// are trained on.
    pub segments: Option<SegmentSet>,
    /// Segments with a class that are always held out.
    pub validation: Option<SegmentSet>,
    /// Background; of a recording without a held-out part, one fold's stretch of time is held out.
    pub background: Option<SegmentSet>,
    /// Background that is always held out.
    pub validation_background: Option<SegmentSet>,
}

impl DataSet {
    /// Whether its segments have classes.
    pub fn has_labels(&self) -> bool {
        matches!(self.tables, Tables::Clips(_) | Tables::EpicSounds(_))
    }

    /// The files that must be there, relative to the data root, each with the name of its key.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let mut files = match &self.tables {
            Tables::Clips(csv) | Tables::Background(csv) => vec![("csv", csv.as_path())],
            Tables::EpicSounds(epic) => {
                let more = epic.uncategorised.iter().map(|path| ("uncategorised", path.as_path()));
                [("train", epic.train.as_path()), ("validation", &epic.validation)].into_iter().chain(more).collect()
            }
            Tables::World(world) => world.csv.iter().map(|csv| ("csv", csv.as_path())).collect(),
        };
        files.push(("audio", &self.audio));
        files
    }

    /// An error for each of the files that is not there.
    pub fn missing(&self, root: &Path) -> Vec<Error> {
        let missing = self.files().into_iter().filter(|(_, path)| !root.join(path).exists());
        let error = |(key, path): (&str, &Path)| {
            let set = &self.name;
            let message =
                format!("does not exist: it is `{key}` of data set {set:?}; --data-root names the folder of the data");
            Error::input(&root.join(path), None, message)
        };
        missing.map(error).collect()
    }

    /// Its kind, as recipes name it.
    pub fn kind(&self) -> &'static str {
        match &self.tables {
            Tables::Clips(_) => "clips",
            Tables::Background(_) => "background",
            Tables::EpicSounds(_) => "epic_sounds",
            Tables::World(world) => world.role.as_str(),
        }
    }

    /// Recordings of the world, if it consists of them.
    pub fn world(&self) -> Option<&World> {
        if let Tables::World(world) = &self.tables { Some(world) } else { None }
    }

    /// Opens the set, whose files lie under `root`.
    ///
    /// # Errors
    ///
    /// If a file is missing, a table is wrong or does not fit its audio; the data set, the file and
    /// the row are named.
    pub fn open(&self, root: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Opened> {
        if let Some(error) = self.missing(root).into_iter().next() {
            return Err(error);
        }
        let audio = root.join(&self.audio);
        let mut opened = Opened {
            name: self.name.clone(),
            labels: Vec::new(),
            segments: None,
            validation: None,
            background: None,
            validation_background: None,
        };
        match &self.tables {
            // Scenes are composed of them; they are no segments.
            Tables::World(_) => (),
            Tables::Clips(csv) => {
                let segments = SegmentSet::clips(&root.join(csv), &audio, frontend, options)?;
                opened.labels = segments.labels().to_vec();
                opened.segments = Some(segments);
            }
            Tables::Background(csv) => {
                opened.background = Some(SegmentSet::background(&root.join(csv), &audio, frontend, options)?);
            }
            Tables::EpicSounds(epic) => {
                // The tables share the memory.
                let n_tables = 2 + usize::from(epic.uncategorised.is_some());
                let options = Options {
                    n_classes: Some(epic.n_classes),
                    audio_bytes: options.audio_bytes / n_tables,
                    feature_bytes: options.feature_bytes / n_tables,
                    ..options.clone()
                };
                let open = |csv: &Path| SegmentSet::annotated(&root.join(csv), &audio, frontend, &options);
                let (train, validation) = (open(&epic.train)?, open(&epic.validation)?);
                opened.labels = merged_labels(&train, &validation)?;
                let uncategorised = epic.uncategorised.as_deref().map(open).transpose()?;
                if uncategorised.is_some() || epic.least_gap_s.is_some() {
                    let background = |set: &SegmentSet| set.without_class(uncategorised.as_ref(), epic.least_gap_s);
                    opened.background = Some(background(&train)?);
                    opened.validation_background = Some(background(&validation)?);
                }
                (opened.segments, opened.validation) = (Some(train), Some(validation));
            }
        }
        Ok(opened)
    }
}

/// Names of the classes in both tables; a class that one of them lacks has its name from the other.
fn merged_labels(train: &SegmentSet, validation: &SegmentSet) -> Result<Vec<String>> {
    let unnamed = |id: usize| format!("class {id}");
    let pairs = train.labels().iter().zip(validation.labels()).enumerate();
    pairs
        .map(|(id, (a, b))| {
            if *a == unnamed(id) {
                return Ok(b.clone());
            }
            if a != b && *b != unnamed(id) {
                let message = format!("class_id: {id} is {b:?} here, but {a:?} in {}", train.path().display());
                return Err(Error::input(validation.path(), None, message));
            }
            Ok(a.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<DataSet, String> {
        toml::from_str::<DataSet>(text).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn keys_belong_to_a_kind() {
        let clips = read("name = \"a\"\naudio = \"b\"\ncsv = \"c.csv\"").unwrap();
        assert_eq!(clips.tables, Tables::Clips("c.csv".into()));
        let epic = "name = \"e\"\nkind = \"epic_sounds\"\naudio = \"x.hdf5\"\ntrain = \"t\"\n";
        assert_eq!(read(epic).unwrap_err(), "data set \"e\": needs `validation`");
        let whole = read(&format!("{epic}validation = \"v\"")).unwrap();
        assert_eq!(toml::from_str::<DataSet>(&toml::to_string(&whole).unwrap()).unwrap(), whole);
        assert!(read(&format!("{epic}validation = \"v\"\ncsv = \"c\"")).unwrap_err().contains("`csv` does not belong"));
        assert!(
            read("name = \"a\"\naudio = \"b\"\ncsv = \"c\"\ntrain = \"t\"").unwrap_err().contains("`train` does not")
        );
        assert!(read("audio = \"b\"\ncsv = \"c\"").unwrap_err().contains("needs a `name`"));
    }
}
