//! Hands requests on within limits: of connections, of what a request may take in time and bytes,
//! and of how long an answer may take to go.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::guard::Guard;
use super::stall::Stall;
use super::{PageShared, live, routes};
use crate::config::WebSettings;
use crate::error::{Error, Result};
use crate::port;

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

/// The answer to a client for which there is no connection left.
const BUSY: &str = "Too many connections at once: please try again in a while\n";

/// Whether the page could be served at this address, now or later.
///
/// # Errors
///
/// What the system says.
pub fn check(settings: &WebSettings) -> Result<()> {
    port::check("web.listen", settings.listen)
}

/// Starts the thread that serves the page.
pub(super) fn start(settings: &WebSettings, shared: Arc<PageShared>) -> Result<()> {
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
    let serve = move || {
        let bind = |address: SocketAddr| runtime.block_on(TcpListener::bind(address));
        let listener = port::listen(listen, "the page", bind);
        // Port 0 is any that is free.
        let address = listener.local_addr().unwrap_or(listen);
        tracing::info!(%address, "page at http://{address}/");
        runtime.block_on(serve(listener, guard, shared));
    };
    thread::Builder::new().name("page".into()).spawn(serve).map_err(Error::io("cannot start the page's thread"))?;
    Ok(())
}

async fn serve(listener: TcpListener, guard: Arc<Guard>, shared: Arc<PageShared>) {
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

async fn answer(stream: TcpStream, permit: OwnedSemaphorePermit, guard: Arc<Guard>, shared: Arc<PageShared>) {
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
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{BUSY}",
        BUSY.len()
    );
    tokio::spawn(async move {
        let _ = timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
    });
}
