"""Writes the golden log-mel vectors of the front end, computed by librosa in double precision.

Run from this folder with librosa 0.11.0, numpy 2 and the interpreter of the test environment:

    python make_log_mel.py

The input is synthetic (chirps, clicks, noise at three levels, a stretch of silence), so no recording is stored; its
16-bit samples are in log_mel_input.wav. Each log_mel_<name>.npy holds float32 (n_frames, n_mels).
"""

import wave

import librosa
import numpy as np

RATE = 24_000


def signal():
    rng = np.random.default_rng(20230601)
    t = np.arange(2 * RATE) / RATE
    x = 0.3 * np.sin(2 * np.pi * (60 * t + 2900 * t**2))
    x += 0.1 * np.sin(2 * np.pi * 440 * t) * (t > 0.5)
    x += rng.standard_normal(t.size) * np.select([t < 0.7, t < 1.2], [1e-3, 0.1], 0.01)
    x[30_000::3001] += 0.5
    x[20_000:24_000] = 0.0
    return np.round(np.clip(x, -1, 1) * 32767).astype(np.int16)


def log_mel(x, n_fft, win, hop, n_mels, f_min, f_max, htk, norm, power, offset, centre):
    if not centre:
        # librosa puts the window in the middle of n_fft; an uncentred frame starts with its
        # window's first sample.
        x = np.pad(x, (n_fft - win) // 2)
    spectrum = np.abs(
        librosa.stft(
            x, n_fft=n_fft, win_length=win, hop_length=hop, window="hann", center=centre, pad_mode="constant",
            dtype=np.complex128,
        )
    )
    bank = librosa.filters.mel(
        sr=RATE, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max, htk=htk, norm=norm, dtype=np.float64
    )
    return np.log(bank @ spectrum**power + offset).T.astype(np.float32)


def main():
    samples = signal()
    with wave.open("log_mel_input.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    x = samples.astype(np.float64) / 32768
    np.save("log_mel_student.npy", log_mel(x, 1024, 600, 240, 64, 50, 12_000, True, None, 2, 1e-6, False))
    np.save("log_mel_epic_sounds.npy", log_mel(x[:47_975], 2048, 240, 120, 128, 0, 12_000, True, None, 1, 1e-6, True))
    np.save("log_mel_slaney.npy", log_mel(x, 1024, 800, 320, 40, 0, 12_000, False, "slaney", 2, 1e-5, True))


if __name__ == "__main__":
    main()
