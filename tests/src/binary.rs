//! The real `earwitness`: builds it, runs it, and takes down what it says.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So long a test waits for what takes a moment on an idle machine. Where it comes, this costs
/// nothing.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The daemon's binary: `EARWITNESS_BIN` if that is set, else built now if need be, with the
/// profile and in the target folder of the running test.
///
/// # Panics
///
/// When it cannot be built.
pub fn earwitness_bin() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("EARWITNESS_BIN") {
        Some(given) => given.into(),
        None => build("edge", "earwitness"),
    })
}

/// The generator's binary, which `make tests` has built before; else it is built now.
///
/// # Panics
///
/// When it cannot be built.
pub fn make_scene_bin() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let there = profile_dir().join("make-scene");
        if there.exists() { there } else { build("sounds", "make-scene") }
    })
}

/// Where cargo puts the programs of the running test's profile.
fn profile_dir() -> PathBuf {
    let test = env::current_exe().expect("the test knows its own file");
    // target/<profile>/deps/<test>
    test.parent().and_then(Path::parent).expect("tests run from target/<profile>/deps").to_path_buf()
}

/// Builds the program `name` of a package, with the profile of the running test.
fn build(package: &str, name: &str) -> PathBuf {
    let profile_dir = profile_dir();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} does not name a profile", profile_dir.display()),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "-p", package, "--bin", name, "--profile", profile])
        .current_dir(workspace())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "{name} does not build");
    profile_dir.join(name)
}

/// The root of the repository.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the workspace")
}

/// The shipped model.
pub fn model_dir() -> PathBuf {
    workspace().join("models/home")
}

/// A file that a target of the Makefile fetches: where the variable says, or else the cache's file
/// of this name.
pub fn fetched(variable: &str, name: &str) -> PathBuf {
    env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
        cache.unwrap_or_default().join("earwitness").join(name)
    })
}

/// Makes a FIFO at `path`.
///
/// # Panics
///
/// When it cannot be made.
pub fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo {}", path.display());
}

/// A program that is running, with its output as it comes. Killed when dropped.
pub struct Process {
    child: Child,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// The lines on its standard output.
    pub stdout: Vec<String>,
    /// The lines on its standard error.
    pub stderr: Vec<String>,
}

impl Process {
    /// Starts `command` with nothing on its standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Starts `command` with nothing on its standard input.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn try_start(command: &mut Command) -> std::io::Result<Self> {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts `command`, and returns the near end of its standard input, too.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start_with_input(command: &mut Command) -> (Self, ChildStdin) {
        let mut process =
            Self::spawn(command.stdin(Stdio::piped())).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = process.child.stdin.take().expect("piped");
        (process, input)
    }

    fn spawn(command: &mut Command) -> std::io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            take_down(child.stdout.take().expect("piped"), &stdout),
            take_down(child.stderr.take().expect("piped"), &stderr),
        ];
        Ok(Process { child, stdout, stderr, readers })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many threads and how many descriptors it has; none when it has ended.
    pub fn holds(&self) -> (usize, usize) {
        let count = |what: &str| {
            let entries = std::fs::read_dir(format!("/proc/{}/{what}", self.id()));
            entries.map_or(0, |entries| entries.count())
        };
        (count("task"), count("fd"))
    }

    /// The lines on its standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lock().expect("no reader panics").clone()
    }

    /// The lines on its standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().expect("no reader panics").clone()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Sends it a signal by name, such as `TERM`.
    ///
    /// # Panics
    ///
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is in a package that a minimal system
        // lacks.
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status();
        assert!(status.expect("sh runs").success(), "signal {name} was not sent");
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    ///
    /// With `what` and everything the program has said, when it ends before, or after `timeout`.
    pub fn wait_until(&mut self, what: &str, timeout: Duration, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + timeout;
        while !condition(self) {
            let running = self.is_running();
            // What it said last may still be on its way.
            if !running && self.is_taken_down(deadline) && condition(self) {
                return;
            }
            let state = if running { "is running" } else { "has ended" };
            let (stdout, stderr) = (self.stdout().join("\n"), self.stderr().join("\n"));
            assert!(
                running && Instant::now() < deadline,
                "waited for: {what}; the program {state}\nstandard output:\n{stdout}\nstandard error:\n{stderr}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether everything that it said is taken down before `deadline`.
    fn is_taken_down(&self, deadline: Instant) -> bool {
        while !self.readers.iter().all(JoinHandle::is_finished) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// With everything the program has said, when it runs on after `timeout`.
    pub fn finish(mut self, timeout: Duration) -> Output {
        let deadline = Instant::now() + timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                break status;
            }
            assert!(Instant::now() < deadline, "still running after {timeout:?}: {:#?}", self.stderr());
            thread::sleep(Duration::from_millis(20));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        Output { status, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn take_down(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = lines.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines.lock().expect("no reader panics").push(line);
        }
    })
}
