//! Clips: the sound of each event, with what was heard just before and after it, as FLAC files in a
//! folder. Off unless the configuration names that folder.
//!
//! The worker leaves each sample in [`RecentSound`], the last seconds of its source; the main
//! thread says there which events were reported; and the thread `clips` cuts out what belongs to
//! them and writes it to the [`ClipFolder`]. Neither of the first two ever waits for the disk: a
//! clip that cannot be written is lost and counted, and recognition and events go on. Only a
//! recording waits, as it does for its other readers, so that each of its events has its clip
//! however fast it is read.
//!
//! A clip holds what the recogniser hears: the mono sum of the chosen channels, with the gain, at
//! the rate of the source, in 16 bits. Where samples were lost it is silent.
//!
//! What is known of a clip lies beside it in a JSON file, with its listener's [`Mark`]. There is no
//! other index: the journal may be in memory alone, and has forgotten most events long before their
//! clips go; a folder whose files explain themselves can be copied, thinned out by hand, and read
//! by the daemon and a command at once.

mod export;
mod files;
mod folder;
mod keep;
mod mark;
mod name;
mod recent_sound;
mod settings;
mod stretch;
mod trouble;
mod writer;

pub use export::Exported;
pub use folder::{Clip, ClipFolder, ClipQuery, Facts};
pub use mark::Mark;
pub use recent_sound::RecentSound;
pub use settings::ClipSettings;
pub use trouble::ClipError;
pub use writer::{Clips, ClipsGauge, ClipsSnapshot};

#[cfg(test)]
mod tests;
