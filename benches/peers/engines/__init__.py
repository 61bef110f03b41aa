"""The engines compared, one a file. Each measurement runs in a process of its own, so that memory and caches are its own too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One engine in one round, microseconds a decision."""

    us_median: float
    us_p99: float
    # The share of the network, if the figures above include front end and decision and the engine
    # reports it separately.
    network_us_median: float | None
    # Largest resident memory of the process, and how much it had before the engine and its model
    # were loaded.
    peak_rss_mb: float
    base_rss_mb: float
    precision: str
