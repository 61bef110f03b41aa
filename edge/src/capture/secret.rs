//! Texts that a person may read: addresses enter, the same without the secrets in them leave.
//!
//! Cameras take their password in an address: before the host (`rtsp://user:password@host/`),
//! after the question mark (`?user=admin&password=x`), or as the path itself. So of an address its
//! scheme and its host are shown, as of webhooks. A password may hold quotes, blanks and whatever
//! else should have been encoded: everything before the last `@` is taken for a secret.

/// What stands for a secret.
const HIDDEN: &str = "***";

/// `text`, such as a command or what a program says, with everything hidden in its addresses that
/// may be a secret.
pub(crate) fn redact(text: &str) -> String {
    let Some(at) = text.find("://") else { return text.to_string() };
    let (before, after) = text.split_at(at + 3);
    let least = after.rfind('@').unwrap_or(0);
    let mut end = least + after[least..].find(char::is_whitespace).unwrap_or(after.len() - least);
    let quote = text[..at].trim_end_matches(is_of_scheme).chars().next_back();
    if let Some(quote) = quote.filter(|quote| matches!(quote, '"' | '\'')) {
        end = least + after[least..end].rfind(quote).unwrap_or(end - least);
    }
    // A sentence may go on after an address.
    let address = after[..end].trim_end_matches([':', ',', ';', '.', ')']);
    format!("{before}{}{}", without_secrets(address), redact(&after[address.len()..]))
}

/// The same of a text that is an address from its beginning to its end, or was meant to be one.
pub(crate) fn redact_address(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, address)) if scheme.chars().all(is_of_scheme) => {
            format!("{scheme}://{}", without_secrets(address))
        }
        _ if text.contains('@') => without_secrets(text),
        _ => redact(text),
    }
}

fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// An address after its scheme, without secrets.
fn without_secrets(address: &str) -> String {
    let without_path = |host: &str| {
        let (host, path) = host.split_at(host.find(['/', '?', '#']).unwrap_or(host.len()));
        format!("{host}{}", if matches!(path, "" | "/") { path } else { "/.." })
    };
    match address.rsplit_once('@') {
        None => without_path(address),
        // Whether the slash is part of the password or the `@` one of the path cannot be told, and
        // so not where the host is.
        Some((before, _)) if before.contains(['/', '?', '#']) => HIDDEN.to_string(),
        Some((_, host)) => format!("{HIDDEN}@{}", without_path(host)),
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
            ("http://cam/a?mail=me@secret", "http://***"),
            ("http://cam/secret@night", "http://***"),
            ("rtsp://to/ken@cam/live", "rtsp://***"),
            ("rtsp://u:it's-secret@cam/live", "rtsp://***@cam/.."),
            ("rtsp://u:a\"secret@cam:554/", "rtsp://***@cam:554/"),
            ("x rtsp://u:my secret@cam/live: 401", "x rtsp://***@cam/..: 401"),
            ("http://cam/a?password=it's-secret: 404", "http://cam/..: 404"),
            ("'http://cam/a?password=it's-secret': 404", "'http://cam/..': 404"),
            ("http://cam/it's-secret", "http://cam/.."),
            ("ffmpeg -i rtsp://u:secret@a/ -i rtsp://u:secret@b/ -", "ffmpeg -i rtsp://*** -"),
            ("[tcp @ 0x5] no route to tcp://cam:554?secret", "[tcp @ 0x5] no route to tcp://cam:554/.."),
            ("no address", "no address"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn no_secret_is_shown_of_what_was_meant_to_be_an_address() {
        for (text, shown) in [
            ("rtsp://u:it's-secret@cam/live", "rtsp://***@cam/.."),
            ("rtsp://u:my secret@cam/live", "rtsp://***@cam/.."),
            ("http://cam/a?password=a secret's", "http://cam/.."),
            ("rtsp//u:secret@cam/x", "***"),
            ("u:secret@cam", "***@cam"),
            ("u:secret@cam/x", "***@cam/.."),
            ("u:sec://ret@cam/x", "***"),
            ("mick", "mick"),
            ("a word http://cam/secret", "a word http://cam/.."),
        ] {
            assert_eq!(redact_address(text), shown);
        }
    }
}
