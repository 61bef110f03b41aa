"""Figures of a run. Enters: the measurements of each engine, round by round; leaves: one row an engine and the verdict on the
target.

Noise of a shared machine hits the engines of a round alike, so ratios are taken within rounds. Every figure is the median over the
rounds, beside the smallest and the largest.
"""

from dataclasses import asdict, dataclass, field
from statistics import mean, median, stdev

from engines import Measurement

# The rows that the target names.
OURS = "earwitness f32"
PEER = "onnxruntime f32"
# At least this many times the processor time of one of our decisions.
TARGET_RATIO = 5.0


@dataclass
class Row:
    """An engine: what it is, what enters for one decision, and what was measured."""

    name: str
    work: str
    rounds: list[Measurement] = field(default_factory=list)
    # Of each data set, one share a fold; empty without models of folds.
    top1: dict[str, list[float]] = field(default_factory=dict)

    def spread(self, figure: str) -> list[float] | None:
        """Median, smallest and largest of a figure over the rounds."""
        values = [getattr(measurement, figure) for measurement in self.rounds]
        return None if None in values else spread(values)

    def summary(self, ours: "Row") -> dict:
        """Everything there is to say about it, for JSON."""
        us = self.spread("us_median")
        return {
            "engine": self.name,
            "work": self.work,
            "precision": self.rounds[0].precision,
            "us_per_decision": us,
            "us_per_decision_p99": self.spread("us_p99"),
            "network_us_per_decision": self.spread("network_us_median"),
            "decisions_per_s": 1e6 / us[0],
            "peak_rss_mb": max(m.peak_rss_mb for m in self.rounds),
            "engine_rss_mb": max(m.peak_rss_mb - m.base_rss_mb for m in self.rounds),
            "times_ours": ratio(self, ours),
            "top1": {name: {"mean": mean(v), "std": stdev(v), "by_fold": v} for name, v in self.top1.items()},
            "rounds": [asdict(measurement) for measurement in self.rounds],
        }


def spread(values: list[float]) -> list[float]:
    return [median(values), min(values), max(values)]


def ratio(row: Row, ours: Row) -> list[float]:
    """How many times our decision theirs costs, round by round."""
    return spread([a.us_median / b.us_median for a, b in zip(row.rounds, ours.rounds, strict=True)])


def report(rows: list[Row], about: dict) -> dict:
    """The whole run as one JSON document."""
    by_name = {row.name: row for row in rows}
    ours, peer = by_name[OURS], by_name[PEER]
    reached = ratio(peer, ours)
    alone = None
    if ours.spread("network_us_median"):
        alone = spread([a.us_median / b.network_us_median for a, b in zip(peer.rounds, ours.rounds, strict=True)])
    return about | {
        "engines": [row.summary(ours) for row in rows],
        "target": {"ratio": reached, "at_least": TARGET_RATIO, "met": reached[0] >= TARGET_RATIO},
        "network_alone_ratio": alone,
    }
