//! The local page: taps, events and health enter; HTTP leaves, if the configuration turns the page
//! on.
//!
//! | module | purpose |
//! |---|---|
//! | `site` | what there is on the page |
//! | `recent_events` | the last events, in memory, and the sink that brings them |
//! | `live` | pulses of all sources as server-sent events |
//! | `events` | events by day, as JSON and CSV |
//! | `clips` | sound of events, and marks of it |
//! | `thresholds` | what other thresholds would have reported, and writing them down |
//! | `files` | HTML, CSS and scripts, part of the program |
//! | `guard` | who may ask for what |
//! | `answer` | answers and their headers |
//! | `range` | a part of a body |
//! | `routes` | from a request to an answer |
//! | `stall` | a connection that does not move ends |
//! | `server` | serves, within limits |
//!
//! All of it runs on one thread with a scheduler of its own, and on at most two more for what takes
//! longer, such as reading the journal. No other thread ever waits for it. HTTP itself is hyper's.
//!
//! Nothing is computed while nobody looks: pulses are taken from the [taps](crate::live) only while
//! a browser shows them.

mod answer;
mod clips;
mod events;
mod files;
mod guard;
mod live;
mod range;
mod recent_events;
mod routes;
mod server;
mod site;
mod stall;
mod thresholds;

pub use recent_events::PageSink;
pub use server::check;
pub use site::{PageSite, Writable};

use std::sync::Arc;

use crate::config::WebSettings;
use crate::error::Result;

use self::live::Live;
use self::recent_events::RecentEvents;

/// The running page.
#[derive(Clone)]
pub struct Page {
    shared: Arc<PageShared>,
}

/// What every request is answered from.
struct PageShared {
    site: PageSite,
    recent: RecentEvents,
    live: Live,
}

impl Page {
    /// Serves `site` as `settings` say. Where another program has the port, or the address is not
    /// there yet, that is logged, and it is tried again from time to time.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on for another reason.
    pub fn start(settings: &WebSettings, site: PageSite) -> Result<Self> {
        let shared = Arc::new(PageShared { site, recent: RecentEvents::default(), live: Live::new() });
        server::start(settings, Arc::clone(&shared))?;
        Ok(Page { shared })
    }

    /// The sink that brings events to the page.
    pub fn sink(&self) -> PageSink {
        PageSink::new(self.clone())
    }

    /// Other rules hold from now on.
    pub fn rules_changed(&self) {
        self.shared.live.send("rules", "{}");
    }
}
