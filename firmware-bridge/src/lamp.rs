//! Lamps and how they shine: a brightness enters, a pin or a PWM channel is set. On the thread that
//! owns the pin.

use embedded_hal::digital::OutputPin;
use embedded_hal::pwm::SetDutyCycle;

/// Something that shines.
pub trait Lamp {
    /// Why it could not be set.
    type Error;

    /// Sets the brightness, 0 (dark) to 255.
    ///
    /// # Errors
    ///
    /// The pin's.
    fn set(&mut self, brightness: u8) -> Result<(), Self::Error>;
}

/// A lamp that is on or off: on from half of the brightness on. High is on; for the contrary invert
/// the pin.
#[derive(Debug)]
pub struct Switched<P>(pub P);

impl<P: OutputPin> Lamp for Switched<P> {
    type Error = P::Error;

    fn set(&mut self, brightness: u8) -> Result<(), P::Error> {
        self.0.set_state((brightness >= 128).into())
    }
}

/// A lamp with a PWM channel.
#[derive(Debug)]
pub struct Dimmed<P>(pub P);

impl<P: SetDutyCycle> Lamp for Dimmed<P> {
    type Error = P::Error;

    fn set(&mut self, brightness: u8) -> Result<(), P::Error> {
        self.0.set_duty_cycle_fraction(brightness.into(), 255)
    }
}

/// How a lamp shines over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pattern {
    /// On.
    Steady,
    /// On and off in turn.
    Blink {
        /// How long it is on, ms.
        on_ms: u16,
        /// How long it is off, ms.
        off_ms: u16,
    },
    /// Some blinks of 100 ms, 150 ms apart, then a pause.
    Pulses {
        /// How many.
        n: u8,
        /// From the last one to the first of the next round, ms.
        pause_ms: u16,
    },
    /// Up and down softly; half the time on where the lamp cannot be dimmed.
    Breathe {
        /// From bright to bright, ms.
        period_ms: u16,
    },
}

const PULSE_ON_MS: u32 = 100;
const PULSE_MS: u32 = PULSE_ON_MS + 150;

impl Pattern {
    /// Brightness `elapsed_ms` after the beginning; each pattern begins bright. Lengths of 0 count
    /// as 1 ms.
    pub fn brightness(self, elapsed_ms: u32) -> u8 {
        let on = |is_on: bool| if is_on { 255 } else { 0 };
        match self {
            Self::Steady => 255,
            Self::Blink { on_ms, off_ms } => {
                let (on_ms, off_ms) = (u32::from(on_ms).max(1), u32::from(off_ms).max(1));
                on(elapsed_ms % (on_ms + off_ms) < on_ms)
            }
            Self::Pulses { n, pause_ms } => {
                let pulses_ms = u32::from(n.max(1)) * PULSE_MS;
                let at_ms = elapsed_ms % (pulses_ms + u32::from(pause_ms));
                on(at_ms < pulses_ms && at_ms % PULSE_MS < PULSE_ON_MS)
            }
            Self::Breathe { period_ms } => {
                let period_ms = u32::from(period_ms).max(2);
                let from_peak = elapsed_ms % period_ms;
                let from_peak = from_peak.min(period_ms - from_peak);
                let linear = 255 - 255 * from_peak / (period_ms / 2);
                // The eye is about logarithmic: squared, the change looks even. From half of the
                // time on it is below half.
                u8::try_from(linear * linear / 255).unwrap_or(255)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_mock::eh1::digital::{Mock as PinMock, State, Transaction as Pin};
    use embedded_hal_mock::eh1::pwm::{Mock as PwmMock, Transaction as Pwm};

    use super::*;

    fn on_times(pattern: Pattern, step_ms: u32, n: u32) -> String {
        (0..n).map(|i| if pattern.brightness(i * step_ms) >= 128 { '#' } else { '.' }).collect()
    }

    #[test]
    fn patterns_look_as_they_are_described() {
        assert_eq!(on_times(Pattern::Steady, 1000, 4), "####");
        assert_eq!(on_times(Pattern::Blink { on_ms: 100, off_ms: 300 }, 50, 16), "##......##......");
        assert_eq!(on_times(Pattern::Pulses { n: 2, pause_ms: 500 }, 50, 24), "##...##.............##..");
        assert_eq!(on_times(Pattern::Blink { on_ms: 0, off_ms: 0 }, 1, 4), "#.#.");
        let breathe = Pattern::Breathe { period_ms: 1000 };
        assert_eq!([0, 250, 500, 750, 1000].map(|ms| breathe.brightness(ms)), [255, 64, 0, 64, 255]);
    }

    #[test]
    fn a_switched_lamp_sets_its_pin() {
        let mut pin = PinMock::new(&[Pin::set(State::High), Pin::set(State::Low)]);
        let mut lamp = Switched(&mut pin);
        lamp.set(128).unwrap();
        lamp.set(127).unwrap();
        pin.done();
    }

    #[test]
    fn a_dimmed_lamp_sets_its_duty_cycle() {
        let mut channel = PwmMock::new(&[
            Pwm::max_duty_cycle(1020),
            Pwm::set_duty_cycle(1020),
            Pwm::max_duty_cycle(1020),
            Pwm::set_duty_cycle(256),
        ]);
        let mut lamp = Dimmed(channel.clone());
        lamp.set(255).unwrap();
        lamp.set(64).unwrap();
        channel.done();
    }
}
