//! Which clips are kept: the section `[clips]` enters, complete settings leave.

use std::time::Duration;

use crate::clips::ClipSettings;
use crate::config::{ClipsSection, ConfigFile};
use crate::error::Result;

const PRE_ROLL_S: f64 = 2.0;
const POST_ROLL_S: f64 = 2.0;
const MAX_LENGTH_S: f64 = 30.0;
const MAX_MB: u32 = 500;
const MAX_AGE_DAYS: u32 = 14;

/// The settings; `None` where no folder is named.
pub(super) fn clips(section: &ClipsSection, file: &ConfigFile) -> Result<Option<ClipSettings>> {
    let Some(folder) = &section.folder else {
        return match without_folder(section) {
            Some(key) => {
                Err(file.error(key, "has no effect without clips.folder: name the folder, or leave this key out"))
            }
            None => Ok(None),
        };
    };
    let (pre_roll_s, post_roll_s) =
        (section.pre_roll_s.unwrap_or(PRE_ROLL_S), section.post_roll_s.unwrap_or(POST_ROLL_S));
    let max_length_s = section.max_length_s.unwrap_or(MAX_LENGTH_S);
    if pre_roll_s >= max_length_s {
        let reason = format!("the sound before the event, {pre_roll_s} s, fills the longest clip, {max_length_s} s");
        let key = if section.max_length_s.is_some() { "clips.max_length_s" } else { "clips.pre_roll_s" };
        return Err(file.error(key, reason));
    }
    Ok(Some(ClipSettings {
        folder: file.resolve(folder),
        pre_roll: Duration::from_secs_f64(pre_roll_s),
        post_roll: Duration::from_secs_f64(post_roll_s),
        max_length: Duration::from_secs_f64(max_length_s),
        max_bytes: u64::from(section.max_mb.unwrap_or(MAX_MB)) * 1_000_000,
        max_age: Duration::from_secs(u64::from(section.max_age_days.unwrap_or(MAX_AGE_DAYS)) * 86_400),
    }))
}

/// The first key of a section without a folder.
fn without_folder(section: &ClipsSection) -> Option<&'static str> {
    let given = [
        ("clips.pre_roll_s", section.pre_roll_s.is_some()),
        ("clips.post_roll_s", section.post_roll_s.is_some()),
        ("clips.max_length_s", section.max_length_s.is_some()),
        ("clips.max_mb", section.max_mb.is_some()),
        ("clips.max_age_days", section.max_age_days.is_some()),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
}
