//! The socket for `earwitness top --attach`: the section `[top]` enters, complete settings leave.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config::{Config, ConfigFile, TopSection};
use crate::error::Result;

/// Where terminals attach to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopSettings {
    /// File of the socket.
    pub socket: PathBuf,
    /// Who may attach.
    pub mode: FileMode,
}

/// Permissions of a file that its owner can read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The bits, as chmod(2) takes them.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for FileMode {
    /// For its owner only.
    fn default() -> Self {
        FileMode(0o600)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for FileMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777 && bits & 0o600 == 0o600);
        bits.map(FileMode).ok_or_else(|| "expected permissions from \"0600\" to \"0777\"".into())
    }
}

/// The settings; `None` where no socket is named.
pub(super) fn socket(section: &TopSection, file: &ConfigFile) -> Result<Option<TopSettings>> {
    match (&section.socket, section.mode) {
        (Some(socket), mode) => Ok(Some(TopSettings { socket: file.resolve(socket), mode: mode.unwrap_or_default() })),
        (None, Some(_)) => {
            Err(file.error("top.mode", "has no effect without top.socket: name the socket, or leave this key out"))
        }
        (None, None) => Ok(None),
    }
}

/// The socket that the configuration at `path` names, for a user who may not read the passwords
/// that it names, too.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a file that cannot be read or parsed.
pub fn top_socket(path: &Path) -> Result<Option<PathBuf>> {
    let (config, file) = Config::read(path)?;
    Ok(config.top.socket.map(|socket| file.resolve(&socket)))
}

#[cfg(test)]
mod tests {
    use crate::config::Overrides;
    use crate::config::settings::tests::settings;

    #[test]
    fn nobody_attaches_unless_a_socket_is_named_and_then_its_owner_alone() {
        let top = |text: &str| settings(text, &Overrides::default()).unwrap().top;
        assert_eq!(top("[top]\n"), None);
        let of_owner = top("[top]\nsocket = \"/run/top.sock\"\n").unwrap();
        assert_eq!((of_owner.socket.to_str(), of_owner.mode.to_string()), (Some("/run/top.sock"), "0600".into()));
        let beside = top("[top]\nsocket = \"top.sock\"\nmode = \"660\"\n").unwrap();
        assert!(beside.socket.is_absolute() && beside.socket.ends_with("top.sock"), "{:?}", beside.socket);
        assert_eq!((beside.mode.bits(), beside.mode.to_string()), (0o660, "0660".into()));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        for (text, words) in [
            ("[top]\nmode = \"0660\"\n", "c.toml:2: top.mode: has no effect without top.socket"),
            ("[top]\nsocket = \"s\"\nmode = \"0066\"\n", "c.toml:3: top.mode: expected permissions from"),
            ("[top]\nsocket = \"s\"\nmode = \"rw\"\n", "c.toml:3: top.mode: expected permissions from"),
            ("[top]\nsocket = \"s\"\nmode = \"1600\"\n", "c.toml:3: top.mode: expected permissions from"),
        ] {
            let refused = settings(text, &Overrides::default()).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
