//! What the configuration turns on beside events: the folder of clips, the addresses of the page
//! and of the metrics, and the socket for terminals.

use std::io::ErrorKind;
use std::net::SocketAddr;

use edge::clips::ClipFolder;
use edge::config::Settings;
use edge::port;

use super::finding::Finding;
use crate::cli::socket_trouble;

/// Whether clips can be kept.
pub(super) fn clips(settings: &Settings) -> Option<Finding> {
    let clips = settings.clips.as_ref()?;
    Some(match ClipFolder::new(&clips.folder).check() {
        Ok(()) => Finding::ok("clips", format!("clips can be kept in {}", clips.folder.display())),
        Err(fault) => Finding::problem("clips", fault).advise(
            "give the daemon's user a folder that it may write, with clips.folder; events are reported without clips \
             meanwhile",
        ),
    })
}

/// Whether the page and the metrics can be served.
pub(super) fn addresses(settings: &Settings, is_daemon_running: bool) -> Vec<Finding> {
    let page = settings.web.as_ref().map(|web| ("page", "web.listen", web.listen));
    let metrics = settings.metrics.map(|address| ("metrics", "metrics.port", address));
    let named = [page, metrics].into_iter().flatten();
    named.map(|(what, key, address)| listens(what, key, address, is_daemon_running)).collect()
}

fn listens(what: &'static str, key: &str, address: SocketAddr, is_daemon_running: bool) -> Finding {
    match port::try_out(address).map_err(|error| (error.kind(), error)) {
        Ok(_) => Finding::ok(what, format!("the daemon can listen at {address}")),
        Err((ErrorKind::AddrInUse, _)) if is_daemon_running => {
            Finding::ok(what, format!("{address} is in use, as the service is running"))
        }
        Err((ErrorKind::AddrInUse, _)) => Finding::warning(what, format!("another program listens at {address}"))
            .advise(format!("end that one, unless it is a daemon, or name another port with {key}")),
        Err((ErrorKind::AddrNotAvailable, _)) => {
            Finding::warning(what, format!("{} is not an address of this machine now", address.ip()))
                .advise(format!("check the network, or name another address with {key}; `ip address` lists them"))
        }
        Err((_, error)) => Finding::problem(what, format!("{address}: {error}"))
            .advise(format!("name another address or port with {key}; ports below 1024 are for root")),
    }
}

/// Whether terminals can attach.
pub(super) fn socket(settings: &Settings, is_daemon_running: bool) -> Option<Finding> {
    let top = settings.top.as_ref()?;
    let shown = top.socket.display();
    Some(match socket_trouble(top) {
        _ if is_daemon_running && top.socket.exists() => Finding::ok("top", format!("{shown} is there")),
        None => Finding::ok("top", format!("terminals can attach through {shown}")),
        Some(reason) => Finding::problem("top", reason).advise(
            "the daemon does not start without it; below /run/earwitness the service makes the folder when it starts",
        ),
    })
}
