//! Until when a certificate is valid: its bytes enter, a time leaves.
//!
//! Reads only the part of X.509 (RFC 5280, 4.1) that leads to the field `validity`; the certificate
//! is not judged here.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Tags of the Distinguished Encoding Rules (X.690, 8.1.2).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last moment at which the certificate `der` holds; `None` where it is no certificate.
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    // The first version does not state its version.
    if rest.first() == Some(&VERSION) {
        rest = any(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = any(rest)?.2;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _, rest) = any(validity)?;
    let (tag, content, _) = any(rest)?;
    time(tag, std::str::from_utf8(content).ok()?)
}

/// RFC 5280, 4.1.2.5: in UTC, with seconds.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        // 4.1.2.5.1: from 50 on in the century before.
        UTC_TIME => format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" }),
        GENERALIZED_TIME => text.to_string(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Content of the first element, which must have this tag, and what comes after it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the first element, and what comes after it. A length has one byte, or says
/// how many bytes it has (X.690, 8.1.3).
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let head = if len < 0x80 { vec![tag, len as u8] } else { vec![tag, 0x82, (len >> 8) as u8, len as u8] };
        [head, content.to_vec()].concat()
    }

    fn certificate(version: bool, times: [(u8, &str); 2]) -> Vec<u8> {
        let validity = times.map(|(tag, text)| der(tag, text.as_bytes())).concat();
        let version = if version { der(VERSION, &der(2, &[2])) } else { Vec::new() };
        let issuer = der(SEQUENCE, &[0x41; 200]);
        let body = [version, der(2, &[1]), der(SEQUENCE, &[]), issuer, der(SEQUENCE, &validity)].concat();
        der(SEQUENCE, &der(SEQUENCE, &body))
    }

    #[test]
    fn the_end_is_read_in_both_forms_and_versions() {
        let end = |version, tag, text| not_after(&certificate(version, [(UTC_TIME, "260101000000Z"), (tag, text)]));
        let time = |text: &str| Some(text.parse().unwrap());
        assert_eq!(end(true, UTC_TIME, "271231235959Z"), time("2027-12-31T23:59:59Z"));
        assert_eq!(end(false, GENERALIZED_TIME, "20620101000000Z"), time("2062-01-01T00:00:00Z"));
        assert_eq!(end(true, UTC_TIME, "991231235959Z"), time("1999-12-31T23:59:59Z"));
        assert_eq!(end(true, UTC_TIME, "99"), None);
    }

    #[test]
    fn what_is_cut_short_has_no_end() {
        let whole = certificate(true, [(UTC_TIME, "260101000000Z"), (UTC_TIME, "271231235959Z")]);
        assert!(not_after(&whole).is_some());
        assert!((0..whole.len()).all(|len| not_after(&whole[..len]).is_none()));
    }
}
