//! A node on a Raspberry Pi Pico: streams an I2S microphone over UART 0 and shows events on the
//! board's LED.
#![no_std]
#![no_main]

mod microphone;
mod uart;

use cortex_m::singleton;
use defmt_rtt as _; // the log, to the debug probe
use ear::{BLOCK_LEN, Ear};
use firmware_bridge::lamp::Switched;
use microphone::{Block, Microphone, Pins};
use panic_probe as _; // panics, to the log
use rp2040_hal::clocks::{Clock, init_clocks_and_plls};
use rp2040_hal::dma::DMAExt;
use rp2040_hal::fugit::RateExtU32;
use rp2040_hal::gpio::{FunctionPio0, PullNone};
use rp2040_hal::pio::PIOExt;
use rp2040_hal::uart::{DataBits, StopBits, UartConfig, UartPeripheral};
use rp2040_hal::{Sio, Timer, Watchdog, gpio, pac};

/// What the ROM runs first: sets the Pico's flash chip up.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

const CRYSTAL_HZ: u32 = 12_000_000;
const BAUD: u32 = 921_600;

/// That of the shipped models; the daemon resamples any other.
const RATE_HZ: u32 = 24_000;

#[rp2040_hal::entry]
fn main() -> ! {
    let mut pac = pac::Peripherals::take().expect("taken once");
    let mut watchdog = Watchdog::new(pac.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL_HZ,
        pac.XOSC,
        pac.CLOCKS,
        pac.PLL_SYS,
        pac.PLL_USB,
        &mut pac.RESETS,
        &mut watchdog,
    )
    .expect("the board has a crystal of 12 MHz");
    let timer = Timer::new(pac.TIMER, &mut pac.RESETS, &clocks);
    let sio = Sio::new(pac.SIO);
    let pins = gpio::Pins::new(pac.IO_BANK0, pac.PADS_BANK0, sio.gpio_bank0, &mut pac.RESETS);

    let line = UartConfig::new(BAUD.Hz(), DataBits::Eight, None, StopBits::One);
    let uart =
        UartPeripheral::new(pac.UART0, (pins.gpio0.into_function(), pins.gpio1.into_function()), &mut pac.RESETS)
            .enable(line, clocks.peripheral_clock.freq())
            .expect("the clock can be divided to the rate");
    let mut port = uart::Port(uart);

    let data = pins.gpio2.reconfigure::<FunctionPio0, PullNone>();
    let bit_clock = pins.gpio3.reconfigure::<FunctionPio0, PullNone>();
    let _word_select = pins.gpio4.reconfigure::<FunctionPio0, PullNone>();
    let (pio, sm, _, _, _) = pac.PIO0.split(&mut pac.RESETS);
    let dma = pac.DMA.split(&mut pac.RESETS);
    let blocks = [
        singleton!(: Block = [0; BLOCK_LEN]).expect("taken once"),
        singleton!(: Block = [0; BLOCK_LEN]).expect("taken once"),
    ];
    let numbers = Pins { data: data.id().num, bit_clock: bit_clock.id().num };
    let rates = (clocks.system_clock.freq().to_Hz(), RATE_HZ);
    let mut microphone = Microphone::start((pio, sm), (dma.ch0, dma.ch1), numbers, rates, blocks);

    let mut ear = Ear::new("pico", RATE_HZ, Switched(pins.gpio25.into_push_pull_output()), ());
    loop {
        if let Some(block) = microphone.next() {
            // Only features can be too long for the link.
            let _ = ear.capture(block);
        }
        // The clock in milliseconds wraps with its lower half, as the link allows for.
        let now_ms = (timer.get_counter().ticks() / 1_000) as u32;
        if let Err(error) = ear.poll(now_ms, &mut port) {
            defmt::error!("{}", defmt::Debug2Format(&error));
        }
    }
}
