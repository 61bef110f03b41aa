#!/bin/sh
# Writes the tone of tone.flac in the formats of phones and recorders, which the audio reader's
# tests decode or refuse. Made with ffmpeg 5.1.
set -e
cd "$(dirname "$0")"
make() { ffmpeg -v error -y -i tone.flac -fflags +bitexact -flags:a +bitexact -map_metadata -1 "$@"; }
make -c:a aac -b:a 48k tone.m4a
make -c:a alac tone-alac.m4a
make -c:a pcm_s16be tone.aiff
make -c:a adpcm_ima_wav tone-ima.wav
make -c:a adpcm_ms tone-ms.wav
make -f w64 tone.w64
make -c:a libopus -b:a 32k tone.opus
