//! `earwitness devices`: lists what can be listened to.

use edge::Result;

#[cfg(feature = "mic")]
pub(super) fn devices() -> Result<()> {
    use std::io::Write;

    use super::stdout_error;

    edge::logging::start("error")?;
    let devices = edge::capture::devices()?;
    let width = devices.iter().map(|device| device.id.chars().count()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
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
            "* is the default; --device takes an id, a name or a part of a name, or what begins with usb:"
        ));
    }
    Ok(())
}

#[cfg(not(feature = "mic"))]
pub(super) fn devices() -> Result<()> {
    Err(edge::Error::usage("devices", "this build has no microphone support (cargo feature `mic`)"))
}
