//! A recording of any bytes: samples, or an error.
#![no_main]

use std::fs;

use edge::audio::AudioReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    thread_local!(static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder"));
    DIR.with(|dir| {
        let path = dir.path().join("sound.wav");
        fs::write(&path, bytes).expect("the folder can be written");
        let Ok(mut reader) = AudioReader::open(&path) else { return };
        assert!(reader.sample_rate() > 0 && reader.n_channels() > 0);
        let mut block = Vec::new();
        // What is small on disk may be long: that it continues is enough.
        for _ in 0..100 {
            match reader.next_block(&mut block) {
                Ok(true) => assert!(block.len() < 1 << 24),
                Ok(false) | Err(_) => break,
            }
        }
    });
});
