//! What comes after the configuration: the service, or the command that runs the daemon.

use std::path::Path;
use std::process::{Command, Stdio};

use edge::{Error, Result};
use nix::unistd::{User, geteuid};

use super::ask::Asker;
use crate::cli::args::SetupArgs;
use crate::cli::{SERVICE_CONFIG, is_of_service};

const START: [&str; 3] = ["systemctl", "enable", "earwitness"];
const RESTART: [&str; 3] = ["systemctl", "restart", "earwitness"];

/// The service's user, `User=` of packaging/systemd/earwitness.service.
const USER: &str = "earwitness";

/// The service's user, if the service reads `out` and files can be given to that user. Root's would
/// be closed to the service.
pub(super) fn user(out: &Path) -> Option<User> {
    let is_given = is_of_service(out) && geteuid().is_root();
    is_given.then(|| User::from_name(USER).ok().flatten()).flatten()
}

/// Offers to start the service where it is installed and runs by the file that was written.
pub(super) fn offer(args: &SetupArgs, asker: &mut Asker, out: &Path) -> Result<()> {
    let of_service = is_of_service(out);
    let installed = is_installed();
    let refused = match (of_service, installed) {
        (false, _) => Some(format!("the service reads {SERVICE_CONFIG}, which is another file")),
        (true, false) => {
            Some("the service is not installed: the Debian package installs it (docs/install.md)".to_string())
        }
        (true, true) => None,
    };
    match refused {
        Some(reason) if args.service == Some(true) => return Err(Error::usage("--service", reason)),
        Some(_) => {}
        None => {
            let wanted = match args.service {
                Some(wanted) => wanted,
                None => asker.confirm("Start the service now and at every boot?", true)? && asker.asks(),
            };
            if wanted {
                [START, RESTART].iter().try_for_each(|command| run(command))?;
                asker.say(format_args!("The service is running: `journalctl -u earwitness -f` shows its log."))?;
                return Ok(());
            }
            asker.say(format_args!("Start it:   sudo systemctl enable --now earwitness"))?;
            return Ok(());
        }
    }
    let out = out.display();
    asker.say(format_args!("Listen:     earwitness run --config {out}"))?;
    asker.say(format_args!("If it does not work: earwitness doctor --config {out}"))
}

fn is_installed() -> bool {
    let mut command = Command::new("systemctl");
    command.args(["cat", "earwitness.service"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(command: &[&str]) -> Result<()> {
    let shown = command.join(" ");
    let status = Command::new(command[0]).args(&command[1..]).status().map_err(Error::io(shown.clone()))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::io(shown)(std::io::Error::other(format!("it failed ({status}), see above")))),
    }
}
