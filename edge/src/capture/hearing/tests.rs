//! What is logged of a source, and how often.

use std::io;
use std::sync::Arc;

use super::*;

/// Lines of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(body: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, body);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_string).collect()
}

#[test]
fn a_fault_is_logged_once_whatever_its_text() {
    let hearing = Hearing::of("ear");
    let lines = logged(|| {
        for n in 0..100 {
            hearing.lost(Fault::new(fault::FOREIGN, format!("{n} bytes came, none of which make sense")));
            hearing.lost(Fault::new(fault::STALLED, format!("no word for {n} s")));
        }
        hearing.listening();
    });
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[2].contains("heard again after"));
    assert_eq!(hearing.snapshot().capture, Condition::Listening);
}

#[test]
fn a_cause_is_not_hidden_by_another_one_of_the_same_kind() {
    let hearing = Hearing::of("camera");
    let unopened = |text: &str| hearing.lost(Fault::new(fault::UNOPENED, text));
    let lines = logged(|| {
        for n in 0..20 {
            unopened(&format!("[tcp @ 0x55d{n:x}c0] rtsp://192.168.1.{n}:554/..: No route to host"));
        }
        for n in 0..20 {
            unopened(&format!("[rtsp @ 0x7f{n:x}e] method DESCRIBE failed: 401 Unauthorized"));
        }
        // A text that is another one each time fills no log.
        for word in ["one", "two", "three", "four", "five", "six", "seven", "eight"] {
            unopened(word);
        }
        hearing.lost(Fault::new(fault::STALLED, "a kind that was not logged yet"));
    });
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[0].contains("No route to host") && lines[1].contains("401 Unauthorized"), "{lines:#?}");
    assert!(lines[4].contains("a kind that was not logged yet"), "{lines:#?}");
    assert_eq!(hearing.snapshot().capture_reason.as_deref(), Some("a kind that was not logged yet"));
}

#[test]
fn a_source_that_comes_and_goes_does_not_fill_the_log() {
    let hearing = Hearing::of("ear");
    let lines = logged(|| {
        for _ in 0..1000 {
            hearing.lost(Fault::new(fault::ENDED, "the writer is gone"));
            hearing.listening();
        }
    });
    assert_eq!(lines.len(), 2, "{lines:#?}");
    hearing.lost(Fault::new(fault::ENDED, "the writer is gone"));
    let snapshot = hearing.snapshot();
    assert_eq!((snapshot.capture, snapshot.capture_fault), (Condition::Lost, Some(fault::ENDED)));
}

#[test]
fn a_hint_is_given_once_and_taken_back() {
    let hearing = Hearing::of("ear");
    let lines = logged(|| {
        for n in 0..10 {
            hearing.hint(Hint::Quiet, Some(Fault::new("quiet", format!("too quiet: {n}"))));
        }
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(hearing.snapshot().capture_hints, ["too quiet: 9"]);
    hearing.hint(Hint::Quiet, None);
    assert!(hearing.snapshot().capture_hints.is_empty());
}
