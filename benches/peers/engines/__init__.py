"""The engines compared, one a file. Each measurement runs in a process of its own, so that memory and caches are its own too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One engine in one round, microseconds a decision."""

    us_median: float
    us_p99: float
    # The network's share, where front end and decision are in the figures above and the engine
    # tells it apart.
    network_us_median: float | None
    # Largest resident memory of the process, and what of it was there before the engine and its
    # model.
    peak_rss_mb: float
    base_rss_mb: float
    precision: str
