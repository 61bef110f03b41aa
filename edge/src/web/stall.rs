//! A connection that ends when its other side takes nothing for a while: hyper limits how long a
//! request may take to come, but not how long an answer may take to go.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep_until};

/// A connection and the moment until which it has to take something.
pub(super) struct Stall<T> {
    connection: T,
    patience: Duration,
    /// While it takes nothing.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T> Stall<T> {
    pub(super) fn new(connection: T, patience: Duration) -> Self {
        Stall { connection, patience, deadline: None }
    }

    /// The connection's answer to a write, until it has given none for too long.
    fn limited(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: Read + Unpin> Read for Stall<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Stall<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.limited(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(context, buffers);
        self.limited(context, written)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    type Near = Stall<TokioIo<DuplexStream>>;

    fn poll(stall: &mut Near, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(stall).poll_write(context, &[1; 16])
    }

    #[test]
    fn who_takes_nothing_is_cut_off_and_who_takes_something_is_waited_for_afresh() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = duplex(16);
            let mut stall = Stall::new(TokioIo::new(near), Duration::from_millis(20));
            assert_eq!(poll_fn(|context| poll(&mut stall, context)).await.unwrap(), 16);
            poll_fn(|context| {
                assert!(poll(&mut stall, context).is_pending());
                Poll::Ready(())
            })
            .await;
            assert!(stall.deadline.is_some());
            far.read_exact(&mut [0; 16]).await.unwrap();
            assert_eq!(poll_fn(|context| poll(&mut stall, context)).await.unwrap(), 16);
            assert!(stall.deadline.is_none());
            let error = poll_fn(|context| poll(&mut stall, context)).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
