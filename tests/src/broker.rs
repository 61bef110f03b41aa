//! A real mosquitto on a free port, and a client that takes down what it delivers.

use std::collections::HashSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, Publish, QoS};

use crate::binary::PATIENCE;

/// Where subscribers publish for themselves: see [`Subscriber::catch_up`].
const MARKS: &str = "tests/marks";

/// A mosquitto whose configuration and files lie in a folder of the test's. Killed when dropped.
pub struct Broker {
    child: Child,
    /// The port of its first listener, without encryption.
    pub port: u16,
}

/// A message as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: String,
    /// Quality of service.
    pub qos: u8,
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// A subscriber to everything. Takes down messages until dropped.
pub struct Subscriber {
    client: Client,
    taken: Arc<Taken>,
    thread: JoinHandle<()>,
}

/// What a subscriber has taken down.
#[derive(Default)]
struct Taken {
    received: Mutex<Vec<Received>>,
    marks: Mutex<Vec<String>>,
    is_subscribed: AtomicBool,
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    // Below the range from which the system takes the near ends of connections, and never the same
    // twice in a process: a port that the system itself would name may be taken again before the
    // broker gets to it.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time often have ids next to each other.
    let first = (u64::from(std::process::id()) * 97 % 10_000) as u16;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A program of the Debian package `package`, which may lie where only the administrator's path
/// leads.
///
/// # Panics
///
/// When it is not installed, naming the package.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

/// Runs `openssl` in `dir`, with which tests make their certificates.
///
/// # Panics
///
/// When it is not installed, or fails.
pub fn openssl(dir: &Path, args: &[&str]) {
    let output =
        Command::new(program("openssl", "openssl")).args(args).current_dir(dir).output().expect("openssl runs");
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Broker {
    /// Starts mosquitto on `port` with `more` lines of configuration, and waits until it listens
    /// there and where these say. What it keeps lies in `dir`, so that a broker started on the same
    /// folder continues where another ended.
    ///
    /// # Panics
    ///
    /// When mosquitto is not installed or does not start.
    pub fn start(dir: &Path, port: u16, more: &str) -> Self {
        let config = dir.join("mosquitto.conf");
        let text = format!(
            "user root\npersistence true\npersistence_location {}/\nlog_dest stderr\nlistener {port} 127.0.0.1\n{more}\n",
            dir.display()
        );
        fs::write(&config, text).expect("the folder can be written");
        let log = fs::File::create(dir.join("mosquitto.log")).expect("the folder can be written");
        let child = Command::new(program("mosquitto", "mosquitto"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto starts");
        let mut broker = Broker { child, port };
        let listener = |line: &str| {
            let (port, host) = line.strip_prefix("listener ")?.split_once(' ')?;
            Some((host.to_string(), port.parse().ok()?))
        };
        let listeners: Vec<(String, u16)> =
            [("127.0.0.1".to_string(), port)].into_iter().chain(more.lines().filter_map(listener)).collect();
        let is_deaf = |(host, port): &(String, u16)| TcpStream::connect((host.as_str(), *port)).is_err();
        let deadline = Instant::now() + PATIENCE;
        while listeners.iter().any(is_deaf) {
            let ended = broker.child.try_wait().expect("a child can be asked");
            let log = || fs::read_to_string(dir.join("mosquitto.log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "mosquitto does not listen: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        broker
    }

    /// Its address for `--mqtt`.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal by name, such as `HUP`.
    ///
    /// # Panics
    ///
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(status.expect("sh runs").success(), "signal {name} was not sent");
    }

    /// Ends it in good order: it writes down its sessions and what it keeps.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn stop(mut self) {
        self.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("a child can be asked").is_none() {
            assert!(Instant::now() < deadline, "mosquitto does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Subscriber {
    /// Subscribes to everything at the broker on `port`. A `session` is kept by the broker, with
    /// what comes for it, while its subscriber is away.
    ///
    /// # Panics
    ///
    /// When the broker does not acknowledge the subscription.
    pub fn start(port: u16, session: Option<&str>) -> Self {
        Self::start_as(port, session, None)
    }

    /// The same with a user name and a password.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_as(port: u16, session: Option<&str>, login: Option<(&str, &str)>) -> Self {
        let mut options = MqttOptions::new(session.unwrap_or("subscriber"), "127.0.0.1", port);
        options.set_clean_session(session.is_none());
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let (client, connection) = Client::new(options, 16);
        client.subscribe("#", QoS::AtLeastOnce).expect("room in the channel");
        let taken: Arc<Taken> = Arc::default();
        let thread = thread::spawn({
            let taken = Arc::clone(&taken);
            move || take_down(connection, &taken)
        });
        let deadline = Instant::now() + PATIENCE;
        while !taken.is_subscribed.load(Ordering::Acquire) {
            assert!(Instant::now() < deadline, "the broker does not acknowledge the subscription");
            thread::sleep(Duration::from_millis(10));
        }
        Subscriber { client, taken, thread }
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.taken.received.lock().expect("no reader panics").clone()
    }

    /// The payloads that have come on a topic so far.
    pub fn payloads(&self, topic: &str) -> Vec<String> {
        self.received().into_iter().filter(|message| message.topic == topic).map(|message| message.payload).collect()
    }

    /// The payloads that have come on a topic so far, each once, in the order in which they came
    /// first.
    pub fn distinct(&self, topic: &str) -> Vec<String> {
        distinct(&self.payloads(topic))
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    ///
    /// With `what` and everything that came, when it does not come to hold.
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited for: {what}; received {:#?}", self.received());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until everything has come that the broker had acknowledged before: what it has for a
    /// subscriber it delivers in order, and last of all comes what is published here.
    ///
    /// # Panics
    ///
    /// When that does not come.
    pub fn catch_up(&self) {
        static N_MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("{}-{}", std::process::id(), N_MARKS.fetch_add(1, Ordering::Relaxed));
        self.client.publish(MARKS, QoS::AtLeastOnce, false, mark.as_str()).expect("the subscriber runs");
        self.wait_until("its own message", |subscriber| {
            subscriber.taken.marks.lock().expect("no reader panics").contains(&mark)
        });
    }

    /// Waits until nothing more has come on a topic for a second.
    pub fn wait_for_quiet(&self, topic: &str) {
        let mut n_before = usize::MAX;
        loop {
            let n = self.payloads(topic).len();
            if n == n_before {
                return;
            }
            n_before = n;
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Waits until a broker that has ended is known to have, and all that it sent is taken down.
    ///
    /// # Panics
    ///
    /// When the connection lives on.
    pub fn wait_for_end(&self) {
        self.wait_until("the end of the connection", |subscriber| subscriber.thread.is_finished());
    }
}

/// Takes down what comes until the connection ends. Until there is a subscription it is made again
/// and again, for a broker that does not yet know the password.
fn take_down(mut connection: Connection, taken: &Taken) {
    while let Ok(event) = connection.recv() {
        match event {
            Ok(event) => taken.note(event),
            Err(_) if !taken.is_subscribed.load(Ordering::Acquire) => thread::sleep(Duration::from_millis(50)),
            Err(_) => break,
        }
    }
    // What came before an acknowledgement that could not be written any more.
    connection.eventloop.state.events.drain(..).for_each(|event| taken.note(event));
}

impl Taken {
    fn note(&self, event: Event) {
        match event {
            Event::Incoming(Incoming::Publish(publish)) if publish.topic == MARKS => {
                let mark = String::from_utf8_lossy(&publish.payload).into_owned();
                self.marks.lock().expect("no reader panics").push(mark);
            }
            Event::Incoming(Incoming::Publish(publish)) => {
                self.received.lock().expect("no reader panics").push(Received::new(&publish));
            }
            Event::Incoming(Incoming::SubAck(_)) => self.is_subscribed.store(true, Ordering::Release),
            _ => {}
        }
    }
}

/// Each once, in the order in which they came first.
pub fn distinct(payloads: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    payloads.iter().filter(|payload| seen.insert(*payload)).cloned().collect()
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // The broker may be gone already.
        let _ = self.client.disconnect();
    }
}

impl Received {
    fn new(publish: &Publish) -> Self {
        Received {
            topic: publish.topic.clone(),
            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
            qos: publish.qos as u8,
            retained: publish.retain,
        }
    }
}
