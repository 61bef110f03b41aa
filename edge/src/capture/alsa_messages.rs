//! Messages of the ALSA library: it writes its complaints to standard error unless told
//! otherwise.
//!
//! A missing device makes it print a dozen lines about its own configuration, in the middle of our
//! log. While a value of this type lives, the complaints of the calling thread are kept instead and
//! can be asked for as a cause.

use std::cell::RefCell;
use std::rc::Rc;

/// Keeps the messages of the calling thread.
pub(super) struct AlsaMessages {
    output: Option<Rc<RefCell<alsa::Output>>>,
}

impl AlsaMessages {
    /// Begins to keep messages. Should that fail, they go to standard error as before.
    pub(super) fn keep() -> Self {
        AlsaMessages { output: alsa::Output::local_error_handler().ok() }
    }

    /// The first message so far, without its place in ALSA's sources: it names the cause, the
    /// following ones repeat it.
    pub(super) fn first(&self) -> Option<String> {
        let output = self.output.as_ref()?;
        let text = output.borrow().buffer_string(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.to_string())
    }
}
