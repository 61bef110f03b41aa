//! The indicator: events and the time enter, a lamp is set. Polled; on the thread that owns the
//! lamp.
//!
//! Events are not acknowledged, so either end of a sound may be missed. The daemon therefore
//! repeats the onset of a sound that lasts, and a lamp goes out by itself when nothing has been
//! heard of a sound for its hold time.

use crate::lamp::{Lamp, Pattern};
use crate::msg::{Event, Phase};

/// What a lamp does for a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rule<'a> {
    /// The model's label, or [`ANY`].
    pub label: &'a str,
    /// Scores below this do not count, percent.
    pub min_score_percent: u8,
    /// How it shines.
    pub pattern: Pattern,
    /// How long it shines on when nothing more is heard of the sound, ms; not less than the
    /// daemon's interval of repetition.
    pub hold_ms: u32,
    /// How long it shines on when the sound has ended, ms.
    pub linger_ms: u32,
}

/// Stands for every label.
pub const ANY: &str = "*";

/// A lamp with `N` rules; where several sounds last, the rule that stands first is shown.
#[derive(Debug)]
pub struct Indicator<'a, L, const N: usize> {
    lamp: L,
    rules: [Rule<'a>; N],
    active: [Option<Active>; N],
    /// What the lamp was last set to; `None` before that, and after an error.
    brightness: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Active {
    /// Beginning of the pattern.
    since_ms: u32,
    /// When its time began to run.
    heard_ms: u32,
    /// How long it runs.
    hold_ms: u32,
}

impl<'a, L: Lamp, const N: usize> Indicator<'a, L, N> {
    /// An indicator that shows nothing yet.
    pub fn new(lamp: L, rules: [Rule<'a>; N]) -> Self {
        Self { lamp, rules, active: [None; N], brightness: None }
    }

    /// Takes an event. The lamp follows at the next [`poll`](Self::poll).
    pub fn event(&mut self, event: &Event<'_>, now_ms: u32) {
        for (rule, active) in self.rules.iter().zip(&mut self.active) {
            if rule.label != ANY && rule.label != event.label {
                continue;
            }
            match (event.phase, &active) {
                (Phase::Onset, _) if event.score_percent >= rule.min_score_percent => {
                    let since_ms = active.map_or(now_ms, |active| active.since_ms);
                    *active = Some(Active { since_ms, heard_ms: now_ms, hold_ms: rule.hold_ms });
                }
                (Phase::Offset, Some(Active { since_ms, .. })) => {
                    *active = Some(Active { since_ms: *since_ms, heard_ms: now_ms, hold_ms: rule.linger_ms });
                }
                _ => (),
            }
        }
    }

    /// Sets the lamp to what it is to show at `now_ms`. To be called some tens of times per second;
    /// the clock may wrap.
    ///
    /// # Errors
    ///
    /// The lamp's; the next call tries again.
    pub fn poll(&mut self, now_ms: u32) -> Result<(), L::Error> {
        for active in &mut self.active {
            *active = active.filter(|active| now_ms.wrapping_sub(active.heard_ms) < active.hold_ms);
        }
        let shown = self.rules.iter().zip(&self.active).find_map(|(rule, active)| active.map(|active| (rule, active)));
        let brightness =
            shown.map_or(0, |(rule, active)| rule.pattern.brightness(now_ms.wrapping_sub(active.since_ms)));
        if self.brightness != Some(brightness) {
            self.brightness = None;
            self.lamp.set(brightness)?;
            self.brightness = Some(brightness);
        }
        Ok(())
    }

    /// Whether a sound is being shown, be the lamp bright or dark just now.
    pub fn is_active(&self) -> bool {
        self.active.iter().any(Option::is_some)
    }

    /// Gives the lamp back.
    pub fn release(self) -> L {
        self.lamp
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Takes down what it was set to.
    #[derive(Default)]
    struct Seen {
        set: RefCell<Vec<u8>>,
        broken: Cell<bool>,
    }

    impl Lamp for &Seen {
        type Error = &'static str;

        fn set(&mut self, brightness: u8) -> Result<(), &'static str> {
            if self.broken.get() {
                return Err("broken");
            }
            self.set.borrow_mut().push(brightness);
            Ok(())
        }
    }

    const CRY: Rule<'_> = Rule {
        label: "crying_baby",
        min_score_percent: 50,
        pattern: Pattern::Blink { on_ms: 100, off_ms: 100 },
        hold_ms: 3_000,
        linger_ms: 500,
    };
    const OTHER: Rule<'_> =
        Rule { label: ANY, min_score_percent: 0, pattern: Pattern::Steady, hold_ms: 1_000, linger_ms: 0 };

    fn event(phase: Phase, label: &str) -> Event<'_> {
        Event { phase, score_percent: 80, label }
    }

    /// Whether the lamp is bright after the events, each with its time, at times from 0 in steps of
    /// 100 ms.
    fn shown(events: &[(u32, Event<'_>)], n: u32) -> String {
        // Across the wrap of the clock.
        let start_ms = u32::MAX - 700;
        let seen = Seen::default();
        let mut indicator = Indicator::new(&seen, [CRY, OTHER]);
        (0..n)
            .map(|step| {
                let now_ms = start_ms.wrapping_add(step * 100);
                events.iter().filter(|(at_ms, _)| *at_ms == step * 100).for_each(|(_, event)| {
                    indicator.event(event, now_ms);
                });
                indicator.poll(now_ms).unwrap();
                if indicator.brightness == Some(255) { '#' } else { '.' }
            })
            .collect()
    }

    #[test]
    fn an_offset_ends_it_after_the_time_to_linger() {
        let events = [(200, event(Phase::Onset, "crying_baby")), (800, event(Phase::Offset, "crying_baby"))];
        assert_eq!(shown(&events, 18), "..#.#.#.#.#.#.....");
    }

    #[test]
    fn without_an_offset_the_hold_time_ends_it_and_an_onset_again_prolongs_it() {
        let once = [(100, event(Phase::Onset, "rain"))];
        assert_eq!(shown(&once, 14), ".##########...");
        let twice = [(100, event(Phase::Onset, "rain")), (600, event(Phase::Onset, "rain"))];
        assert_eq!(shown(&twice, 18), ".###############..");
    }

    #[test]
    fn the_first_rule_that_holds_is_shown() {
        let events = [
            (0, event(Phase::Onset, "rain")),
            (200, event(Phase::Onset, "crying_baby")),
            (300, event(Phase::Offset, "crying_baby")),
        ];
        // The offset of the one ends the other too, for which every label is alike.
        assert_eq!(shown(&events, 10), "###.#.#...");
    }

    #[test]
    fn unsure_events_and_offsets_alone_show_nothing() {
        let unsure = Event { score_percent: 49, ..event(Phase::Onset, "crying_baby") };
        let seen = Seen::default();
        let mut indicator = Indicator::new(&seen, [CRY]);
        indicator.event(&unsure, 0);
        indicator.event(&event(Phase::Offset, "crying_baby"), 0);
        indicator.event(&event(Phase::Onset, "rain"), 0);
        assert!(!indicator.is_active());
    }

    #[test]
    fn the_lamp_is_set_once_for_each_change_and_again_after_an_error() {
        let seen = Seen::default();
        let mut indicator = Indicator::new(&seen, [OTHER]);
        indicator.event(&event(Phase::Onset, "rain"), 0);
        seen.broken.set(true);
        assert_eq!(indicator.poll(0), Err("broken"));
        seen.broken.set(false);
        (1..1_500).for_each(|now_ms| indicator.poll(now_ms).unwrap());
        assert_eq!(*seen.set.borrow(), [255, 0]);
    }
}
