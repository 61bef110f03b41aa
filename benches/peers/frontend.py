"""Log-mel frames in numpy, for the engines that have no front end of their own. Enters: mono samples of a whole clip and a
manifest's [frontend]; leaves: frames (n_frames, n_mels), float32.

The same frames as those of `edge/frontend`, up to rounding; `parity.py` holds them against a model's golden file.
"""

import numpy as np

# Slaney's mel scale: 200/3 Hz a mel below 1 kHz, 27 mels for a factor of 6.4 above (Auditory
# Toolbox 2, 1998).
SLANEY_HZ_PER_MEL = 200 / 3
SLANEY_BREAK_HZ = 1000.0
SLANEY_BREAK_MEL = SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL
SLANEY_LOG_STEP = np.log(6.4) / 27


class LogMel:
    """The front end that `config`, the [frontend] table of a manifest, describes."""

    def __init__(self, config: dict):
        self.config = config
        length = config["win_length"]
        self.window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        self.bank = mel_bank(config)

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """All frames of a clip; none where it is shorter than a window and the front end does not pad."""
        config, length = self.config, self.config["win_length"]
        samples = np.asarray(samples, dtype=np.float64)
        n_frames = 1 + (samples.size - length) // config["hop_length"]
        if config["centre_padding"]:
            n_frames = 1 + samples.size // config["hop_length"]
            lead = config["n_fft"] // 2 - (config["n_fft"] - length) // 2
            samples = np.pad(samples, (lead, length))
        if n_frames <= 0:
            return np.zeros((0, config["n_mels"]), dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, length)[:: config["hop_length"]][:n_frames]
        magnitude = np.abs(np.fft.rfft(windows * self.window, config["n_fft"]))
        bands = magnitude ** config["power"] @ self.bank.T
        log_bands = np.log(bands + config["log_offset"])
        return ((log_bands - config["mean"]) / config["std"]).astype(np.float32)


def mel_bank(config: dict) -> np.ndarray:
    """Triangles (n_mels, n_fft / 2 + 1), linear in Hz between edges that are equally spaced on the mel scale."""
    scale = config["mel_scale"]
    low, high = to_mel(config["f_min_hz"], scale), to_mel(config["f_max_hz"], scale)
    edges = to_hz(np.linspace(low, high, config["n_mels"] + 2), scale)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hz = np.arange(config["n_fft"] // 2 + 1) * config["sample_rate"] / config["n_fft"]
    bank = np.maximum(0.0, np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre)))
    return bank * (2.0 / (right - left)) if config["mel_norm"] == "slaney" else bank


def to_mel(hz: float, scale: str) -> float:
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    if hz < SLANEY_BREAK_HZ:
        return hz / SLANEY_HZ_PER_MEL
    return SLANEY_BREAK_MEL + np.log(hz / SLANEY_BREAK_HZ) / SLANEY_LOG_STEP


def to_hz(mel: np.ndarray, scale: str) -> np.ndarray:
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = SLANEY_BREAK_HZ * np.exp(SLANEY_LOG_STEP * (mel - SLANEY_BREAK_MEL))
    return np.where(mel < SLANEY_BREAK_MEL, mel * SLANEY_HZ_PER_MEL, above)
