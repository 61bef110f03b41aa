//! A real HTTP server on a free port that takes down what is posted to it, and that can fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::binary::PATIENCE;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `POST /path`
    pub line: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with this status and these further headers.
    Answer(u16, &'static str),
    /// Answers the first event that ever came with 400, and others with 200.
    RefuseFirst,
    /// Takes the request and says nothing.
    Hang,
    /// Closes the connection in the middle of the request.
    HangUp,
    /// Answers something that is not HTTP.
    Babble,
}

/// A server that listens until the process ends.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<Mutex<Vec<Request>>>,
    taken: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that behaves like this.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let server = Server {
            port,
            behaviour: Arc::new(Mutex::new(behaviour)),
            requests: Arc::default(),
            taken: Arc::default(),
        };
        let (behaviour, requests, taken) =
            (Arc::clone(&server.behaviour), Arc::clone(&server.requests), Arc::clone(&server.taken));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let behaviour = behaviour.lock().expect("no reader panics").clone();
                let (requests, taken) = (Arc::clone(&requests), Arc::clone(&taken));
                thread::spawn(move || serve(stream, &behaviour, &requests, &taken));
            }
        });
        server
    }

    /// Its address.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// From now on it behaves like this.
    ///
    /// # Panics
    ///
    /// When one of its threads has.
    pub fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("no reader panics") = behaviour;
    }

    /// All requests so far.
    ///
    /// # Panics
    ///
    /// When one of its threads has.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no reader panics").clone()
    }

    /// The requests so far that were answered with 200.
    ///
    /// # Panics
    ///
    /// When one of its threads has.
    pub fn taken(&self) -> Vec<Request> {
        self.taken.lock().expect("no reader panics").clone()
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    ///
    /// With `what` and everything that came, when it does not come to hold.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited for: {what}; received {:#?}", self.requests());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour, requests: &Mutex<Vec<Request>>, taken: &Mutex<Vec<Request>>) {
    if *behaviour == Behaviour::HangUp {
        let _ = stream.read(&mut [0; 20]);
        return;
    }
    let Ok(near) = stream.try_clone() else { return };
    let Some(request) = read(near) else { return };
    let is_first = {
        let mut requests = requests.lock().expect("no reader panics");
        requests.push(request.clone());
        requests[0].body == request.body
    };
    let mut answer = |status: u16, headers: &str| {
        if status == 200 {
            taken.lock().expect("no reader panics").push(request.clone());
        }
        let text = format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: 2\r\n\r\nok");
        let _ = stream.write_all(text.as_bytes());
    };
    match behaviour {
        Behaviour::Answer(status, headers) => answer(*status, headers),
        Behaviour::RefuseFirst => answer(if is_first { 400 } else { 200 }, ""),
        Behaviour::Hang => thread::sleep(Duration::from_secs(600)),
        Behaviour::Babble => drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")),
        Behaviour::HangUp => {}
    }
}

fn read(stream: TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_string()),
        }
    }
    let header =
        |line: &String| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()));
    let headers: Vec<_> = lines.iter().skip(1).filter_map(header).collect();
    let len = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    let line = lines[0].rsplit_once(' ').map_or(lines[0].as_str(), |(line, _)| line).to_string();
    Some(Request { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
