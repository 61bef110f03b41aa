//! `[network]`: what is trained.

use crate::nets::head::HeadConfig;
use crate::nets::slowfast::SlowFastConfig;
use crate::nets::student::StudentConfig;
use edge_frontend::FrontendConfig;
use serde::{Deserialize, Serialize};

/// A kind of network with its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Network {
    /// The streaming student.
    Student(StudentConfig),
    /// Auditory SlowFast.
    Slowfast(SlowFastConfig),
    /// CED-tiny as it is, with a head that is trained.
    Ced(HeadConfig),
}

impl Network {
    /// Its name in recipes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Student(_) => "student",
            Self::Slowfast(_) => "slowfast",
            Self::Ced(_) => "ced",
        }
    }

    /// The front end of a recipe that gives none.
    pub fn usual_frontend(&self) -> FrontendConfig {
        match self {
            Self::Student(_) => FrontendConfig::student(),
            Self::Slowfast(_) => FrontendConfig::epic_sounds(),
            Self::Ced(_) => assemble::ced::front_end(),
        }
    }
}
