//! Until when a certificate is valid, and what to do about it.

use std::fmt::Display;

use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;

/// A certificate is reported if it ends within this time.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Until when the certificate `what` is valid. `ca_file` is the key by which it can be pinned.
pub(super) fn dated(what: &dyn Display, end: Timestamp, ca_file: &str) -> Finding {
    let day = end.strftime("%Y-%m-%d");
    let now = Timestamp::now();
    if end < now {
        let finding = Finding::warning("certificate", format!("{what} expired on {day}"));
        finding.advise(format!("renew it; the daemon trusts it only if {ca_file} names the server's own certificate"))
    } else if end.duration_since(now) < SOON {
        Finding::warning("certificate", format!("{what} expires on {day}")).advise("renew it before that day")
    } else {
        Finding::ok("certificate", format!("{what} is valid until {day}"))
    }
}
