//! Which capture device, and in which format: a name enters, an opened-to-be device and its
//! configuration leave.
//!
//! Runs on the thread that sets up capture, and for `earwitness devices` on the main thread.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{SampleFormat, SupportedStreamConfigRange};
use serde::Serialize;

use crate::error::{Error, Result};

/// Rates in the order of preference. At 48 and 44.1 kHz devices run natively and our own resampler,
/// whose alias rejection is tested, does the conversion; at 24 kHz and below a sound server or
/// driver of unknown quality may have done it. Higher rates only cost.
const RATES_HZ: [u32; 9] = [48_000, 44_100, 96_000, 88_200, 24_000, 32_000, 22_050, 16_000, 192_000];

/// Rates outside are refused: below, there is too little to hear; above, it is not audio.
const USABLE_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// Sample formats in the order of preference: without loss first, unsigned last because drivers get
/// it wrong most.
const FORMATS: [SampleFormat; 12] = [
    SampleFormat::F32,
    SampleFormat::I32,
    SampleFormat::I24,
    SampleFormat::I16,
    SampleFormat::F64,
    SampleFormat::I64,
    SampleFormat::U16,
    SampleFormat::U32,
    SampleFormat::U24,
    SampleFormat::U64,
    SampleFormat::I8,
    SampleFormat::U8,
];

/// Devices an error message lists.
const MAX_LISTED: usize = 8;

/// ALSA's device of zeros, which every machine has. It can be named, but is not listed.
const OF_ZEROS: &str = "alsa:null";

/// A capture device of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// Stays the same over restarts and reconnections; what `--device` takes.
    pub id: String,
    /// What the device calls itself.
    pub name: String,
    /// For a USB device, its identity and the socket that it is plugged into,
    /// `usb:046d:0825:A1B2@1-1.3`; `--device` takes this, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usb: Option<String>,
    /// Whether it is used when no device is asked for.
    pub is_default: bool,
    /// How it would be opened, `48000 Hz, 1 channel, f32`; `None` where it cannot be opened.
    pub format: Option<String>,
    /// Why it cannot be opened.
    pub error: Option<String>,
}

/// The sample rate, channels and sample format to ask a device for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) sample_rate: u32,
    pub(super) n_channels: u16,
    pub(super) sample_format: SampleFormat,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.n_channels == 1 { "" } else { "s" };
        write!(f, "{} Hz, {} channel{plural}, {}", self.sample_rate, self.n_channels, self.sample_format)
    }
}

/// The capture devices of this machine but that of zeros, the default one first. Opens each for a
/// moment.
///
/// # Errors
///
/// When the machine's sound system cannot be asked.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    #[cfg(target_os = "linux")]
    let _messages = super::alsa_messages::AlsaMessages::keep();
    let host = host()?;
    let default = host.default_input_device();
    let default_id = default.as_ref().map(id_of);
    let usb = usb_names();
    let mut infos = Vec::new();
    for device in default.into_iter().chain(input_devices(&host)?) {
        let id = id_of(&device);
        if id == OF_ZEROS || infos.iter().any(|info: &DeviceInfo| info.id == id) {
            continue;
        }
        let (format, error) = match choose_format(&device, 1) {
            Ok(format) => (Some(format.to_string()), None),
            Err(error) => (None, Some(reason(&error))),
        };
        let of_card = |(card, _): &&(String, String)| card_in(&id) == Some(card);
        infos.push(DeviceInfo {
            is_default: default_id.as_ref() == Some(&id),
            usb: usb.iter().find(of_card).map(|(_, usb)| usb.clone()),
            id,
            name: name_of(&device),
            format,
            error,
        });
    }
    Ok(infos)
}

/// The sound system. `cpal::default_host` would panic where there is none.
pub(super) fn host() -> Result<cpal::Host> {
    let id =
        cpal::available_hosts().into_iter().next().ok_or_else(|| Error::device("default", "no sound system found"))?;
    cpal::host_from_id(id).map_err(|error| Error::device("default", reason(&error)))
}

/// The device called `wanted`: by id, by name, or by a part of either that fits one device only;
/// the default device for `None`.
pub(super) fn find(host: &cpal::Host, wanted: Option<&str>) -> Result<cpal::Device> {
    let Some(wanted) = wanted else {
        return host.default_input_device().ok_or_else(|| Error::device("default", "no capture device found"));
    };
    let wanted = &in_alsa(wanted)?;
    let all = input_devices(host)?;
    let names: Vec<Name> = all.iter().map(|device| Name { id: id_of(device), name: name_of(device) }).collect();
    let index = pick(&names, wanted).map_err(|reason| Error::device(wanted, reason))?;
    all.into_iter().nth(index).ok_or_else(|| Error::device(wanted, "no such capture device"))
}

/// The best format the device offers.
pub(super) fn choose_format(device: &cpal::Device, n_channels: u16) -> Result<Format, cpal::Error> {
    let ranges: Vec<_> = device.supported_input_configs()?.collect();
    best_format(&ranges, n_channels).ok_or_else(|| {
        let id = id_of(device);
        let name = id.split_once(':').map_or(id.as_str(), |(_, name)| name);
        let remedy = match name.strip_prefix("hw:") {
            Some(card) => format!("use plughw:{card}, which converts them"),
            None => format!("try arecord: --source \"exec:arecord -D {name} -t raw -f S16_LE -r 48000\""),
        };
        let text = format!("its capture formats are unknown: {remedy}");
        cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, text)
    })
}

/// cpal's cause as part of our sentence: its messages begin with a capital and end with a full
/// stop.
pub(super) fn reason(error: &cpal::Error) -> String {
    let text = match error.kind() {
        cpal::ErrorKind::DeviceNotAvailable => "no such capture device, or it was disconnected".to_string(),
        _ => error.to_string(),
    };
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // Not the first letter of an abbreviation, such as ALSA.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_string(),
    }
}

/// The id that `earwitness devices` shows.
pub(super) fn id_of(device: &cpal::Device) -> String {
    device.id().map_or_else(|_| String::new(), |id| id.to_string())
}

/// The name that `earwitness devices` shows.
pub(super) fn name_of(device: &cpal::Device) -> String {
    device.description().map_or_else(|_| id_of(device), |description| description.name().to_string())
}

fn input_devices(host: &cpal::Host) -> Result<Vec<cpal::Device>> {
    let devices = host.input_devices().map_err(|error| Error::device("default", reason(&error)))?;
    Ok(devices.collect())
}

/// The name by which ALSA knows the device `wanted` today.
#[cfg(target_os = "linux")]
fn in_alsa(wanted: &str) -> Result<String> {
    use super::identity::{SYSFS, USB, card_of, usb_cards};
    if !wanted.starts_with(USB) {
        return Ok(wanted.to_string());
    }
    let cards = usb_cards(std::path::Path::new(SYSFS));
    let card = card_of(wanted, &cards).map_err(|reason| Error::device(wanted, reason))?;
    // Of the card's many names the one that always opens.
    Ok(format!("plughw:CARD={card},DEV=0"))
}

#[cfg(not(target_os = "linux"))]
fn in_alsa(wanted: &str) -> Result<String> {
    Ok(wanted.to_string())
}

/// ALSA's ids of the USB cards and what stays of them.
#[cfg(target_os = "linux")]
fn usb_names() -> Vec<(String, String)> {
    let cards = super::identity::usb_cards(std::path::Path::new(super::identity::SYSFS));
    cards.into_iter().map(|card| (card.card.clone(), card.to_string())).collect()
}

#[cfg(not(target_os = "linux"))]
fn usb_names() -> Vec<(String, String)> {
    Vec::new()
}

/// The card in one of ALSA's names: `USB` in `alsa:plughw:CARD=USB,DEV=0`.
fn card_in(id: &str) -> Option<&str> {
    let (_, rest) = id.split_once("CARD=")?;
    rest.split(',').next()
}

struct Name {
    id: String,
    name: String,
}

/// Index of the device that `wanted` means.
fn pick(names: &[Name], wanted: &str) -> Result<usize, String> {
    let local = |name: &Name| name.id.split_once(':').map_or("", |(_, local)| local) == wanted;
    let spelled = spelled_out(wanted);
    let is_spelled = |name: &Name| name.id.split_once(':').is_some_and(|(_, local)| Some(local) == spelled.as_deref());
    let exact = names.iter().position(|name| name.id == wanted || local(name) || is_spelled(name));
    if let Some(index) = exact.or_else(|| names.iter().position(|name| name.name == wanted)) {
        return Ok(index);
    }
    let part = wanted.to_lowercase();
    let fits = |name: &Name| name.id.to_lowercase().contains(&part) || name.name.to_lowercase().contains(&part);
    let found: Vec<usize> = (0..names.len()).filter(|&index| !part.is_empty() && fits(&names[index])).collect();
    let Some(&first) = found.first() else {
        let names: Vec<&Name> = names.iter().filter(|name| name.id != OF_ZEROS).collect();
        return Err(match names.as_slice() {
            // ALSA knows more names than it lists.
            _ if wanted.contains(':') && !wanted.starts_with("alsa:") && !names.is_empty() => format!(
                "ALSA does not list this name; arecord may know it: --source \"exec:arecord -D {wanted} -t raw -f \
                 S16_LE -r 48000\"; ALSA lists {}",
                list(&names)
            ),
            [] => "no capture device found".to_string(),
            _ => format!("no such capture device; this machine has {}", list(&names)),
        });
    };
    // ALSA lists one card under many names: raw, with conversions, shared... With conversions is
    // the one that always opens.
    if found.iter().all(|&index| names[index].name == names[first].name) {
        let converting = found.iter().find(|&&index| names[index].id.contains("plughw:"));
        return Ok(*converting.unwrap_or(&first));
    }
    Err(format!(
        "the name fits several capture devices; use one of these ids: {}",
        list(&found.iter().map(|&index| &names[index]).collect::<Vec<_>>())
    ))
}

/// `hw:1,0` as ALSA lists it: `hw:CARD=1,DEV=0`.
fn spelled_out(wanted: &str) -> Option<String> {
    let (kind, card) = wanted.trim_start_matches("alsa:").split_once(':')?;
    if card.contains('=') || !matches!(kind, "hw" | "plughw" | "sysdefault" | "dsnoop" | "front") {
        return None;
    }
    let (card, device) = card.split_once(',').unwrap_or((card, "0"));
    let device = device.split(',').next()?;
    Some(if kind == "sysdefault" { format!("{kind}:CARD={card}") } else { format!("{kind}:CARD={card},DEV={device}") })
}

fn list(names: &[&Name]) -> String {
    let n_more = names.len().saturating_sub(MAX_LISTED);
    let mut text = names.iter().take(MAX_LISTED).map(|name| name.id.as_str()).collect::<Vec<_>>().join(", ");
    if n_more > 0 {
        text.push_str(&format!(" and {n_more} more"));
    }
    text
}

/// The best of `ranges`, with as few channels as will do: `n_least`, or more, or else as many as
/// there are.
fn best_format(ranges: &[SupportedStreamConfigRange], n_least: u16) -> Option<Format> {
    let candidates = ranges.iter().filter_map(|range| {
        let (rate_rank, sample_rate) = best_rate(range.min_sample_rate(), range.max_sample_rate())?;
        let format_rank = FORMATS.iter().position(|&format| format == range.sample_format())?;
        let n_channels = range.channels();
        let format = Format { sample_rate, n_channels, sample_format: range.sample_format() };
        let n_missing = n_least.saturating_sub(n_channels);
        (n_channels > 0).then_some(((n_missing, rate_rank, format_rank, n_channels), format))
    });
    candidates.min_by_key(|(rank, _)| *rank).map(|(_, format)| format)
}

/// The best rate in `min..=max` and its rank; an unusual one where the device has no other.
fn best_rate(min: u32, max: u32) -> Option<(usize, u32)> {
    let preferred = RATES_HZ.iter().position(|rate| (min..=max).contains(rate));
    let unusual = max.min(*USABLE_HZ.end());
    match preferred {
        Some(rank) => Some((rank, RATES_HZ[rank])),
        None => (unusual >= min && USABLE_HZ.contains(&unusual)).then_some((RATES_HZ.len(), unusual)),
    }
}

#[cfg(test)]
mod tests;
