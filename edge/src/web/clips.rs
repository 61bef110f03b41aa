//! Clips of events: their sound leaves; marks of a listener, or requests to delete them, enter.

use std::collections::HashMap;
use std::fs;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::answer::{Answer, error, json};
use super::range;
use super::site::PageSite;
use crate::clips::{ClipError, ClipFolder, Mark};
use crate::event::Event;

/// What is to be stored about a clip.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    id: String,
    /// `"right"`, `{"wrong": LABEL}`, or null to take it back.
    mark: Option<Mark>,
}

/// Which clip is to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gone {
    id: String,
}

/// Those of `events` that have a clip, and its mark.
pub(super) fn marks(site: &PageSite, events: &[Event]) -> HashMap<Uuid, Option<Mark>> {
    let Some(folder) = &site.clips else { return HashMap::new() };
    // A folder that cannot be read is one of the findings of the health.
    folder.marks(&events.iter().map(|event| event.id).collect()).unwrap_or_default()
}

/// The sound of the clip whose file is asked for as `name`, `ID.flac`, or the part of it that the
/// `headers` of the request ask for.
pub(super) fn sound(name: &str, headers: &HeaderMap, site: &PageSite) -> Answer {
    let id = name.strip_suffix(".flac").and_then(|id| Uuid::try_parse(id).ok());
    let (Some(id), Some(folder)) = (id, &site.clips) else {
        return error(StatusCode::NOT_FOUND, "there is no such clip");
    };
    let read = folder.clip(id).map_err(|cause| failed(&cause));
    match read.map(|clip| fs::read(clip.file)) {
        Ok(Ok(bytes)) => range::answer("audio/flac", bytes, headers),
        Ok(Err(cause)) => error(StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()),
        Err(answer) => answer,
    }
}

/// Stores a listener's mark of a clip.
pub(super) fn mark(request: &[u8], site: &PageSite) -> Answer {
    let change = |folder: &ClipFolder, said: Said| {
        Uuid::try_parse(&said.id).map(|id| folder.mark(id, said.mark).map(drop)).map_err(|error| error.to_string())
    };
    changed(request, site, change)
}

/// Removes a clip.
pub(super) fn delete(request: &[u8], site: &PageSite) -> Answer {
    let change = |folder: &ClipFolder, gone: Gone| {
        Uuid::try_parse(&gone.id).map(|id| folder.delete(id)).map_err(|error| error.to_string())
    };
    changed(request, site, change)
}

/// Makes a change to the folder, where the page may.
fn changed<T: for<'de> Deserialize<'de>>(
    request: &[u8],
    site: &PageSite,
    change: impl FnOnce(&ClipFolder, T) -> Result<Result<(), ClipError>, String>,
) -> Answer {
    let (Some(folder), Some(_)) = (&site.clips, &site.writable) else {
        let reason = "the page may not change clips: it was started without web.write or --web-write";
        return error(StatusCode::FORBIDDEN, reason);
    };
    let wanted = match serde_json::from_slice(request) {
        Ok(wanted) => wanted,
        Err(cause) => return error(StatusCode::BAD_REQUEST, format!("the request is not understood: {cause}")),
    };
    match change(folder, wanted) {
        Ok(Ok(())) => json(&json!({})),
        Ok(Err(cause)) => failed(&cause),
        Err(reason) => error(StatusCode::BAD_REQUEST, format!("this is not the id of an event: {reason}")),
    }
}

fn failed(cause: &ClipError) -> Answer {
    let status = match cause {
        ClipError::Unknown(_) => StatusCode::NOT_FOUND,
        ClipError::Label(_) => StatusCode::BAD_REQUEST,
        ClipError::Folder(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, cause.to_string())
}
