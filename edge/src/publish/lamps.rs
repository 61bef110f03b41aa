//! The lamps of microcontrollers: events enter, words to the nodes that heard them leave. The words
//! wait in the [`Lamps`] of each node, whose capture thread sends them; there is no thread here.

use std::time::Instant;

use super::Sink;
use crate::capture::Lamps;
use crate::error::Result;
use crate::event::Event;

/// The lamps of all nodes as one sink: an event goes to the node that has heard it.
pub struct LampSink(Vec<(String, Lamps)>);

impl LampSink {
    /// A sink for the lamps of sources, each with the source's name in events.
    pub fn new(lamps: Vec<(String, Lamps)>) -> Self {
        LampSink(lamps)
    }
}

impl Sink for LampSink {
    fn name(&self) -> &str {
        "lamps"
    }

    fn notify(&mut self, events: &[Event]) {
        for event in events {
            for (_, lamps) in self.0.iter().filter(|(name, _)| *name == event.device) {
                lamps.tell(&event.label, event.phase, event.peak_score);
            }
        }
    }

    fn reads_the_journal(&self) -> bool {
        false
    }

    fn is_open(&self) -> bool {
        true
    }

    fn finish(&mut self, _deadline: Instant) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::event;

    #[test]
    fn an_event_goes_to_the_node_that_heard_it() {
        let (here, there) = (Lamps::default(), Lamps::default());
        let mut sink =
            LampSink::new(vec![("test".to_string(), here.clone()), ("elsewhere".to_string(), there.clone())]);
        sink.notify(&[event("rain")]);
        assert_eq!(here.said(), "Onset rain 50");
        assert_eq!(there.said(), "");
    }
}
