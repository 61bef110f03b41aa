//! Typing that is not shown: the terminal's echo is off while a password is asked for.

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// While it lives, the terminal does not show what is typed.
pub(super) struct Hidden(Option<Termios>);

impl Hidden {
    pub(super) fn new() -> Self {
        let terminal = io::stdin().as_raw_fd();
        let kept = tcgetattr(terminal).ok();
        if let Some(kept) = &kept {
            let mut hidden = kept.clone();
            hidden.local_flags.remove(LocalFlags::ECHO);
            // Where that fails, what is typed is seen.
            let _ = tcsetattr(terminal, SetArg::TCSANOW, &hidden);
        }
        Hidden(kept)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(kept) = &self.0 {
            let _ = tcsetattr(io::stdin().as_raw_fd(), SetArg::TCSANOW, kept);
        }
    }
}
