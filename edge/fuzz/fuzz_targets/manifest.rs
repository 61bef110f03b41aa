//! A manifest of any text: what is accepted is written and read again alike.
#![no_main]

use edge_frontend::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        let written = manifest.to_toml().expect("what was read can be written");
        assert_eq!(Manifest::parse(&written).expect("what was written can be read"), manifest);
    }
});
