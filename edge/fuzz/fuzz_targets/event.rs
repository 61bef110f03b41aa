//! An event as the spool or the broker has it, of any text: what is accepted is written and read
//! again alike.
#![no_main]

use edge::event::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(event) = Event::from_json(text) {
        let written = event.to_json();
        let again = Event::from_json(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
        let ended = event.ended_at(jiff::Timestamp::UNIX_EPOCH);
        Event::from_json(&ended.to_json()).expect("its end can be read, too");
    }
});

