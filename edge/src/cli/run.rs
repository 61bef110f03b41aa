//! `earwitness run`: the daemon.

use edge::{Result, daemon};

use super::args::RunArgs;

pub(super) fn run(args: &RunArgs) -> Result<()> {
    daemon::run(args.config.as_deref(), args.overrides()?)
}
