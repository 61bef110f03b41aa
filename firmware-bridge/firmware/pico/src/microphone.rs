//! An I2S microphone: a state machine of the PIO makes the clocks and takes the bits, two DMA
//! channels in turn fill one of two blocks, and full blocks leave as 16-bit samples. The processor
//! does nothing for a sample until its block is full.
//!
//! The program is master of the bus: 64 bits per frame, 32 for each channel, two cycles per bit.
//! The word select falls before the left channel, one bit early, as the standard has it (Philips,
//! *I2S bus specification*, 1996). The right channel's bits are clocked and not kept.

use ear::BLOCK_LEN;
use rp2040_hal::dma::double_buffer::{self, Transfer, WriteNext};
use rp2040_hal::dma::{CH0, CH1, Channel};
use rp2040_hal::pac::PIO0;
use rp2040_hal::pio::{PIO, PIOBuilder, PinDir, Rx, SM0, ShiftDirection, UninitStateMachine};

/// Cycles of the state machine a sample.
const CYCLES: u32 = 128;

/// A microphone's 24 bits stand at the top of the word, and even loud rooms leave the upper ones
/// empty: 12 dB are added.
const SHIFT: u32 = 14;

/// A block as the DMA writes it.
pub type Block = [u32; BLOCK_LEN];

type Dma = (Channel<CH0>, Channel<CH1>);
type Source = Rx<(PIO0, SM0)>;
type Running = Transfer<Channel<CH0>, Channel<CH1>, Source, &'static mut Block, WriteNext<&'static mut Block>>;

/// A microphone that delivers.
pub struct Microphone {
    running: Option<Running>,
    samples: [i16; BLOCK_LEN],
}

/// Numbers of the pins.
#[derive(Clone, Copy)]
pub struct Pins {
    /// Data, from the microphone.
    pub data: u8,
    /// Bit clock; the word select is the pin after it.
    pub bit_clock: u8,
}

impl Microphone {
    /// Starts the clocks for `rate_hz` and the first transfer. The pins must belong to the PIO.
    ///
    /// # Panics
    ///
    /// Where the PIO has no room for the program, which an unused one has.
    pub fn start(
        (mut pio, sm): (PIO<PIO0>, UninitStateMachine<(PIO0, SM0)>),
        dma: Dma,
        pins: Pins,
        (system_hz, rate_hz): (u32, u32),
        [first, second]: [&'static mut Block; 2],
    ) -> Self {
        let program = pio::pio_asm!(
            ".side_set 2", // bit 0: bit clock, bit 1: word select
            ".wrap_target",
            "    set x, 29        side 0b01", // high, the right channel's last bit
            "    nop              side 0b00",
            "left:",
            "    in pins, 1       side 0b01",
            "    jmp x-- left     side 0b00",
            "    in pins, 1       side 0b01",
            "    set x, 29        side 0b10", // the word select rises one bit early
            "    in pins, 1       side 0b11", // the left channel's last bit
            "    nop              side 0b10",
            "right:",
            "    nop              side 0b11",
            "    jmp x-- right    side 0b10",
            "    nop              side 0b11",
            "    nop              side 0b00", // it falls one bit early
            ".wrap",
        );
        let installed = pio.install(&program.program).expect("an unused PIO has room for twelve instructions");
        // In 256ths, rounded.
        let divider = (u64::from(system_hz) * 256 / u64::from(rate_hz * CYCLES)) as u32;
        let (mut machine, rx, _tx) = PIOBuilder::from_installed_program(installed)
            .in_pin_base(pins.data)
            .side_set_pin_base(pins.bit_clock)
            .in_shift_direction(ShiftDirection::Left)
            .autopush(true)
            .push_threshold(32)
            .clock_divisor_fixed_point((divider >> 8) as u16, divider as u8)
            .build(sm);
        machine.set_pindirs([
            (pins.data, PinDir::Input),
            (pins.bit_clock, PinDir::Output),
            (pins.bit_clock + 1, PinDir::Output),
        ]);
        machine.start();
        let running = double_buffer::Config::new(dma, rx, first).start().write_next(second);
        Self { running: Some(running), samples: [0; BLOCK_LEN] }
    }

    /// The next block, if it is full.
    pub fn next(&mut self) -> Option<&[i16; BLOCK_LEN]> {
        let running = self.running.take()?;
        if !running.is_done() {
            self.running = Some(running);
            return None;
        }
        let (block, next) = running.wait();
        for (sample, &word) in self.samples.iter_mut().zip(block.iter()) {
            let value = (word as i32) >> SHIFT;
            *sample = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
        self.running = Some(next.write_next(block));
        Some(&self.samples)
    }
}
