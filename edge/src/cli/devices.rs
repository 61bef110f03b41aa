//! `earwitness devices`: lists what can be listened to, or says what one of them brings.

use edge::Result;

use super::args::DevicesArgs;

#[cfg(feature = "mic")]
pub(super) fn devices(args: &DevicesArgs) -> Result<()> {
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
    let width = devices.iter().map(|device| device.id.chars().count()).max().unwrap_or(0);
    if devices.is_empty() {
        super::say(format_args!("earwitness: this machine has no capture devices"));
    }
    for device in &devices {
        let mark = if device.is_default { '*' } else { ' ' };
        let state = match (&device.format, &device.error) {
            (Some(format), _) => format.clone(),
            (None, Some(error)) => format!("cannot be opened: {error}"),
            (None, None) => "cannot be opened".to_string(),
        };
        let usb = device.usb.as_ref().map_or(String::new(), |usb| format!("  {usb}"));
        writeln!(out, "{mark} {:width$}  {}  ({state}){usb}", device.id, device.name).map_err(stdout_error)?;
    }
    if devices.iter().any(|device| device.is_default) {
        super::say(format_args!(
            "* is the default; --device takes an id, a name or a part of a name, or a text that begins with usb:"
        ));
    }
    Ok(())
}

/// What a device brings in so long.
#[cfg(feature = "mic")]
const LISTENING: std::time::Duration = std::time::Duration::from_secs(3);

#[cfg(feature = "mic")]
fn listen(device: Option<&str>, as_json: bool) -> Result<()> {
    use std::io::Write;

    let heard = {
        let _quiet = quiet::Quiet::new();
        edge::capture::listen(device, LISTENING)?
    };
    let text = if as_json {
        serde_json::to_string(&heard).unwrap_or_else(|error| unreachable!("it has only string keys: {error}")) + "\n"
    } else {
        let edge::capture::Impression { device, heard_s, level_dbfs, peak_dbfs, hints, .. } = &heard;
        let hints: String = hints.iter().map(|hint| format!("hint    {hint}\n")).collect();
        format!("device  {device}\nheard   {heard_s} s, level {level_dbfs} dBFS, peak {peak_dbfs} dBFS\n{hints}")
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(super::stdout_error)
}

#[cfg(not(feature = "mic"))]
pub(super) fn devices(_: &DevicesArgs) -> Result<()> {
    Err(edge::Error::usage("devices", "this build has no microphone support (cargo feature `mic`)"))
}

/// Standard error, kept from libraries that write to it themselves: each device is opened for a
/// moment, and the one that leads to JACK says at length that no JACK server is running.
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
