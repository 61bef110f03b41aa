//! Texts that a person may read: addresses enter, the same without the secrets in them leave.
//!
//! Cameras take their password in an address: before the host (`rtsp://user:password@host/`),
//! after the question mark (`?user=admin&password=x`), or as the path itself. So of an address its
//! scheme and its host are shown, as of webhooks.

/// What stands for a secret.
const HIDDEN: &str = "***";

/// `text` with everything hidden in its addresses that may be a secret.
pub(crate) fn redact(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(after.len());
        // A sentence may go on after an address.
        let address = after[..end].trim_end_matches([':', ',', ';', '.', ')']);
        shown.push_str(&without_secrets(address));
        rest = &after[address.len()..];
    }
    shown.push_str(rest);
    shown
}

/// An address after its scheme, without secrets.
fn without_secrets(address: &str) -> String {
    let (authority, path) = address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
    // A password may hold a slash or a question mark that should have been encoded: then the host
    // is not where it seems to be.
    if authority.contains(':') && path.contains('@') {
        return HIDDEN.to_string();
    }
    let path = if matches!(path, "" | "/") { path } else { "/.." };
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}{path}"),
        None => format!("{authority}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (text, shown) in [
            ("rtsp://cam", "rtsp://cam"),
            ("rtsp://cam:554/", "rtsp://cam:554/"),
            ("rtsps://cam:7441/secret?enableSrtp", "rtsps://cam:7441/.."),
            ("rtsp://admin:secret@cam:554/live", "rtsp://***@cam:554/.."),
            ("rtsp://admin:secr@et@cam/live", "rtsp://***@cam/.."),
            ("rtsp://admin:se/c@ret@cam/live", "rtsp://***"),
            ("http://cam/a?user=admin&password=secret", "http://cam/.."),
            ("http://cam?secret", "http://cam/.."),
            (
                "ffmpeg -i 'rtsp://u:secret@a/' -i \"http://b/?secret\" x",
                "ffmpeg -i 'rtsp://***@a/' -i \"http://b/..\" x",
            ),
            ("[rtsp] rtsp://u:secret@cam/: Connection refused", "[rtsp] rtsp://***@cam/: Connection refused"),
            ("input file http://cam/secret.wav.", "input file http://cam/..."),
            ("http://u:sec?ret@cam/live", "http://***"),
            ("http://cam/a?mail=me@secret", "http://cam/.."),
            ("http://cam/secret@night", "http://cam/.."),
            ("no address", "no address"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
