"""Writes measures of small inputs as scikit-learn computes them.

    python3 make_measures.py        (in this folder, with scikit-learn 1.9.1 and numpy 2.4.6)

measures.json: a list of {"name", "n_classes", "truth", "scores" (row-major), "redact", "expected"}. Scores are decimals;
read as float32 they are what was measured. Where scikit-learn leaves a choice (see scores/measures.rs):

- The prediction is numpy.argmax, so the lower class id wins a tie. top_k_accuracy_score lets the higher one win, so it gets the
  columns in reverse. It refuses one and two classes, where all of the five best are right by definition.
- A ROC area that is undefined (no row of another class) is left out of the mean; null if all are.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    roc_auc_score,
    top_k_accuracy_score,
)

warnings.filterwarnings("ignore")


def measures(scores, truth, redact):
    kept = truth != redact
    scores, truth = scores[kept], truth[kept]
    n_classes = scores.shape[1]
    top5 = 1.0
    if n_classes > 2:
        top5 = top_k_accuracy_score(n_classes - 1 - truth, scores[:, ::-1], k=5, labels=np.arange(n_classes))
    present = np.unique(truth)
    areas = [roc_auc_score(truth == c, scores[:, c]) for c in present]
    areas = [area for area in areas if not np.isnan(area)]
    return {
        "n": len(truth),
        "n_redacted": int((~kept).sum()),
        "n_classes": n_classes,
        "n_present": len(present),
        "top1": accuracy_score(truth, scores.argmax(axis=1)),
        "top5": float(top5),
        "mca": balanced_accuracy_score(truth, scores.argmax(axis=1)),
        "map": float(np.mean([average_precision_score(truth == c, scores[:, c]) for c in present])),
        "mauc": float(np.mean(areas)) if areas else None,
    }


def posteriors(rng, truth, n_classes, views=1):
    logits = rng.normal(size=(len(truth), n_classes))
    logits[np.arange(len(truth)), truth] += 1.0
    p = np.exp(logits)
    return views * p / p.sum(axis=1, keepdims=True)


def cases():
    rng = np.random.default_rng(20230615)
    skewed = rng.geometric(0.15, 130).clip(max=40) - 1
    yield "posteriors of 44 classes, some absent", posteriors(rng, skewed, 44, views=5), skewed, None
    yield "the same, class 3 redacted", posteriors(rng, skewed[:60], 44), skewed[:60], 3
    truth = rng.integers(0, 20, 240)
    yield "20 classes", posteriors(rng, truth, 20), truth, None
    yield "a redacted class that is absent", posteriors(rng, truth[:50] % 5, 8), truth[:50] % 5, 7
    yield "ties: quarters", rng.integers(0, 5, (200, 9)) / 4, rng.integers(0, 9, 200), None
    yield "ties: yes or no", rng.integers(0, 2, (120, 7)) / 1, rng.integers(0, 7, 120), None
    yield "ties: one class redacted", rng.integers(0, 3, (90, 6)) / 2, rng.integers(0, 6, 90), 2
    yield "negative scores", rng.normal(size=(80, 11)), rng.integers(0, 11, 80), None
    yield "two classes", posteriors(rng, truth[:60] % 2, 2), truth[:60] % 2, None
    yield "two of three classes", posteriors(rng, truth[:30] % 2, 3), truth[:30] % 2, None
    yield "constant scores", np.full((40, 12), 0.25), rng.integers(0, 12, 40), None
    yield "constant columns", np.tile(np.arange(8) / 8, (30, 1)), rng.integers(0, 8, 30), None
    yield "all rows of one class", posteriors(rng, np.full(25, 4), 9), np.full(25, 4), None
    yield "one class left after redaction", posteriors(rng, np.arange(12) % 2, 9), np.arange(12) % 2, 1
    yield "one column", rng.random((5, 1)), np.zeros(5, int), None
    yield "one row, right", np.array([[0.1, 0.7, 0.2]]), np.array([1]), None
    yield "one row, wrong", np.array([[0.1, 0.7, 0.2, 0, 0, 0.4, 0.3]]), np.array([3]), None
    yield "one row, one column", np.array([[0.5]]), np.array([0]), None
    yield "perfect", np.eye(10)[np.arange(50) % 10], np.arange(50) % 10, None
    yield "all wrong", 1 - np.eye(10)[np.arange(50) % 10], np.arange(50) % 10, None
    yield "one row a class", posteriors(rng, np.arange(15), 15), np.arange(15), None


def main():
    lines = []
    for name, scores, truth, redact in cases():
        decimals = [float(f"{s:.5g}") for s in scores.ravel()]
        measured = np.array(decimals, np.float32).reshape(scores.shape)
        case = {
            "name": name,
            "n_classes": scores.shape[1],
            "truth": truth.tolist(),
            "redact": redact,
            "expected": measures(measured, truth, redact),
            "scores": decimals,
        }
        lines.append(json.dumps(case, separators=(",", ":")))
    (Path(__file__).parent / "measures.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
