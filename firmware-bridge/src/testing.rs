//! A port for tests: bytes that the other end has sent, bytes that it will get, and limited room
//! for them.

use std::collections::VecDeque;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};

/// Both directions of one end.
#[derive(Debug, Default)]
pub(crate) struct Port {
    /// What was written.
    pub written: Vec<u8>,
    /// What can be read.
    pub readable: VecDeque<u8>,
    /// Bytes that it takes until it is busy.
    pub room: usize,
    /// Whether every call fails.
    pub fault: bool,
}

impl Port {
    /// One that takes everything.
    pub(crate) fn new() -> Self {
        Self { room: usize::MAX, ..Self::default() }
    }

    fn check(&self) -> Result<(), ErrorKind> {
        if self.fault { Err(ErrorKind::Other) } else { Ok(()) }
    }
}

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        self.check()?;
        Ok(self.room > 0)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.check()?;
        assert!(self.room > 0, "a write would have waited");
        // In small pieces, as hardware does.
        let n = bytes.len().min(self.room).min(16);
        self.written.extend(&bytes[..n]);
        self.room = self.room.saturating_sub(n);
        Ok(n)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        self.check()?;
        Ok(!self.readable.is_empty())
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        self.check()?;
        assert!(!self.readable.is_empty(), "a read would have waited");
        let n = buffer.len().min(self.readable.len()).min(16);
        for (place, byte) in buffer.iter_mut().zip(self.readable.drain(..n)) {
            *place = byte;
        }
        Ok(n)
    }
}

#[cfg(feature = "async")]
impl embedded_io_async::Write for Port {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.room == 0 {
            core::future::pending::<()>().await;
        }
        Write::write(self, bytes)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
