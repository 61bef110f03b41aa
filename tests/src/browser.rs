//! A real browser without a window: Chromium, led by its own driver (W3C WebDriver). Needs the
//! Debian packages chromium and chromium-driver.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary::{PATIENCE, fetched};
use crate::broker::{free_port, program};

/// What WebDriver calls an element in its answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one tab. Closed when dropped.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
}

impl Browser {
    /// Starts a browser that stores what it downloads in `downloads`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(downloads: &Path) -> Self {
        let port = free_port();
        let driver = Command::new(program("chromedriver", "chromium-driver"))
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(3 * PATIENCE));
        let mut browser =
            Browser { driver, agent: config.build().into(), session: format!("http://127.0.0.1:{port}/session") };
        let deadline = Instant::now() + PATIENCE;
        while browser.agent.get(format!("http://127.0.0.1:{port}/status")).call().is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        let options = json!({
            "binary": program("chromium", "chromium"),
            // As root, and where /dev/shm is small, it starts only so.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                     "--lang=en-GB", "--window-size=1280,900"],
            "prefs": { "download.default_directory": downloads },
        });
        let wanted = json!({
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" }
        });
        let answer = browser.call("POST", "", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        let id = answer["sessionId"].as_str().expect("a session has an id").to_string();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Goes to `url` and waits until it is loaded.
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// What the body of a function in JavaScript returns.
    pub fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What the body of a function in JavaScript hands to `done`.
    pub fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        self.call("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression in JavaScript is true.
    ///
    /// # Panics
    ///
    /// When it does not become so.
    pub fn wait_until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({expression});")) != json!(true) {
            let page = self.run("return document.body.innerText;");
            assert!(Instant::now() < deadline, "waited for: {expression}\nthe console: {:#?}\n{page}", self.console());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks on the element that a CSS selector names.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.call("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Presses the arrow to the right `n` times with the focus on the element that a CSS selector
    /// names.
    pub fn press_right(&self, selector: &str, n: usize) {
        self.run(&format!("document.querySelector({}).focus();", json!(selector)));
        for _ in 0..n {
            for kind in ["rawKeyDown", "keyUp"] {
                let key =
                    json!({ "type": kind, "key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39 });
                self.command("Input.dispatchKeyEvent", &key);
            }
        }
    }

    /// Makes the window as large as a screen of `width` by `height`.
    pub fn resize(&self, width: u32, height: u32) {
        // Not the window's, which has a least width, but the screen's.
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// As if the reader had asked the system for dark or for light colours.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// As if the reader were in this time zone.
    pub fn live_in(&self, zone: &str) {
        self.command("Emulation.setTimezoneOverride", &json!({ "timezoneId": zone }));
    }

    /// Writes a picture of the page to `path`, PNG.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn picture(&self, path: &Path) {
        let command = json!({ "cmd": "Page.captureScreenshot", "params": { "format": "png" } });
        let answer = self.call("POST", "/goog/cdp/execute", &command);
        let data = answer["data"].as_str().expect("a picture");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).expect("base64");
        fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Warnings and errors on the console since this was asked last.
    pub fn console(&self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let bad = entries.into_iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    /// What axe-core finds wrong with the page by WCAG 2.2, levels A and AA: a line for each
    /// element.
    ///
    /// # Panics
    ///
    /// When axe-core is not there: `EARWITNESS_AXE` names it, and `make axe` brings it.
    pub fn inaccessible(&self) -> Vec<String> {
        let file = fetched("EARWITNESS_AXE", "axe.min.js");
        let axe = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.run(&axe);
        let tags = json!(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]);
        let found = self.run_async(&format!(
            "axe.run(document, {{ runOnly: {tags} }}).then((result) => done(result.violations.flatMap((rule) => \
             rule.nodes.map((node) => `${{rule.id}}: ${{node.html}}: ${{node.failureSummary}}`))), (error) => done([String(error)]));"
        ));
        found.as_array().expect("a list").iter().map(ToString::to_string).collect()
    }

    fn find(&self, selector: &str) -> String {
        let answer = self.call("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        answer[ELEMENT].as_str().unwrap_or_else(|| panic!("no element {selector}: {answer}")).to_string()
    }

    /// A command of Chromium's own protocol.
    fn command(&self, name: &str, params: &Value) {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": name, "params": params }));
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let answer = match method {
            "DELETE" => self.agent.delete(&url).call(),
            _ => self.agent.post(&url).content_type("application/json").send(body.to_string()),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("an answer");
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
        let value = &answer["value"];
        assert!(value.get("error").is_none(), "{method} {path}: {}", value["message"]);
        value.clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver closes the browser with the session; killed first, it would leave it behind.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
