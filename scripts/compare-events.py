#!/usr/bin/env python3
"""Compares the events that two daemons report on the same recording. Usage: compare-events.py EXPECTED ACTUAL

Both are JSON lines, as `earwitness run` writes them. Labels, phases and their order have to be the same, times of the stream to a
millisecond, scores to a thousandth. Identifiers and times of day differ by nature and are not looked at.
"""

import json
import sys

SAME = ("model", "label", "class_id", "phase")
# Half of the last digit on top: values are rounded where they are written.
WITHIN = {
    "t_onset_s": 1.0005e-3,
    "t_offset_s": 1.0005e-3,
    "duration_s": 2.0005e-3,
    "score": 1.05e-3,
    "peak_score": 1.05e-3,
}


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def differences(expected, actual):
    for key in SAME:
        if expected[key] != actual[key]:
            yield f"{key}: expected {expected[key]}, actual {actual[key]}"
    for key, tolerance in WITHIN.items():
        e, a = expected[key], actual[key]
        if (e is None) != (a is None) or (e is not None and abs(e - a) > tolerance):
            yield f"{key}: expected {e}, actual {a}"


def largest(expected, actual, key):
    pairs = [(e[key], a[key]) for e, a in zip(expected, actual) if e[key] is not None]
    return max((abs(e - a) for e, a in pairs), default=0.0)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare-events.py EXPECTED ACTUAL")
    expected, actual = map(read, sys.argv[1:])
    if not expected:
        sys.exit(f"{sys.argv[1]} has no events: there is nothing to compare")
    errors = [f"event {i}: {what}" for i, pair in enumerate(zip(expected, actual)) for what in differences(*pair)]
    if len(expected) != len(actual):
        errors.append(f"expected {len(expected)} events, actual {len(actual)}")
    if errors:
        sys.exit("\n".join(errors))
    times = max(largest(expected, actual, key) for key in ("t_onset_s", "t_offset_s"))
    scores = max(largest(expected, actual, key) for key in ("score", "peak_score"))
    print(f"{len(expected)} events are the same; times within {times * 1e3:.0f} ms, scores within {scores:.4f}")


if __name__ == "__main__":
    main()
