//! Texts that a person may read: addresses enter, the same without the secrets in them leave.
//!
//! Cameras take their password in an address, before the host (`rtsp://user:password@host/`) or
//! after the question mark (`?user=admin&password=x`).

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
        let (address, behind) = after.split_at(end);
        shown.push_str(&without_secrets(address));
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// An address after its scheme, without secrets.
fn without_secrets(address: &str) -> String {
    let (before, after) = address.split_once('?').map_or((address, None), |(before, after)| (before, Some(after)));
    let query = if after.is_some() { format!("?{HIDDEN}") } else { String::new() };
    // A password may hold a slash or an at sign that should have been encoded: up to the last.
    match before.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}{query}"),
        // Perhaps one with a question mark, and what is before that is a part of it.
        None if after.is_some_and(|after| after.contains('@')) && before.contains(':') => HIDDEN.to_string(),
        None => format!("{before}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (text, shown) in [
            ("rtsp://cam/live", "rtsp://cam/live"),
            ("rtsp://admin:secret@cam:554/live", "rtsp://***@cam:554/live"),
            ("rtsp://admin:se/c@ret@cam/live", "rtsp://***@cam/live"),
            ("http://cam/a?user=admin&password=secret", "http://cam/a?***"),
            (
                "ffmpeg -i 'rtsp://u:secret@a/' -i \"http://b/?secret\" x",
                "ffmpeg -i 'rtsp://***@a/' -i \"http://b/?***\" x",
            ),
            ("[rtsp] rtsp://u:secret@cam/: Connection refused", "[rtsp] rtsp://***@cam/: Connection refused"),
            ("http://u:sec?ret@cam/live", "http://***"),
            ("http://cam/a?mail=me@secret", "http://cam/a?***"),
            ("no address", "no address"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
