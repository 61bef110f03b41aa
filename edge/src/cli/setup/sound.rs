//! Which source: devices are offered, the chosen one is listened to, and what could be better is
//! reported.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use edge::audition::{Audition, MeterReading, SoundSummary};
use edge::capture::SourceSpec;
use edge::config::{Overrides, Settings};
use edge::model::{self, Model};
use edge::{Error, Result};
use edge_frontend::FrontendConfig;

use super::ask::Asker;
use super::template::ConfigTemplate;
use crate::cli::args::{self, SetupArgs};
use crate::cli::{HUM_ADVICE, screen, stdout_error};

/// Places of the level meter, and the level of its first.
const METER_WIDTH: usize = 40;
const METER_FLOOR_DBFS: f32 = -80.0;

/// A source to write into the configuration.
#[derive(Clone, Default)]
struct Choice {
    input: Option<String>,
    device: Option<String>,
    gain_db: Option<f32>,
}

/// Asks for the source and listens to it, until it is as it should be or is kept as it is.
pub(super) fn choose(args: &SetupArgs, asker: &mut Asker, template: &mut ConfigTemplate, name: &str) -> Result<()> {
    let typed = args.source.as_deref().map(|source| source.to_string_lossy().into_owned());
    let mut choice = Choice { input: typed, device: args.device.clone(), gain_db: args.gain_db };
    let mut is_given = choice.input.is_some() || choice.device.is_some();
    loop {
        if !is_given {
            choice = Choice { gain_db: args.gain_db, ..offer(asker)? };
        }
        // What is wrong with options is for their author to see.
        let settings = match settings(&choice, name) {
            Err(error) if is_given || !asker.asks() => return Err(error),
            Err(error) => {
                asker.say(format_args!("{error}"))?;
                continue;
            }
            Ok(settings) => settings,
        };
        let heard = try_out(args, asker, &settings)?;
        let advised = heard.and_then(|sound| sound.advised_gain_db()).filter(|_| choice.gain_db.is_none());
        if let Some(gain_db) = advised
            && asker.confirm(&format!("Make it louder by {gain_db:.0} dB (gain_db)?"), true)?
        {
            choice.gain_db = Some(gain_db);
        }
        if !asker.asks() || is_given || asker.confirm("Keep this source?", true)? {
            break;
        }
        is_given = false;
    }
    if let Some(input) = choice.input.as_deref().filter(|input| *input != "mic") {
        template.set("source", "input", from_anywhere(input)?);
    }
    if let Some(device) = choice.device {
        template.set("source", "device", device);
    }
    if let Some(gain_db) = choice.gain_db.filter(|gain_db| *gain_db != 0.0) {
        template.set("source", "gain_db", f64::from(gain_db));
    }
    Ok(())
}

/// A source as the configuration has it: the path of a recording is relative to this folder where
/// it was typed, and would be relative to the configuration's there.
fn from_anywhere(input: &str) -> Result<String> {
    match input.strip_prefix("file:") {
        Some(path) => Ok(format!("file:{}", super::absolute(Path::new(path))?)),
        None => Ok(input.to_string()),
    }
}

fn settings(choice: &Choice, name: &str) -> Result<Settings> {
    let source: Option<SourceSpec> = choice.input.as_deref().map(|typed| args::source(typed.as_ref())).transpose()?;
    let overrides =
        Overrides { source, device: choice.device.clone(), gain_db: choice.gain_db, ..Overrides::default() };
    let mut settings = Settings::load(None, &overrides)?;
    settings.sources.iter_mut().for_each(|source| source.name = name.to_string());
    Ok(settings)
}

/// Lists the microphones and asks for one, or for another source.
fn offer(asker: &mut Asker) -> Result<Choice> {
    let devices = devices(asker)?;
    if devices.is_empty() {
        asker.say(format_args!(
            "This machine has no microphone now; one that is plugged in later is found automatically."
        ))?;
    }
    for (at, (id, text)) in devices.iter().enumerate() {
        asker.say(format_args!("{:3}  {id}  {text}", at + 1))?;
    }
    let question = "What to listen to: a number, mic for the default microphone, or another source (docs/sources.md)";
    let answer = asker.text(question, "mic")?;
    let device = answer.parse::<usize>().ok().and_then(|at| devices.get(at.checked_sub(1)?));
    Ok(match device {
        Some((id, _)) => Choice { device: Some(id.clone()), ..Choice::default() },
        None => Choice { input: Some(answer), ..Choice::default() },
    })
}

/// Ids of the microphones that can be opened, and what they are. Of the names that stay, the one
/// that stays longest.
#[cfg(feature = "mic")]
fn devices(asker: &mut Asker) -> Result<Vec<(String, String)>> {
    if !asker.asks() {
        return Ok(Vec::new());
    }
    let devices = {
        let _quiet = crate::cli::devices::quiet::Quiet::new();
        edge::capture::devices()
    };
    match devices {
        Ok(devices) => {
            let usable = devices.into_iter().filter_map(|device| {
                let format = device.format?;
                Some((device.usb.unwrap_or(device.id), format!("{} ({format})", device.name)))
            });
            let mut usable: Vec<(String, String)> = usable.collect();
            usable.dedup_by(|a, b| a.0 == b.0);
            Ok(usable)
        }
        Err(error) => {
            asker.say(format_args!("Microphones cannot be listed: {error}"))?;
            Ok(Vec::new())
        }
    }
}

#[cfg(not(feature = "mic"))]
fn devices(asker: &mut Asker) -> Result<Vec<(String, String)>> {
    asker.say(format_args!("This build has no microphone support (cargo feature `mic`)."))?;
    Ok(Vec::new())
}

/// Listens to the source for a while, and reports what it sounds like.
fn try_out(args: &SetupArgs, asker: &mut Asker, settings: &Settings) -> Result<Option<SoundSummary>> {
    let Some(source) = settings.sources.first().filter(|_| args.listen > 0) else { return Ok(None) };
    let described = source.spec.describe(&source.options);
    if matches!(source.spec, SourceSpec::Stdin(_)) {
        return Ok(None);
    }
    let frontend = frontend();
    if let Err(error) = source.spec.check(&source.options, &frontend) {
        asker.say(format_args!("The source cannot be opened: {error}"))?;
        return Ok(None);
    }
    let wish = match source.spec.is_live(&source.options) {
        Some(false) => "",
        _ => " Make the sounds that it will hear, such as speech, clapping or running water.",
    };
    asker.say(format_args!("\nListening for {} s. The source: {described}.{wish}", args.listen))?;
    let mut audition = match Audition::start(source, &frontend) {
        Ok(audition) => audition,
        Err(error) => {
            asker.say(format_args!("The source cannot be opened: {error}"))?;
            return Ok(None);
        }
    };
    let is_terminal = io::stdout().is_terminal();
    audition.hear(f64::from(args.listen), |level| if is_terminal { show(level) } else { Ok(()) })?;
    if is_terminal {
        asker.say(format_args!(""))?;
    }
    let (sound, fault, hints) = (audition.sound(), audition.fault(), audition.hints());
    // Its fault has already named what went wrong.
    let _ = audition.finish();
    report(asker, &sound, fault, hints)?;
    Ok((sound.seconds > 0.0).then_some(sound))
}

fn report(asker: &mut Asker, sound: &SoundSummary, fault: Option<String>, hints: Vec<String>) -> Result<()> {
    if let Some(description) = &sound.description {
        asker.say(format_args!("opened      {description}"))?;
    }
    if let Some(fault) = fault {
        asker.say(format_args!("problem     {fault}"))?;
        asker.say(format_args!("            the daemon will keep trying, so the setup continues"))?;
    }
    if sound.seconds == 0.0 {
        return asker.say(format_args!("level       nothing was heard"));
    }
    let SoundSummary { peak_dbfs, loudest_dbfs, faintest_dbfs, clipped, .. } = sound;
    asker.say(format_args!("level       {faintest_dbfs:.0} to {loudest_dbfs:.0} dBFS, peak {peak_dbfs:.0} dBFS"))?;
    match clipped * 100.0 {
        0.0 => asker.say(format_args!("clipping    none"))?,
        share => {
            asker.say(format_args!(
                "clipping    {share:.2} % of the samples: turn the source's own gain down, as with alsamixer"
            ))?;
        }
    }
    match &sound.hum {
        None => asker.say(format_args!("hum         none"))?,
        Some(hum) => {
            asker.say(format_args!("hum         {:.0} Hz of the mains at {:.0} dBFS", hum.mains_hz, hum.level_dbfs))?;
            asker.say(format_args!("            {HUM_ADVICE}"))?;
        }
    }
    hints.into_iter().try_for_each(|hint| asker.say(format_args!("hint        {hint}")))
}

/// The level, over the one before.
fn show(level: MeterReading) -> Result<()> {
    let places = |dbfs: f32| {
        let share = (1.0 - dbfs / METER_FLOOR_DBFS).clamp(0.0, 1.0);
        (share * METER_WIDTH as f32).round() as usize
    };
    let (full, peak) = (places(level.rms_dbfs), places(level.peak_dbfs));
    let block = if screen::has_blocks() { '█' } else { '#' };
    let meter: String = (1..=METER_WIDTH)
        .map(|at| match at {
            at if at <= full => block,
            at if at == peak => '|',
            _ => ' ',
        })
        .collect();
    let clip = if level.peak_dbfs >= -0.01 { "CLIPPED" } else { "       " };
    let mut out = io::stdout();
    write!(out, "\r{:6.1} dBFS [{meter}] {clip}", level.rms_dbfs).and_then(|()| out.flush()).map_err(stdout_error)
}

/// That of the model in the usual places, or of most models.
fn frontend() -> FrontendConfig {
    let model: Result<Model, Error> = model::find(None).and_then(|dir| Model::load(&dir));
    model.map_or_else(|_| FrontendConfig::student(), |model| model.manifest.frontend)
}
