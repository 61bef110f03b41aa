//! The local page: the section `[web]` and the command line enter, complete settings leave.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Overrides, secret};
use crate::config::values::listen_address;
use crate::config::{ConfigFile, WebSection};
use crate::error::{Error, Result};

/// Where the page is unless configured otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);

/// A shorter password is guessed too soon.
const MIN_PASSWORD: usize = 8;

/// What the local page is served by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What who looks has to know; `None` only where nobody but this machine can ask.
    pub password: Option<String>,
    /// Further names by which browsers may ask for it, in lower case.
    pub hosts: Vec<String>,
    /// Whether it may change thresholds in the configuration file.
    pub write: bool,
}

/// The settings of the page; `None` where there is none.
pub(super) fn page(section: &WebSection, file: &ConfigFile, overrides: &Overrides) -> Result<Option<WebSettings>> {
    let typed = match overrides.web.as_deref() {
        None => None,
        Some("") => Some(section.listen.unwrap_or(DEFAULT_LISTEN)),
        Some(text) => Some(listen_address(text).map_err(|reason| Error::usage("--web", reason))?),
    };
    let Some(listen) = typed.or(section.listen) else {
        if overrides.web_write {
            return Err(Error::usage("--web-write", "has no effect without a page: --web, or web.listen"));
        }
        return match without_page(section) {
            Some(key) => Err(file.error(key, "has no effect without web.listen: name an address, or leave it out")),
            None => Ok(None),
        };
    };
    let (password, key) = match (&section.password, &section.password_file) {
        (Some(_), Some(_)) => {
            return Err(file.error("web.password_file", "web.password is given as well: keep one of them"));
        }
        (None, Some(path)) => (Some(secret::first_line(path, "web.password_file", file)?), "web.password_file"),
        (password, None) => (password.clone(), "web.password"),
    };
    if password.as_ref().is_some_and(|password| password.chars().count() < MIN_PASSWORD) {
        return Err(file.error(key, format!("the password has fewer than {MIN_PASSWORD} characters")));
    }
    if password.is_none() && !listen.ip().is_loopback() {
        let reason = format!(
            "{listen} can be reached from other machines, for which a password is needed: \
             set web.password or web.password_file, or listen on 127.0.0.1"
        );
        return Err(if typed.is_some() { Error::usage("--web", reason) } else { file.error("web.listen", reason) });
    }
    let write = overrides.web_write || section.write.unwrap_or(false);
    if write && !file.is_file() {
        let reason = "there is no configuration file to write thresholds to: give one with --config";
        return Err(Error::usage("--web-write", reason));
    }
    let hosts = section.hosts.iter().map(|host| host.to_lowercase()).collect();
    Ok(Some(WebSettings { listen, password, hosts, write }))
}

/// The first key of a section without a page that only means something with one.
fn without_page(section: &WebSection) -> Option<&'static str> {
    let given = [
        ("web.password", section.password.is_some()),
        ("web.password_file", section.password_file.is_some()),
        ("web.hosts", !section.hosts.is_empty()),
        ("web.write", section.write == Some(true)),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use crate::config::settings::tests::settings;
    use crate::config::{DEFAULT_LISTEN, Overrides, WebSettings};

    fn page(text: &str, overrides: &Overrides) -> Result<Option<WebSettings>, String> {
        settings(text, overrides).map(|settings| settings.web).map_err(|error| error.to_string())
    }

    fn typed(address: &str) -> Overrides {
        Overrides { web: Some(address.into()), ..Overrides::default() }
    }

    #[test]
    fn there_is_no_page_unless_it_is_asked_for() {
        assert_eq!(page("", &Overrides::default()), Ok(None));
        assert_eq!(page("[web]\nwrite = false\n", &Overrides::default()), Ok(None));
        let listen =
            |text: &str, overrides: &Overrides| page(text, overrides).map(|page| page.unwrap().listen.to_string());
        let written = "[web]\nlisten = \"localhost:80\"\n";
        assert_eq!(listen("", &typed("")), Ok(DEFAULT_LISTEN.to_string()));
        assert_eq!(listen(written, &Overrides::default()), Ok("127.0.0.1:80".into()));
        assert_eq!(listen(written, &typed("")), Ok("127.0.0.1:80".into()));
        assert_eq!(listen(written, &typed("[::1]:90")), Ok("[::1]:90".into()));
    }

    #[test]
    fn beyond_this_machine_a_password_is_needed() {
        let refused = page("[web]\nlisten = \"0.0.0.0:8420\"\n", &Overrides::default()).unwrap_err();
        assert!(refused.contains("c.toml:2: web.listen: 0.0.0.0:8420 can be reached from other"), "{refused}");
        assert!(page("", &typed("192.168.1.5:80")).unwrap_err().starts_with("--web: 192.168.1.5:80 can be reached"));
        let short = page("[web]\nlisten = \"0.0.0.0:1\"\npassword = \"1234567\"\n", &Overrides::default());
        assert!(short.unwrap_err().contains("c.toml:3: web.password: the password has fewer than 8 characters"));
        let long = page("[web]\nlisten = \"0.0.0.0:1\"\npassword = \"12345678\"\n", &Overrides::default());
        assert_eq!(long.unwrap().unwrap().password.as_deref(), Some("12345678"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        for (text, words) in [
            ("[web]\nlisten = \"8420\"\n", "c.toml:2: web.listen: expected an address and a port such as"),
            ("[web]\nwrite = true\n", "c.toml:2: web.write: has no effect without web.listen"),
            ("[web]\nlisten = \"[::1]:1\"\npassword = \"\"\n", "c.toml:3: web.password: expected some text"),
            ("[web]\nlisten = \"[::1]:1\"\npassword_file = \"x\"\n", "c.toml:3: web.password_file: "),
        ] {
            let refused = page(text, &Overrides::default()).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        let alone = Overrides { web_write: true, ..Overrides::default() };
        assert!(page("", &alone).unwrap_err().starts_with("--web-write: has no effect without a page"));
        let no_file = crate::config::Settings::load(None, &Overrides { web_write: true, ..typed("") }).unwrap_err();
        assert!(no_file.to_string().starts_with("--web-write: there is no configuration file"), "{no_file}");
    }
}
