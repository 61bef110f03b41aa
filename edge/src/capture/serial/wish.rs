//! What is requested from a node: a source's options and the model's front end enter, a wish
//! leaves, and where a node cannot grant it, why. On the capture thread.

use edge_frontend::{FrontendConfig, Power};
use firmware_bridge::host::Wish;
use firmware_bridge::msg::{Encoding, Encodings, Hello};

use crate::capture::{NodeEncoding, NodeSpec};

/// What is requested from the node of `spec`.
pub(super) fn wish(spec: &NodeSpec, frontend: &FrontendConfig) -> Wish {
    let encodings = match spec.encoding {
        Some(wanted) => Encodings::of(&[encoding(wanted)]),
        // Those that are sound, the best first.
        None => Encodings::of(&[Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm]),
    };
    // Features are made for one rate; sound is resampled here.
    let rate_hz = (spec.encoding == Some(NodeEncoding::Features)).then_some(frontend.sample_rate);
    Wish { rate_hz, channel: 0, encodings, features: Some(frontend.raw_hash()), gate_db: spec.gate_db }
}

/// Whether a node could compute the features of `frontend`.
///
/// # Errors
///
/// Which field it could not follow.
pub(super) fn check(frontend: &FrontendConfig) -> Result<(), String> {
    let wrong = |field, expected, actual: &dyn std::fmt::Display| {
        Err(format!("encoding=features: nodes compute features with {field} = {expected}, the model's has {actual}"))
    };
    if frontend.power != Power::Power {
        wrong("power", "2", &u8::from(frontend.power))
    } else if frontend.centre_padding {
        wrong("centre_padding", "false", &frontend.centre_padding)
    } else {
        Ok(())
    }
}

/// Why the node that sent `hello` cannot do what is requested, for a person.
pub(super) fn why_unusable(spec: &NodeSpec, frontend: &FrontendConfig, hello: &Hello<'_>) -> String {
    let name = hello.name;
    let offered: Vec<&str> = NodeEncoding::ALL
        .into_iter()
        .filter(|offered| hello.encodings.has(encoding(*offered)))
        .map(NodeEncoding::name)
        .collect();
    let offered =
        if offered.is_empty() { "nothing that earwitness understands".to_string() } else { offered.join(", ") };
    let Some(wanted) = spec.encoding else {
        return format!("node {name:?} sends no sound in an encoding that earwitness understands; it offers {offered}");
    };
    if !hello.encodings.has(encoding(wanted)) {
        return format!("node {name:?} has no encoding {}; it offers {offered}", wanted.name());
    }
    if wanted != NodeEncoding::Features {
        return format!("node {name:?} has no microphone that earwitness can use");
    }
    let rate_hz = frontend.sample_rate;
    if !hello.rates_hz.contains(&rate_hz) {
        let rates: Vec<String> = hello.rates_hz.iter().filter(|&&rate| rate > 0).map(u32::to_string).collect();
        return format!("node {name:?} has a sample_rate of {} Hz, but the model needs {rate_hz}", rates.join(", "));
    }
    let Some(features) = hello.features else {
        return format!("node {name:?} does not describe its features");
    };
    let fields = [
        ("n_fft", usize::from(features.n_fft), frontend.n_fft),
        ("win_length", features.win_length.into(), frontend.win_length),
        ("hop_length", features.hop_length.into(), frontend.hop_length),
        ("n_mels", features.n_mels.into(), frontend.n_mels),
    ];
    match fields.iter().find(|(_, actual, expected)| actual != expected) {
        Some((field, actual, expected)) => {
            format!("the features of node {name:?} have {field} = {actual}, the model needs {expected}")
        }
        None => format!(
            "the features of node {name:?} are not the model's: f_min_hz, f_max_hz, mel_scale, mel_norm, power, log_offset or \
             centre_padding differ (hash {:016x}, the model's {:016x})",
            features.hash,
            frontend.raw_hash()
        ),
    }
}

fn encoding(wanted: NodeEncoding) -> Encoding {
    match wanted {
        NodeEncoding::Pcm => Encoding::Pcm16,
        NodeEncoding::MuLaw => Encoding::MuLaw,
        NodeEncoding::Adpcm => Encoding::Adpcm,
        NodeEncoding::Features => Encoding::LogMel,
    }
}

#[cfg(test)]
mod tests {
    use firmware_bridge::msg::Features;

    use super::*;

    fn hello(rate_hz: u32, encodings: &[Encoding], features: Features) -> Hello<'static> {
        Hello {
            session: 0,
            name: "nook",
            rates_hz: [rate_hz, 0, 0, 0],
            n_channels: 1,
            encodings: Encodings::of(encodings),
            max_frame_samples: 480,
            n_lamps: 1,
            features: Some(features),
        }
    }

    #[test]
    fn a_node_whose_features_are_not_the_models_says_which_field_differs() {
        let frontend = FrontendConfig { mean: -4.0, std: 4.8, ..FrontendConfig::student() };
        let spec: NodeSpec = "/dev/x?encoding=features".parse().unwrap();
        let features = Features {
            hash: FrontendConfig::student().raw_hash(),
            n_fft: 1024,
            win_length: 600,
            hop_length: 240,
            n_mels: 64,
        };
        // The normalisation is the daemon's own.
        assert_eq!(wish(&spec, &frontend).features, Some(features.hash));
        for (rate_hz, features, reason) in [
            (16_000, features, "a sample_rate of 16000 Hz, but the model needs 24000"),
            (24_000, Features { hash: 1, hop_length: 160, ..features }, "hop_length = 160, the model needs 240"),
            (24_000, Features { hash: 1, n_fft: 512, ..features }, "n_fft = 512, the model needs 1024"),
            (24_000, Features { hash: 1, ..features }, "(hash 0000000000000001"),
        ] {
            let why = why_unusable(&spec, &frontend, &hello(rate_hz, &[Encoding::LogMel], features));
            assert!(why.contains(reason), "{why}");
        }
        let why = why_unusable(&spec, &frontend, &hello(24_000, &[Encoding::Pcm16, Encoding::Adpcm], features));
        assert!(why.contains("no encoding features; it offers pcm, adpcm"), "{why}");
    }

    #[test]
    fn features_that_no_node_computes_are_refused() {
        assert_eq!(check(&FrontendConfig::student()), Ok(()));
        assert!(check(&FrontendConfig::epic_sounds()).unwrap_err().contains("power = 2, the model's has 1"));
        let centred = FrontendConfig { centre_padding: true, ..FrontendConfig::student() };
        assert!(check(&centred).unwrap_err().contains("centre_padding = false, the model's has true"));
    }
}
