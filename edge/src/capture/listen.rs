//! What a microphone brings, before a daemon listens to it: a device enters, how loud it was for a
//! few seconds, and what could be better, leave. Runs on the caller's thread.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use edge_frontend::FrontendConfig;
use serde::Serialize;

use super::hints::{Heard, LOW, MUTED};
use super::kind::{Kind as _, Setup};
use super::{Hearing, MicSpec, Options, Session, Vitals};
use crate::error::{Error, Result};
use crate::ring::Chunk;
use crate::status::{CLIPPED, Status};

/// A device that takes longer to open is not there.
const OPENING: Duration = Duration::from_secs(5);

/// How long the loop sleeps when nothing has come.
const EMPTY_SLEEP: Duration = Duration::from_millis(10);

/// The least level that is told, dBFS.
const FLOOR_DBFS: f64 = -120.0;

/// What was heard of a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Impression {
    /// What was opened, and how.
    pub device: String,
    /// Length of what was heard, seconds.
    pub heard_s: f64,
    /// Root mean square, dBFS.
    pub level_dbfs: f64,
    /// Largest magnitude, dBFS.
    pub peak_dbfs: f64,
    /// Samples at full scale.
    pub n_clipped: u64,
    /// What could be better, in words.
    pub hints: Vec<String>,
}

/// Listens to `device`, as `--device` takes it, or to the default one, for `duration`.
///
/// # Errors
///
/// When it cannot be opened, or brings nothing.
pub fn listen(device: Option<&str>, duration: Duration) -> Result<Impression> {
    let name = device.unwrap_or("default");
    let (status, hearing): (Arc<Status>, Arc<Hearing>) = (Arc::default(), Arc::new(Hearing::of(name)));
    // Only a microcontroller asks for the front end.
    let (options, frontend) = (Options::default(), FrontendConfig::epic_sounds());
    let setup = Setup { options: &options, frontend: &frontend, status: &status, hearing: &hearing };
    let source = MicSpec { device: device.map(str::to_string) }.start(&setup)?;
    let heard = match source.sessions.recv_timeout(OPENING) {
        Ok(session) => hear(session, duration),
        Err(_) => None,
    };
    let reason = hearing.snapshot().capture_reason;
    // What it says at its end is the reason that is known already.
    let _ = source.finish();
    heard.ok_or_else(|| Error::device(name, reason.unwrap_or_else(|| "it brings no sound".to_string())))
}

/// What comes of `session` within `duration`, if anything does.
fn hear(session: Session, duration: Duration) -> Option<Impression> {
    let Session { sample_rate, description, mut reader, balance, .. } = session;
    let n_wanted = duration.as_secs_f64() * f64::from(sample_rate);
    let deadline = Instant::now() + duration + OPENING;
    // Apart from the hearing of the source, which its own thread takes note of, too.
    let hearing = Hearing::of(description.as_str());
    hearing.listening();
    let (mut vitals, mut buffer) = (Vitals::new(), vec![0.0; 4096]);
    let (mut n_samples, mut n_clipped, mut energy, mut peak) = (0_u64, 0_u64, 0.0_f64, 0.0_f32);
    while (n_samples as f64) < n_wanted && Instant::now() < deadline {
        match reader.read(&mut buffer) {
            Chunk::Samples(n) => {
                let samples = &mut buffer[..n];
                let strange = samples.iter_mut().filter(|sample| !sample.is_finite());
                let n_non_finite = strange.map(|sample| *sample = 0.0).count() as u64;
                let heard = Heard { n_non_finite, sample_rate, gain: 1.0, is_live: true };
                vitals.push(samples, heard, balance.as_deref(), &hearing);
                n_samples += n as u64;
                n_clipped += samples.iter().filter(|sample| sample.abs() >= CLIPPED).count() as u64;
                energy += samples.iter().map(|sample| f64::from(sample * sample)).sum::<f64>();
                peak = samples.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
            }
            Chunk::Gap(_) => {}
            Chunk::Empty => thread::sleep(EMPTY_SLEEP),
            Chunk::Ended => break,
        }
    }
    if n_samples == 0 {
        return None;
    }
    let dbfs = |magnitude: f64| ((20.0 * magnitude.log10()).max(FLOOR_DBFS) * 10.0).round() / 10.0;
    let snapshot = hearing.snapshot();
    let mut hints: Vec<String> = snapshot.capture_reason.into_iter().chain(snapshot.capture_hints).collect();
    if hints.is_empty() && n_clipped > 0 {
        hints.push(format!("{n_clipped} samples are at full scale: turn the gain of the source down a little"));
    }
    if hints.is_empty() && peak <= MUTED {
        hints.push("there is nothing but the noise of the last bit: is the source muted?".into());
    } else if hints.is_empty() && peak < LOW {
        let peak_dbfs = dbfs(peak.into());
        hints.push(format!(
            "nothing was louder than {peak_dbfs:.0} dBFS; if there was something to hear, turn the gain of the source up, \
             or set gain_db"
        ));
    }
    Some(Impression {
        device: description,
        heard_s: (n_samples as f64 / f64::from(sample_rate) * 10.0).round() / 10.0,
        level_dbfs: dbfs((energy / n_samples as f64).sqrt()),
        peak_dbfs: dbfs(peak.into()),
        n_clipped,
        hints,
    })
}
