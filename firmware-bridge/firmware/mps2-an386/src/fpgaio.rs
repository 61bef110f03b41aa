//! The FPGA's own registers: LEDs and a free-running counter.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin, StatefulOutputPin};
use volatile_register::{RO, RW};

/// Clock of processor and counter.
const CLOCK_HZ: u32 = 25_000_000;

/// Application Note 386, "FPGA system control and I/O".
#[repr(C)]
struct Registers {
    /// Bits 0 and 1: the two LEDs, 1 is lit.
    led: RW<u32>,
    _reserved: u32,
    button: RO<u32>,
    _reserved1: u32,
    clk1hz: RW<u32>,
    clk100hz: RW<u32>,
    /// Counts up once for each wrap of the prescaler.
    counter: RW<u32>,
    /// From where the prescaler counts down, at the clock's rate.
    prescale: RW<u32>,
}

fn registers() -> &'static Registers {
    // SAFETY: the block is mapped here for the whole run, is as large as the struct, and all of it
    // may be read and written at any time.
    unsafe { &*(0x4002_8000 as *const Registers) }
}

/// Milliseconds since the start; wraps after 49 days.
#[derive(Debug)]
pub struct Clock(());

impl Clock {
    /// Starts the counter at 0. A second clock would be the same one, set back.
    pub fn start() -> Self {
        // SAFETY: any value is allowed; nothing but the time depends on it.
        unsafe {
            registers().prescale.write(CLOCK_HZ / 1_000 - 1);
            registers().counter.write(0);
        }
        Self(())
    }

    /// Now.
    pub fn now_ms(&self) -> u32 {
        registers().counter.read()
    }
}

/// Ticks of the board's clock, 25 million a second, for short times; a [`Clock`] does not run
/// meanwhile.
#[derive(Debug)]
pub struct Cycles(());

impl Cycles {
    /// Starts the counter at 0.
    pub fn start() -> Self {
        // SAFETY: any value is allowed; nothing but the time depends on it.
        unsafe {
            registers().prescale.write(0);
            registers().counter.write(0);
        }
        Self(())
    }

    /// Ticks since the start; wraps after 171 seconds.
    pub fn elapsed(&self) -> u32 {
        registers().counter.read()
    }
}

/// One of the two LEDs as a pin: high is lit.
#[derive(Debug)]
pub struct Led {
    mask: u32,
}

impl Led {
    /// LED 0 or 1.
    ///
    /// # Panics
    ///
    /// For any other number.
    pub fn new(number: u32) -> Self {
        assert!(number < 2);
        Self { mask: 1 << number }
    }

    fn set(&mut self, lit: bool) {
        let bits = registers().led.read();
        let bits = if lit { bits | self.mask } else { bits & !self.mask };
        // SAFETY: the register drives two LEDs and nothing else.
        unsafe { registers().led.write(bits) };
        defmt::info!("led {}", if lit { "on" } else { "off" });
    }
}

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(true);
        Ok(())
    }
}

impl StatefulOutputPin for Led {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(registers().led.read() & self.mask != 0)
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}
