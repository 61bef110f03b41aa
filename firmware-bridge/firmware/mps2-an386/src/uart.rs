//! UART 0, Arm's CMSDK APB UART, whose buffers hold one byte. A receive interrupt empties it into a
//! ring, because a loop that does other things too would be late for bytes that come at line speed;
//! sending is polled.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;

use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;
use critical_section::Mutex;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use heapless::Deque;
use volatile_register::RW;

/// Cortex-M System Design Kit, Technical Reference Manual, "APB UART".
#[repr(C)]
struct Registers {
    data: RW<u32>,
    /// Bits 0, 1: a byte waits to leave, to be read. Bits 2, 3: one was overwritten; written 1,
    /// cleared.
    state: RW<u32>,
    ctrl: RW<u32>,
    /// Bits 0, 1: transmit, receive interrupt; written 1, cleared.
    intclear: RW<u32>,
    bauddiv: RW<u32>,
}

const TX_FULL: u32 = 1 << 0;
const RX_FULL: u32 = 1 << 1;
const RX_OVERRUN: u32 = 1 << 3;
const CTRL_TX_RX_AND_RX_INTERRUPT: u32 = 1 << 0 | 1 << 1 | 1 << 3;
const INT_RX: u32 = 1 << 1;

/// The UART's clock, that of the processor.
const CLOCK_HZ: u32 = 25_000_000;

/// Number of UART 0's receive interrupt.
const RX_IRQ: i16 = 0;

/// About 5 ms at 921,600 baud: five rounds of a loop that takes a millisecond.
const RING_LEN: usize = 512;

static RING: Mutex<RefCell<Deque<u8, RING_LEN>>> = Mutex::new(RefCell::new(Deque::new()));

/// Bytes for which there was no room, in the ring or in the receiver.
static N_LOST: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

fn registers() -> &'static Registers {
    // SAFETY: the block is mapped here for the whole run and is as large as the struct.
    unsafe { &*(0x4000_4000 as *const Registers) }
}

/// The runtime's handler of all interrupts, because this board has no device crate that would name
/// them.
///
/// # Safety
///
/// Called by the processor only.
#[exception]
unsafe fn DefaultHandler(irq: i16) {
    assert!(irq == RX_IRQ, "interrupt {irq} was never enabled");
    let uart = registers();
    // Before the receiver is emptied: a byte that comes after the last look raises it again.
    // Cleared afterwards, that byte would stay where it is for ever, and no other could come.
    // SAFETY: writing this bit clears the interrupt and nothing else.
    unsafe { uart.intclear.write(INT_RX) };
    critical_section::with(|cs| {
        let mut ring = RING.borrow_ref_mut(cs);
        let mut n_lost = 0;
        while uart.state.read() & RX_FULL != 0 {
            n_lost += u32::from(ring.push_back(uart.data.read() as u8).is_err());
        }
        if uart.state.read() & RX_OVERRUN != 0 {
            n_lost += 1;
            // SAFETY: writing this bit clears it and nothing else.
            unsafe { uart.state.write(RX_OVERRUN) };
        }
        if n_lost > 0 {
            N_LOST.borrow(cs).set(N_LOST.borrow(cs).get().saturating_add(n_lost));
        }
    });
}

/// The UART as a port. Reading never waits; writing a byte waits for the one before it, unless
/// asked whether it is ready.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Turns it on.
    ///
    /// # Panics
    ///
    /// For a rate that its divider, 16 at least, cannot make.
    pub fn start(baud: u32) -> Self {
        let divider = CLOCK_HZ / baud;
        assert!(divider >= 16);
        let uart = registers();
        // SAFETY: the divider is one that the manual allows, and the handler is ready for the
        // interrupt.
        unsafe {
            uart.bauddiv.write(divider);
            uart.ctrl.write(CTRL_TX_RX_AND_RX_INTERRUPT);
            NVIC::unmask(Irq);
        }
        Self(())
    }

    /// Bytes received and lost.
    pub fn n_lost(&self) -> u32 {
        critical_section::with(|cs| N_LOST.borrow(cs).get())
    }
}

#[derive(Clone, Copy)]
struct Irq;

// SAFETY: the number is that of an interrupt of this board, and always the same.
unsafe impl cortex_m::interrupt::InterruptNumber for Irq {
    fn number(self) -> u16 {
        RX_IRQ as u16
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(critical_section::with(|cs| !RING.borrow_ref(cs).is_empty()))
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            // One byte at a time: the interrupt must not be held off for long.
            let mut n = 0;
            for place in &mut *buffer {
                let Some(byte) = critical_section::with(|cs| RING.borrow_ref_mut(cs).pop_front()) else {
                    break;
                };
                *place = byte;
                n += 1;
            }
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
        }
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(registers().state.read() & TX_FULL == 0)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else {
            return Ok(0);
        };
        while !self.write_ready()? {}
        // SAFETY: the transmitter is free, and takes any byte.
        unsafe { registers().data.write(byte.into()) };
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !self.write_ready()? {}
        Ok(())
    }
}
