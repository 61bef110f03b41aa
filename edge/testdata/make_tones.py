"""Writes tone.flac, tone.ogg, tone.mp3 and pages.ogg, which the audio reader's tests decode.

20,000 samples at 16 kHz, two channels: a 440 Hz sine of amplitude 0.5 on the left, of amplitude 0.25 on the right.
pages.ogg is two seconds of noise at 24 kHz, one channel: enough bytes for several Ogg pages.
Made with soundfile 0.14.0 (libsndfile 1.2.2) and numpy: python make_tones.py
"""

import numpy as np
import soundfile

RATE = 16_000

t = np.arange(20_000) / RATE
tone = np.sin(2 * np.pi * 440 * t)
stereo = np.stack([0.5 * tone, 0.25 * tone], axis=1)
soundfile.write("tone.flac", stereo, RATE, subtype="PCM_16")
soundfile.write("tone.ogg", stereo, RATE, subtype="VORBIS")
soundfile.write("tone.mp3", stereo, RATE, subtype="MPEG_LAYER_III")
noise = np.random.default_rng(1).uniform(-0.25, 0.25, 48_000)
soundfile.write("pages.ogg", noise, 24_000, subtype="VORBIS")
