//! Names and formats of devices that do not exist.

use cpal::SupportedBufferSize;

use super::*;

fn names() -> Vec<Name> {
    [
        ("alsa:null", "Discard all samples"),
        ("alsa:hw:CARD=USB,DEV=0", "USB Microphone, USB Audio"),
        ("alsa:plughw:CARD=USB,DEV=0", "USB Microphone, USB Audio"),
        ("alsa:hw:CARD=PCH,DEV=0", "HDA Intel, Analog"),
        ("alsa:room", "room"),
    ]
    .map(|(id, name)| Name { id: id.to_string(), name: name.to_string() })
    .into()
}

#[test]
fn a_device_is_found_by_id_name_or_part() {
    assert_eq!(pick(&names(), "alsa:hw:CARD=USB,DEV=0"), Ok(1));
    assert_eq!(pick(&names(), "hw:CARD=PCH,DEV=0"), Ok(3));
    assert_eq!(pick(&names(), "room"), Ok(4));
    assert_eq!(pick(&names(), "HDA Intel, Analog"), Ok(3));
    assert_eq!(pick(&names(), "usb micro"), Ok(2), "the one with conversions");
    // As arecord and its manual write them.
    assert_eq!(pick(&names(), "hw:USB,0"), Ok(1));
    assert_eq!(pick(&names(), "plughw:USB"), Ok(2));
    assert!(pick(&names(), "plug:left").unwrap_err().contains("exec:arecord -D plug:left -t raw"));
}

#[test]
fn what_fits_none_or_several_says_what_there_is() {
    assert!(pick(&names(), "kinect").unwrap_err().contains("this machine has alsa:hw:CARD=USB,DEV=0, alsa:plughw"));
    assert_eq!(pick(&names()[..1], "kinect").unwrap_err(), "no capture device found");
    assert_eq!(pick(&names()[..1], "null"), Ok(0));
    assert!(
        pick(&names(), "DEV=0")
            .unwrap_err()
            .contains("fits several capture devices; use one of these ids: alsa:hw:CARD=USB")
    );
    assert_eq!(pick(&[], "kinect").unwrap_err(), "no capture device found");
    assert!(pick(&names(), "").is_err());
}

fn range(channels: u16, min: u32, max: u32, format: SampleFormat) -> SupportedStreamConfigRange {
    SupportedStreamConfigRange::new(channels, min, max, SupportedBufferSize::Unknown, format)
}

#[test]
fn formats_are_chosen_by_rate_then_loss_then_cost() {
    let best = |ranges: &[SupportedStreamConfigRange]| best_format(ranges, 1).map(|format| format.to_string());
    let offered = [
        range(2, 8_000, 96_000, SampleFormat::I16),
        range(2, 8_000, 96_000, SampleFormat::I32),
        range(1, 8_000, 96_000, SampleFormat::I32),
        range(1, 16_000, 16_000, SampleFormat::F32),
    ];
    assert_eq!(best(&offered).unwrap(), "48000 Hz, 1 channel, i32");
    assert_eq!(best(&[range(6, 44_100, 44_100, SampleFormat::U16)]).unwrap(), "44100 Hz, 6 channels, u16");
    assert_eq!(best(&[range(1, 11_025, 12_000, SampleFormat::U8)]).unwrap(), "12000 Hz, 1 channel, u8");
    assert_eq!(best(&[range(1, 4_000, 5_512, SampleFormat::F32)]), None);
    assert_eq!(best(&[range(1, 2_822_400, 2_822_400, SampleFormat::DsdU8)]), None);
    assert_eq!(best(&[]), None);
    let of = |n_least| best_format(&offered, n_least).unwrap().n_channels;
    assert_eq!((of(1), of(2), of(3)), (1, 2, 2));
}
