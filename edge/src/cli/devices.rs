//! `earwitness devices`: lists what can be listened to, or measures the sound of one device.

use edge::Result;

use super::args::DevicesArgs;

#[cfg(feature = "mic")]
pub(super) fn devices(args: &DevicesArgs) -> Result<()> {
    use std::collections::BTreeMap;
    use std::io::Write;

    use super::stdout_error;

    edge::logging::start("error")?;
    if let Some(device) = &args.listen {
        return listen(device.as_deref(), args.json);
    }
    let devices = {
        let _quiet = quiet::Quiet::new();
        edge::capture::devices()?
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        let json = serde_json::to_string(&devices)
            .unwrap_or_else(|error| unreachable!("a device has only string keys: {error}"));
        return writeln!(out, "{json}").map_err(stdout_error);
    }
    if devices.is_empty() {
        super::say(format_args!("earwitness: this machine has no capture devices"));
    }
    // ALSA lists plugins as devices, too, most of which lead to no sound card.
    let (shown, closed): (Vec<_>, Vec<_>) =
        devices.iter().partition(|device| device.is_default || device.format.is_some() || device.usb.is_some());
    let width = shown.iter().map(|device| device.id.chars().count()).max().unwrap_or(0);
    for device in shown {
        let mark = if device.is_default { '*' } else { ' ' };
        let state = device.format.clone().unwrap_or_else(|| format!("cannot be opened: {}", reason(device)));
        let usb = device.usb.as_ref().map_or(String::new(), |usb| format!("  {usb}"));
        writeln!(out, "{mark} {:width$}  {}  ({state}){usb}", device.id, device.name).map_err(stdout_error)?;
    }
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for device in closed {
        by_reason.entry(reason(device)).or_default().push(&device.id);
    }
    for (reason, ids) in by_reason {
        writeln!(out, "  cannot be opened: {reason}: {}", ids.join(", ")).map_err(stdout_error)?;
    }
    if devices.iter().any(|device| device.is_default) {
        super::say(format_args!(
            "* is the default; --device takes an id, a name or a part of a name, or a text that begins with usb:"
        ));
    }
    Ok(())
}

/// Why a device cannot be opened.
#[cfg(feature = "mic")]
fn reason(device: &edge::capture::DeviceInfo) -> &str {
    device.error.as_deref().unwrap_or("for an unknown reason")
}

/// How long a device is listened to, seconds: long enough to say that its level is too low.
#[cfg(feature = "mic")]
const LISTENING_S: f64 = 5.0;

/// Says what a device brings.
#[cfg(feature = "mic")]
fn listen(device: Option<&str>, as_json: bool) -> Result<()> {
    use std::io::Write;

    use edge::audition::Audition;
    use edge::config::{Overrides, Settings};

    let overrides = Overrides { device: device.map(str::to_string), ..Overrides::default() };
    let settings = Settings::load(None, &overrides)?;
    let (sound, fault, hints) = {
        let _quiet = quiet::Quiet::new();
        // Only a microcontroller asks for the front end.
        let mut audition = Audition::start(&settings.sources[0], &edge_frontend::FrontendConfig::epic_sounds())?;
        audition.hear(LISTENING_S, |_| Ok(()))?;
        let heard = (audition.sound(), audition.fault(), audition.hints());
        // Its fault has already named what went wrong.
        let _ = audition.finish();
        heard
    };
    if sound.seconds == 0.0 {
        let name = device.unwrap_or("default");
        let fault = fault.unwrap_or_else(|| "no sound arrives from it".to_string());
        // Most faults name the device themselves.
        let reason = fault.strip_prefix(&format!("capture device {name}: ")).unwrap_or(&fault);
        return Err(edge::Error::device(name, reason));
    }
    let mut hints: Vec<String> = fault.into_iter().chain(hints).collect();
    if hints.is_empty() && sound.clipped > 0.0 {
        hints.push("there are samples at full scale: turn its gain down".to_string());
    } else if hints.is_empty() && sound.loudest_dbfs == sound.faintest_dbfs && sound.peak_dbfs <= -120.0 {
        hints.push("there is nothing but silence: is it muted?".to_string());
    }
    if let Some(hum) = sound.hum {
        hints.push(format!("there is mains hum, {:.0} Hz at {:.0} dBFS", hum.mains_hz, hum.level_dbfs));
    }
    let described = sound.description.clone().unwrap_or_default();
    let round = |value: f32| (f64::from(value) * 10.0).round() / 10.0;
    let (faintest, loudest, peak) = (round(sound.faintest_dbfs), round(sound.loudest_dbfs), round(sound.peak_dbfs));
    let gain_db = sound.advised_gain_db();
    let text = if as_json {
        let document = serde_json::json!({
            "device": described,
            "heard_s": (sound.seconds * 10.0).round() / 10.0,
            "faintest_dbfs": faintest,
            "loudest_dbfs": loudest,
            "peak_dbfs": peak,
            "clipped": sound.clipped,
            "advised_gain_db": gain_db,
            "hints": hints,
        });
        format!("{document}\n")
    } else {
        let mut text = format!("device  {described}\nlevel   {faintest} to {loudest} dBFS, peak {peak} dBFS\n");
        text.extend(hints.iter().map(|hint| format!("hint    {hint}\n")));
        text.extend(gain_db.map(|gain_db| format!("advice  gain_db = {gain_db:.1}, unless the room was quiet\n")));
        text
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(super::stdout_error)
}

#[cfg(not(feature = "mic"))]
pub(super) fn devices(_: &DevicesArgs) -> Result<()> {
    Err(edge::Error::usage("devices", "this build has no microphone support (cargo feature `mic`)"))
}

/// Standard error, kept from libraries that write to it themselves: each device is opened for a
/// moment, and the one that leads to JACK prints many lines because no JACK server is running.
#[cfg(feature = "mic")]
pub(super) mod quiet {
    use std::fs::OpenOptions;
    use std::io;
    use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

    use nix::unistd::dup2;

    /// While it lives, nothing is written to standard error.
    pub(in crate::cli) struct Quiet {
        /// Where standard error leads; `None` where it could not be led elsewhere.
        kept: Option<OwnedFd>,
    }

    impl Quiet {
        pub(in crate::cli) fn new() -> Self {
            let lead_away = || -> io::Result<OwnedFd> {
                let kept = io::stderr().as_fd().try_clone_to_owned()?;
                let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
                dup2(nowhere.as_raw_fd(), io::stderr().as_raw_fd())?;
                Ok(kept)
            };
            // With the noise, the list is as good.
            Quiet { kept: lead_away().ok() }
        }
    }

    impl Drop for Quiet {
        fn drop(&mut self) {
            if let Some(kept) = &self.kept {
                let _ = dup2(kept.as_raw_fd(), io::stderr().as_raw_fd());
            }
        }
    }
}
