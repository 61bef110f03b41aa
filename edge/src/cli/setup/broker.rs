//! Which broker: its address and a login are asked for and tried.

use std::path::{Path, PathBuf};

use edge::Result;

use super::ask::Asker;
use super::template::ConfigTemplate;
use crate::cli::args::SetupArgs;

/// Name of the file with the password, beside the configuration.
#[cfg(feature = "mqtt")]
const PASSWORD_FILE: &str = "mqtt.password";

/// Files to write beside the configuration, and what is to be in them.
pub(super) type Secrets = Vec<(PathBuf, String)>;

#[cfg(not(feature = "mqtt"))]
pub(super) fn choose(
    args: &SetupArgs,
    asker: &mut Asker,
    _: &mut ConfigTemplate,
    _: &str,
    _: &Path,
) -> Result<Secrets> {
    if args.mqtt.is_some() {
        return Err(edge::Error::usage("--mqtt", "this build has no MQTT support (cargo feature `mqtt`)"));
    }
    asker.say(format_args!("This build has no MQTT support (cargo feature `mqtt`)."))?;
    Ok(Vec::new())
}

/// Asks for the broker until it works, or is kept although it does not. Returns the password's file
/// if one was typed.
#[cfg(feature = "mqtt")]
pub(super) fn choose(
    args: &SetupArgs,
    asker: &mut Asker,
    template: &mut ConfigTemplate,
    name: &str,
    folder: &Path,
) -> Result<Secrets> {
    let mut answers = Answers {
        url: args.mqtt.clone().unwrap_or_default(),
        user: args.mqtt_user.clone().unwrap_or_default(),
        password: None,
        password_file: args.mqtt_password_file.clone(),
        ca_file: args.mqtt_ca_file.clone(),
    };
    let is_given = args.mqtt.is_some() || args.no_mqtt;
    loop {
        if !is_given {
            asker.say(format_args!(""))?;
            answers.url =
                asker.text("MQTT broker to report to, such as mqtt://broker.lan; empty for none", &answers.url)?;
        }
        if answers.url.is_empty() {
            asker.say(format_args!("No broker: events go to standard output."))?;
            return Ok(Vec::new());
        }
        if !is_given {
            answers.ask(asker)?;
        }
        match answers.settings(name) {
            Err(error) if is_given => return Err(error),
            Err(error) => asker.say(format_args!("{error}"))?,
            Ok(settings) => {
                let works = try_out(asker, &settings, name)?;
                if works || is_given || !asker.asks() || asker.confirm("Keep it anyway?", false)? {
                    break;
                }
            }
        }
    }
    template.set("mqtt", "url", answers.url.as_str());
    let home_assistant = match args.home_assistant {
        Some(answer) => answer,
        None => asker.confirm("Shall the device appear in Home Assistant?", false)?,
    };
    if home_assistant {
        template.set("mqtt", "home_assistant", true);
    }
    if let Some(ca_file) = &answers.ca_file {
        template.set("mqtt", "ca_file", super::absolute(ca_file)?);
    }
    if answers.user.is_empty() {
        return Ok(Vec::new());
    }
    template.set("mqtt", "user", answers.user.as_str());
    if let Some(file) = &answers.password_file {
        template.set("mqtt", "password_file", super::absolute(file)?);
    }
    Ok(match answers.password {
        Some(password) if answers.password_file.is_none() => {
            template.set("mqtt", "password_file", PASSWORD_FILE);
            vec![(folder.join(PASSWORD_FILE), password)]
        }
        _ => Vec::new(),
    })
}

#[cfg(feature = "mqtt")]
struct Answers {
    url: String,
    user: String,
    password: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

#[cfg(feature = "mqtt")]
impl Answers {
    fn ask(&mut self, asker: &mut Asker) -> Result<()> {
        self.user = asker.text("User name at the broker; empty for none", &self.user)?;
        self.password = match self.user.is_empty() {
            true => None,
            false => Some(asker.secret("Password, which is not shown")?).filter(|password| !password.is_empty()),
        };
        if self.url.starts_with("mqtts") {
            let shown = self.ca_file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
            let question = "File of the certificate to trust; empty for the system's authorities";
            self.ca_file = Some(asker.text(question, &shown)?).filter(|file| !file.is_empty()).map(PathBuf::from);
        }
        Ok(())
    }

    /// As the daemon would have them: through a configuration, which has the one validation.
    fn settings(&self, name: &str) -> Result<edge::publish::MqttSettings> {
        use edge::config::{Overrides, Settings};
        let mut template = ConfigTemplate::new();
        template.set("", "name", name);
        template.set("mqtt", "url", self.url.as_str());
        if !self.user.is_empty() {
            template.set("mqtt", "user", self.user.as_str());
        }
        if let Some(file) = &self.password_file {
            template.set("mqtt", "password_file", super::absolute(file)?);
        }
        if let Some(file) = &self.ca_file {
            template.set("mqtt", "ca_file", super::absolute(file)?);
        }
        let settings = Settings::from_text(&template.text(), &Overrides::default())?;
        let mut mqtt = settings.mqtt.ok_or_else(|| edge::Error::usage("--mqtt", "no broker"))?;
        if mqtt.password.is_none() {
            mqtt.password.clone_from(&self.password);
        }
        Ok(mqtt)
    }
}

/// Whether the broker can be used; if not, it says why.
#[cfg(feature = "mqtt")]
fn try_out(asker: &mut Asker, settings: &edge::publish::MqttSettings, name: &str) -> Result<bool> {
    asker.say(format_args!("Trying {} ..", settings.url))?;
    let found = match edge::publish::mqtt::probe(settings, name, std::time::Duration::from_secs(10)) {
        Ok(found) => found,
        Err(error) => {
            asker.say(format_args!("broker      {error}"))?;
            return Ok(false);
        }
    };
    if let Some(fault) = found.connection {
        asker.say(format_args!("broker      {fault}"))?;
        asker.say(format_args!("            the daemon will keep trying, and events wait meanwhile"))?;
        return Ok(false);
    }
    if let Some(fault) = found.topics {
        asker.say(format_args!("broker      it accepts this device, but: {fault}"))?;
        return Ok(false);
    }
    if let Some(end) = found.certificate_end {
        asker.say(format_args!("broker      its certificate is valid until {}", end.strftime("%Y-%m-%d")))?;
    }
    asker.say(format_args!("broker      it accepts this device, and {}/{name}/.. can be used", settings.topic))?;
    Ok(true)
}
