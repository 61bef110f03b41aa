//! Webhooks: whether each server is reached, is trusted and answers. No event is posted.

use edge::config::Settings;

use super::finding::Finding;

#[cfg(not(feature = "webhook"))]
pub(super) fn check(_: &Settings) -> Vec<Finding> {
    Vec::new()
}

#[cfg(feature = "webhook")]
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    use edge::publish::webhook::probe;

    use super::finding::CORRECT;

    let mut findings = Vec::new();
    for (index, webhook) in settings.webhooks.iter().enumerate() {
        match probe(webhook) {
            Ok(found) => findings.extend(said(&webhook.url, found)),
            Err(error) => {
                findings.push(Finding::problem("webhook", settings.webhook_error(index, error)).advise(CORRECT));
            }
        }
    }
    findings
}

#[cfg(feature = "webhook")]
fn said(url: &edge::publish::webhook::WebhookUrl, found: edge::publish::webhook::Probe) -> Vec<Finding> {
    use super::certificate::dated;

    const CA_FILE: &str = "webhook.ca_file";
    let answer = match (found.answer, found.doubt) {
        (Err(fault), _) => {
            let finding = Finding::problem("webhook", &fault);
            let finding = match advice(fault.kind()) {
                Some(advice) => finding.advise(advice),
                None => finding,
            };
            finding.advise("events wait for it in the journal meanwhile")
        }
        (Ok(_), Some(doubt)) => Finding::warning("webhook", doubt)
            .advise("this is the answer to an OPTIONS request, and no event was posted: if events arrive, ignore it"),
        (Ok(status), None) => {
            Finding::ok("webhook", format!("{url} answers an OPTIONS request with {status}; no event was posted"))
        }
    };
    let certificate = found.certificate_end.map(|end| dated(&format!("the certificate of {url}"), end, CA_FILE));
    let ca_file = found.ca_file_end;
    let ca_file = ca_file.map(|(file, end)| dated(&format!("{} ({CA_FILE})", file.display()), end, CA_FILE));
    [answer].into_iter().chain(certificate).chain(ca_file).collect()
}

/// What to do about a server that does not answer, if its fault does not name it.
#[cfg(feature = "webhook")]
fn advice(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "webhook-unknown" => {
            "is the name in url right, and does this machine find other names (`getent hosts example.org`)?"
        }
        "webhook-down" => "is the server running, and is the port in url right?",
        "webhook-silent" => "is the server overloaded, or does a firewall block the connection?",
        "webhook-failed" => {
            "is url the address of a web server, and does it begin with https:// if the server uses TLS?"
        }
        _ => return None,
    })
}
