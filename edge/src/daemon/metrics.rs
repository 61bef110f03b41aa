//! Figures for Prometheus: the health of every source enters, text leaves over HTTP, if the
//! configuration turns that on.
//!
//! The text is the exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). The names are those of the
//! health message: `load` is the gauge `earwitness_load`, `n_gaps` the counter
//! `earwitness_gaps_total`.
//!
//! A thread of its own answers one request after another, and serves one page. A library for that
//! would be larger than the rest of the daemon's network.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::health::HealthReport;
use crate::error::{Error, Result};
use crate::port;

/// A client has this long to ask and to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A longer request is not one for this page.
const MAX_REQUEST: usize = 8192;

/// Answers at `address`, as soon as it can be listened on, with what `reports` returns then: the
/// name of each source, and its report.
///
/// # Errors
///
/// When no thread can be started.
pub(super) fn serve(
    address: SocketAddr,
    reports: impl Fn() -> Vec<(String, HealthReport)> + Send + 'static,
) -> Result<()> {
    let body = move || {
        let listener = port::listen(address, "metrics", TcpListener::bind);
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!("metrics at http://{address}/metrics");
        answer_all(&listener, &reports);
    };
    thread::Builder::new().name("metrics".into()).spawn(body).map_err(Error::io("cannot start the metrics thread"))?;
    Ok(())
}

/// Whether `address` could be listened on, now or later.
///
/// # Errors
///
/// What the system says.
pub(super) fn check(address: SocketAddr) -> Result<()> {
    port::check("metrics.port", address)
}

fn answer_all(listener: &TcpListener, reports: &impl Fn() -> Vec<(String, HealthReport)>) {
    for client in listener.incoming() {
        // A client that went away needs no answer.
        let _ = client.and_then(|client| answer(client, reports));
    }
}

fn answer(mut client: TcpStream, reports: &impl Fn() -> Vec<(String, HealthReport)>) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    let deadline = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < MAX_REQUEST {
        // A timeout of zero is refused: the client was too slow.
        client.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        match client.read(&mut buffer)? {
            0 => break,
            n => request.extend_from_slice(&buffer[..n]),
        }
    }
    let (status, body) = match request.split(|byte| *byte == b' ').take(2).collect::<Vec<_>>().as_slice() {
        [b"GET", b"/metrics"] => ("200 OK", text(&reports())),
        _ => ("404 Not Found", "there is only GET /metrics\n".to_string()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

/// All figures, those of the same name together.
fn text(reports: &[(String, HealthReport)]) -> String {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (device, report) in reports {
        let mut add = |name: &str, labels: &str, value: f64| {
            let line = format!("{name}{{device=\"{}\"{labels}}} {value}\n", escaped(device));
            families.entry(name.to_string()).or_default().push(line);
        };
        add("earwitness_hears", "", f64::from(u8::from(report.hearing.capture.hears())));
        let Ok(Value::Object(fields)) = serde_json::to_value(report) else { continue };
        let mut add = |group: &str, labels: &str, key: &str, value: &Value| {
            if let Some((name, value)) = figure(group, key, value) {
                add(&name, labels, value);
            }
        };
        for (key, value) in &fields {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(sub, value)| add(key, "", sub, value)),
                // Several may be at one host.
                Value::Array(webhooks) if key == "webhooks" => {
                    for (at, webhook) in webhooks.iter().enumerate() {
                        let url = escaped(webhook["url"].as_str().unwrap_or_default());
                        let labels = format!(",webhook=\"{}\",url=\"{url}\"", at + 1);
                        let fields = webhook.as_object().into_iter().flatten();
                        fields.for_each(|(sub, value)| add("webhook", &labels, sub, value));
                    }
                }
                value => add("", "", key, value),
            }
        }
    }
    let family = |(name, lines): (&String, &Vec<String>)| {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        format!("# TYPE {name} {kind}\n{}", lines.concat())
    };
    families.iter().map(family).collect()
}

/// Name and value of a field of the health message, if it is a number or a truth. What is unknown
/// has no line.
fn figure(group: &str, key: &str, value: &Value) -> Option<(String, f64)> {
    let value = value.as_f64().or_else(|| value.as_bool().map(|truth| f64::from(u8::from(truth))))?;
    let prefix = if group.is_empty() { "earwitness".to_string() } else { format!("earwitness_{group}") };
    let name = match key.strip_prefix("n_") {
        // How many wait is not how many there have been.
        Some(name) if !matches!(name, "queued" | "unspooled") => format!("{prefix}_{name}_total"),
        Some(name) => format!("{prefix}_{name}"),
        None => format!("{prefix}_{key}"),
    };
    Some((name, value))
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use crate::capture::{Condition, HearingSnapshot};
    use crate::status::Status;

    use super::*;

    fn report() -> HealthReport {
        let status = Status::default();
        status.add_gap(480);
        let hearing = HearingSnapshot {
            capture: Condition::Lost,
            capture_reason: Some("gone".into()),
            n_reopened: 3,
            capture_fault: Some("failed"),
            capture_hints: Vec::new(),
            n_abandoned: 0,
            #[cfg(feature = "serial")]
            node: None,
        };
        HealthReport {
            stream: status.snapshot(),
            hearing,
            board_celsius: None,
            #[cfg(feature = "mqtt")]
            mqtt: Some(crate::publish::mqtt::MqttLink::default().snapshot()),
            #[cfg(feature = "webhook")]
            webhooks: vec![crate::publish::webhook::WebhookSnapshot {
                url: "https://ntfy.sh/..".into(),
                n_posted: 7,
                n_refused: 2,
                waiting_events: 1,
                fault: None,
            }],
            journal_fault: None,
            clips: None,
        }
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn figures_are_served_to_who_asks_for_them() {
        let two = || vec![("kitchen".to_string(), report()), ("a \"b\"".to_string(), report())];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || answer_all(&listener, &two));
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let lines = [
            "# TYPE earwitness_gaps_total counter\nearwitness_gaps_total{device=\"kitchen\"} 1\n\
             earwitness_gaps_total{device=\"a \\\"b\\\"\"} 1\n",
            "# TYPE earwitness_level_dbfs gauge\nearwitness_level_dbfs{device=\"kitchen\"} -120\n",
            "earwitness_hears{device=\"kitchen\"} 0\n",
            "earwitness_reopened_total{device=\"kitchen\"} 3\n",
        ];
        for line in lines {
            assert!(answer.contains(line), "{line} is not in {answer}");
        }
        #[cfg(feature = "mqtt")]
        assert!(answer.contains("earwitness_mqtt_connected{device=\"kitchen\"} 0\n"), "{answer}");
        #[cfg(feature = "webhook")]
        assert!(
            answer.contains(
                "earwitness_webhook_refused_total{device=\"kitchen\",webhook=\"1\",url=\"https://ntfy.sh/..\"} 2\n"
            ),
            "{answer}"
        );
        assert!(!answer.contains("celsius"), "what is unknown has no line: {answer}");
        assert_eq!(answer.matches("# TYPE earwitness_load ").count(), 1);
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        // One that sends its request byte by byte does not keep others waiting.
        let mut slow = TcpStream::connect(address).unwrap();
        thread::spawn(move || {
            while slow.write_all(b"x").is_ok() {
                thread::sleep(PATIENCE / 10);
            }
        });
        assert!(ask(address, "GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
        assert!(ask(address, &"x".repeat(MAX_REQUEST)).starts_with("HTTP/1.1 404"));
    }
}
