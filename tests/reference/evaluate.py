"""What sed_eval, psds_eval and a plain implementation of mean average precision say of files of truth and detections.

Usage: evaluate.py FOLDER... Each folder's case.json lists the labels, the recordings with their durations, and how many operating points there
are; each recording has NAME.truth.csv (onset_s,offset_s,label), NAME.detections.csv (also score) and NAME.POINT.csv. Prints a JSON list with
one object a folder.
"""

import csv
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import psds_eval
import sed_eval

TIOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


def read(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {
            "event_label": row["label"],
            "onset": float(row["onset_s"]),
            "offset": float(row["offset_s"]),
            "score": float(row.get("score") or 0.0),
        }
        for row in rows
    ]


def number(value):
    """JSON has no NaN."""
    return None if value is None or math.isnan(value) else float(value)


def f_measure(counts, values):
    """An F1 of sed_eval, where what was there and never reported counts as 0: for segments, sed_eval has no option for that."""
    if counts["Nref"] > 0 and counts["Nsys"] == 0:
        return 0.0
    return number(values["f_measure"]["f_measure"])


def f_measures(metrics):
    """F1 of a sed_eval metric: of all together, by class, and the mean over the classes that are there."""
    by_class = metrics.results_class_wise_metrics()
    classes = {label: f_measure(metrics.class_wise[label], values) for label, values in by_class.items()}
    there = [value for label, value in classes.items() if metrics.class_wise[label]["Nref"] > 0]
    return {
        "micro": f_measure(metrics.overall, metrics.results_overall_metrics()),
        "macro": float(np.mean(there)) if there else None,
        "classes": classes,
        "counts": {
            label: [int(metrics.class_wise[label][name]) for name in ("Ntp", "Nfp", "Nfn")] for label in by_class
        },
    }


def sed(labels, recordings):
    event = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=labels,
        t_collar=0.2,
        percentage_of_length=0.5,
        event_matching_type="optimal",
        empty_system_output_handling="zero_score",
    )
    segment = sed_eval.sound_event.SegmentBasedMetrics(event_label_list=labels, time_resolution=1.0)
    for recording in recordings:
        event.evaluate(recording["truth"], recording["detections"])
        segment.evaluate(
            recording["truth"], recording["detections"], evaluated_length_seconds=recording["duration_s"]
        )
    return f_measures(event), f_measures(segment)


def joined(events):
    """psds_eval takes no events of one class that overlap: as one."""
    result = []
    for event in sorted(events, key=lambda event: (event["event_label"], event["onset"])):
        last = result[-1] if result else None
        if last and last["event_label"] == event["event_label"] and event["onset"] < last["offset"]:
            last["offset"] = max(last["offset"], event["offset"])
        else:
            result.append(dict(event))
    return result


def table(recordings, events_of):
    rows = [
        {"filename": recording["name"], **{key: event[key] for key in ("onset", "offset", "event_label")}}
        for recording in recordings
        for event in joined(events_of(recording))
    ]
    columns = ["filename", "onset", "offset", "event_label"]
    types = {"filename": str, "onset": float, "offset": float, "event_label": str}
    return pd.DataFrame(rows, columns=columns).astype(types)


def psds(recordings, n_points):
    metadata = pd.DataFrame([{"filename": r["name"], "duration": r["duration_s"]} for r in recordings])
    truth = table(recordings, lambda recording: recording["truth"])
    if truth.empty:
        return None
    scores = []
    for dtc, gtc, cttc, alpha_ct in ((0.7, 0.7, 0.3, 0.0), (0.1, 0.1, 0.3, 0.5)):
        evaluation = psds_eval.PSDSEval(dtc, gtc, cttc, ground_truth=truth, metadata=metadata, duration_unit="hour")
        for point in range(n_points):
            evaluation.add_operating_point(table(recordings, lambda recording: recording["points"][point]))
        scores.append(number(evaluation.psds(alpha_ct=alpha_ct, alpha_st=1.0, max_efpr=100.0).value))
    return scores


def average_precision(truth, ranked, threshold):
    """The curve point by point: precision and recall of the best-scored 1, 2 .. detections, then the area under the envelope."""
    taken = set()
    hits = []
    for name, event in ranked:
        best, best_iou = None, threshold
        for at, (other, sound) in enumerate(truth):
            if other != name or at in taken:
                continue
            common = min(event["offset"], sound["offset"]) - max(event["onset"], sound["onset"])
            union = max(event["offset"], sound["offset"]) - min(event["onset"], sound["onset"])
            iou = common / union if common > 0 else 0.0
            if iou >= best_iou and (best is None or iou > best_iou):
                best, best_iou = at, iou
        hits.append(best is not None)
        if best is not None:
            taken.add(best)
    found = np.cumsum(hits)
    precision = np.concatenate([[0.0], found / np.arange(1, len(hits) + 1), [0.0]])
    recall = np.concatenate([[0.0], found / len(truth), [1.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))


def mean_average_precision(labels, recordings, background):
    def of_label(label, kind):
        return [(r["name"], event) for r in recordings for event in r[kind] if event["event_label"] == label]

    means = []
    for threshold in TIOU_THRESHOLDS:
        values = []
        for label in labels:
            truth = of_label(label, "truth")
            if label == background or not truth:
                continue
            ranked = sorted(of_label(label, "detections"), key=lambda pair: -pair[1]["score"])
            values.append(average_precision(truth, ranked, threshold))
        means.append(float(np.mean(values)) if values else None)
    return means


def evaluate(folder):
    case = json.loads((folder / "case.json").read_text())
    recordings = []
    for recording in case["recordings"]:
        name = recording["name"]
        recordings.append(
            {
                "name": name,
                "duration_s": recording["duration_s"],
                "truth": read(folder / f"{name}.truth.csv"),
                "detections": read(folder / f"{name}.detections.csv"),
                "points": [read(folder / f"{name}.{point}.csv") for point in range(case["n_points"])],
            }
        )
    event, segment = sed(case["labels"], recordings)
    return {
        "event": event,
        "segment": segment,
        "psds": psds(recordings, case["n_points"]),
        "map": mean_average_precision(case["labels"], recordings, case["background"]),
    }


def main():
    warnings.simplefilter("ignore")
    print(json.dumps([evaluate(Path(folder)) for folder in sys.argv[1:]], allow_nan=False))


if __name__ == "__main__":
    main()
