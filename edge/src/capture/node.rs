//! A microcontroller as a source. How it is written is in `address`; how it is opened is in
//! `serial`, where this build has serial ports.

use edge_frontend::FrontendConfig;

use super::kind::{Setup, SourceKind};
use super::{NodeSpec, Source, SourceOption, SourceOptions};
use crate::error::Result;

impl SourceKind for NodeSpec {
    fn is_live(&self, _: &SourceOptions) -> Option<bool> {
        Some(true)
    }

    fn takes(&self, option: SourceOption) -> bool {
        option == SourceOption::Gain
    }

    fn describe(&self, _: &SourceOptions) -> String {
        let encoding = self.encoding.map_or(String::new(), |encoding| format!(", as {}", encoding.name()));
        let gate = match self.gate_db {
            0 => String::new(),
            gate_db => format!(", only sound louder than -{gate_db} dBFS"),
        };
        format!("the microcontroller at {}{encoding}{gate}", self.address)
    }

    #[cfg(feature = "serial")]
    fn check(&self, _: &SourceOptions, frontend: &FrontendConfig) -> Result<()> {
        super::serial::check(self, frontend)
    }

    #[cfg(not(feature = "serial"))]
    fn check(&self, _: &SourceOptions, _: &FrontendConfig) -> Result<()> {
        Err(unsupported())
    }

    #[cfg(feature = "serial")]
    fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        super::serial::start(self, setup)
    }

    #[cfg(not(feature = "serial"))]
    fn start(&self, _: &Setup<'_>) -> Result<Source> {
        Err(unsupported())
    }
}

#[cfg(not(feature = "serial"))]
fn unsupported() -> crate::Error {
    crate::Error::usage("source", "serial: this build has no serial support (cargo feature `serial`)")
}
