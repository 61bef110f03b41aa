//! Which file it is, whatever its name: metadata enters, and what tells it from a file that has
//! taken its name leaves.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Device and number of a file. No other file has them while this one is open or has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    number: u64,
}

impl From<Metadata> for FileIdentity {
    fn from(metadata: Metadata) -> Self {
        FileIdentity { device: metadata.dev(), number: metadata.ino() }
    }
}
