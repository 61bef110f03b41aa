//! What every kind of source knows about itself, so that nothing else has to know which kinds
//! exist.

use std::fmt;
use std::sync::Arc;

use edge_frontend::FrontendConfig;

use super::options::{SourceOption, SourceOptions};
use super::{Hearing, Source};
use crate::error::Result;
use crate::status::Status;

/// What is known about a source before it is opened, and how it is opened.
pub(super) trait SourceKind: fmt::Display {
    /// Whether its sound comes as it happens; `None` if only its pace can show it.
    fn is_live(&self, options: &SourceOptions) -> Option<bool>;

    /// Whether it heeds an option.
    fn takes(&self, option: SourceOption) -> bool;

    /// What it is, for a person, without secrets.
    fn describe(&self, options: &SourceOptions) -> String;

    /// Whether this machine and this program have what it needs, and whether it can be heard as the
    /// options say, as far as that can be told without opening it. What a start refuses for good,
    /// this refuses. `frontend` is the model's.
    ///
    /// # Errors
    ///
    /// What is missing or wrong, and what to do about it.
    fn check(&self, _options: &SourceOptions, _frontend: &FrontendConfig) -> Result<()> {
        Ok(())
    }

    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// Where it can never work.
    fn start(&self, setup: &Setup<'_>) -> Result<Source>;
}

/// What a source is started with.
pub(super) struct Setup<'a> {
    pub(super) options: &'a SourceOptions,
    /// The model's, which a microcontroller's features must be those of.
    #[cfg_attr(not(feature = "serial"), expect(dead_code))]
    pub(super) frontend: &'a FrontendConfig,
    pub(super) status: &'a Arc<Status>,
    pub(super) hearing: &'a Arc<Hearing>,
}
