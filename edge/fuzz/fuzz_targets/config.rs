//! A configuration file of any text: settings, rules and quiet hours, or one error of one line.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use edge::config::{Overrides, Settings};
use edge_frontend::Manifest;
use libfuzzer_sys::fuzz_target;

static MANIFEST: LazyLock<Manifest> =
    LazyLock::new(|| Manifest::parse(include_str!("../../../models/home/manifest.toml")).expect("the shipped manifest"));

fuzz_target!(|text: &[u8]| {
    thread_local!(static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder"));
    DIR.with(|dir| {
        let path = dir.path().join("earwitness.toml");
        fs::write(&path, text).expect("the folder can be written");
        let settings = Settings::load(Some(&path), &Overrides::default());
        let result = settings.and_then(|settings| {
            settings.rules(&MANIFEST)?;
            settings.quiet_hours(&MANIFEST)
        });
        if let Err(error) = result {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    });
});
