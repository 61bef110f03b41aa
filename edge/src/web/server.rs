//! Listens, and hands requests on within limits: of connections, of what a request may take in time
//! and bytes, and of how long an answer may take to go.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::guard::Guard;
use super::stall::Stall;
use super::{Shared, live, routes};
use crate::config::WebSettings;
use crate::error::{Error, Result};
use crate::fault::{Fault, FaultLog};

/// Connections at once; a browser takes up to six.
const MAX_CONNECTIONS: usize = 128;

/// A request has this long to come, and a connection without one this long to live.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// A browser has this long to take some bytes of an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// Longest head of a request, bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What takes longer, such as reading the journal, does so on this many threads.
const MAX_THREADS: usize = 2;

/// A port that another program has is tried again after this long.
const RETRY: Duration = Duration::from_secs(5);

/// The answer to a client for which there is no connection left.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Length: 57\r\n\r\nToo many connections at once: please try again in a while\n";

/// Whether the page could be served at this address. That another program has the port now is not
/// wrong: it may be the daemon whose configuration is looked at.
///
/// # Errors
///
/// What the system says.
pub fn check(settings: &WebSettings) -> Result<()> {
    match TcpListener::bind(settings.listen) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(refused(settings.listen, &error)),
        _ => Ok(()),
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrNotAvailable => ": it is not an address of this machine",
        io::ErrorKind::PermissionDenied => ": use a port from 1024 on",
        _ => "",
    };
    Error::usage("web.listen", format!("{address}: {error}{remedy}"))
}

/// Starts the thread that serves the page.
pub(super) fn start(settings: &WebSettings, shared: Arc<Shared>) -> Result<()> {
    check(settings)?;
    let guard = Arc::new(Guard::new(settings));
    let listen = settings.listen;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(MAX_THREADS)
        .thread_keep_alive(Duration::from_secs(5))
        .build()
        .map_err(Error::io("cannot start the page"))?;
    let serve = move || runtime.block_on(serve(listen, guard, shared));
    thread::Builder::new().name("page".into()).spawn(serve).map_err(Error::io("cannot start the page's thread"))?;
    Ok(())
}

async fn serve(listen: SocketAddr, guard: Arc<Guard>, shared: Arc<Shared>) {
    let listener = bind(listen).await;
    tokio::spawn(live::collect(Arc::clone(&shared)));
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, perhaps: some connection will end.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => {
                tokio::spawn(answer(stream, permit, Arc::clone(&guard), Arc::clone(&shared)));
            }
            Err(_) => refuse(stream),
        }
    }
}

/// Listens, as soon as the port is free.
async fn bind(listen: SocketAddr) -> tokio::net::TcpListener {
    let mut faults = FaultLog::default();
    loop {
        match tokio::net::TcpListener::bind(listen).await {
            Ok(listener) => {
                // Port 0 is any that is free.
                let address = listener.local_addr().unwrap_or(listen);
                tracing::info!(%address, "page at http://{address}/");
                return listener;
            }
            Err(error) => {
                let text = format!("the page cannot be served at {listen}: {error}; recognition continues");
                let fault = Fault::new("page", text);
                if faults.occurred(&fault).is_some() {
                    tracing::warn!(%listen, "{fault}; trying again every {} s", RETRY.as_secs());
                }
                sleep(RETRY).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, permit: OwnedSemaphorePermit, guard: Arc<Guard>, shared: Arc<Shared>) {
    let service = service_fn(|request| {
        let (guard, shared) = (Arc::clone(&guard), Arc::clone(&shared));
        async move { Ok::<_, Infallible>(routes::answer(request, &guard, shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(Stall::new(TokioIo::new(stream), ANSWER_PATIENCE), service);
    // A browser that goes away in the middle is nothing to speak of.
    let _ = connection.await;
    drop(permit);
}

/// Tells one for whom there is no connection left.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let _ = timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
    });
}
