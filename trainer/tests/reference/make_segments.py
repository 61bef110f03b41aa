"""Writes segments.hdf5, segments.csv and segments.npy: annotated audio in the form of EPIC-SOUNDS, and features of views of it.

The audio is periodic and of few values, so that gzip makes it small: P90_01 of 2.6 s in compressed chunks, P90_02 of 0.1 s in one
piece and big-endian. segments.npy has (10 views, 9 frames, 128 bands) of float32: the views VIEWS, of each the frames FRAMES.
Features are librosa's, by the recipe's description: no code of this repository takes part.

Made with h5py 3.16.0 (HDF5 2.0.0), librosa 0.11.0, numpy 2.4.6: python make_segments.py
"""

import csv

import h5py
import librosa
import numpy as np

RATE = 24_000
VIEW = 47_976
ROWS = [  # annotation_id, video_id, start, stop, class, class_id
    ("P90_01_0", "P90_01", "00:00:00.113", "00:00:02.531", "cut / chop", 0),
    ("P90_01_1", "P90_01", "00:00:00.200", "00:00:00.613", "water", 1),
    ("P90_01_2", "P90_01", "00:00:01.000", "00:00:03.500", "water", 1),  # stops past the end
    # Both times one sample below ms * 24.
    ("P90_01_3", "P90_01", "00:00:01.017", "00:00:01.235", "rustle", 2),
    ("P90_02_0", "P90_02", "00:00:00.010", "00:00:00.090", "cut / chop", 0),
]
# Row, test view of 5.
VIEWS = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (2, 0), (2, 4), (3, 0), (4, 0)]
FRAMES = [0, 1, 30, 50, 82, 150, 230, 350, 399]


def audio(n):
    """A scale of square-like tones over periodic noise, in steps of 1/64; each step of 0.25 s has its own pitch."""
    t = np.arange(n)
    noise = np.random.default_rng(1).integers(-4, 5, 960)[t % 960]
    step = t // (RATE // 4)
    tone = np.round(12 * np.sin(2 * np.pi * (t % 480) / 480 * (1 + 3 * step)))
    return ((tone + noise) / 64).astype(np.float32)


def sample(timestamp):
    hours, minutes, rest = timestamp.split(":")
    seconds, ms = rest.split(".")
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return int((whole + int(ms) / 1000) * RATE)


def features(samples, start, stop, view):
    n = stop - start
    if n >= VIEW:
        first = start + np.linspace(0, n - VIEW, 5)[view]
        samples = samples[int(first) : int(first + VIEW - 1)]
    else:
        samples = samples[start:stop]
    spectrum = librosa.stft(
        samples, n_fft=2048, hop_length=120, win_length=240, window="hann", center=True, pad_mode="constant"
    )
    bank = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=128, htk=True, norm=None)
    mel = np.log(bank @ np.abs(spectrum) + 1e-6).T
    return np.pad(mel, ((0, 400 - len(mel)), (0, 0)), "edge")


recordings = {"P90_01": audio(62_400), "P90_02": audio(2_400)[::-1].copy()}
with h5py.File("segments.hdf5", "w") as file:
    file.create_dataset("P90_01", data=recordings["P90_01"], chunks=(8_192,), compression="gzip", shuffle=True)
    file.create_dataset("P90_02", data=recordings["P90_02"].astype(">f4"))
with open("segments.csv", "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    head = "annotation_id,participant_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample,description"
    table.writerow(head.split(",") + ["class", "class_id"])
    for name, video, start, stop, label, label_id in ROWS:
        table.writerow([name, "P90", video, start, stop, sample(start), sample(stop), label, label, label_id])
golden = []
for row, view in VIEWS:
    _, video, start, stop, *_ = ROWS[row]
    golden.append(features(recordings[video], sample(start), sample(stop), view)[FRAMES])
np.save("segments.npy", np.array(golden, dtype=np.float32))
