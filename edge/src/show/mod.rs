//! What the running daemon shows outside itself: what the sources hear, events and health enter;
//! JSON leaves, the same for [the page](crate::web) and for terminals.
//!
//! | module | purpose |
//! |---|---|
//! | `source` | a source and what its worker shares |
//! | `site` | what there is to show |
//! | `message` | what is sent of it, as it is written and read |
//! | `listener` | the file of the socket for terminals, and who may connect to it |
//! | `terminals` | the terminals that are attached, and the sink that brings them events |
//! | `attached` | the other end: a terminal that is attached to a daemon |
//!
//! To terminals, messages go as lines of JSON through a local socket, if the configuration turns
//! that on. Nothing is computed while no one is watching, and a viewer never holds up the daemon: a
//! viewer that does not keep up misses messages.

#[cfg(feature = "top")]
mod attached;
#[cfg(feature = "top")]
mod listener;
mod message;
mod site;
mod source;
#[cfg(feature = "top")]
mod terminals;

#[cfg(feature = "top")]
pub use attached::{Attached, DaemonNews};
#[cfg(feature = "top")]
pub use listener::{Socket, check, why_not_now};
pub use message::{
    About, Bands, Figures, HealthFinding, LabelAbout, Message, PulseMessage, SourceAbout, SourceHealth, rounded,
};
pub use site::Site;
pub use source::ShownSource;
#[cfg(feature = "top")]
pub use terminals::{TerminalSink, Terminals};

/// Where a terminal looks for the daemon's socket unless told otherwise: where the packages'
/// service may have it.
pub const DEFAULT_SOCKET: &str = "/run/earwitness/top.sock";
