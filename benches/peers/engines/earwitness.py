"""This product: the daemon's own front end, stream engine and decisions, by its own commands. Enters: a model folder and a
precision; leaves: measurements of `earwitness bench`, posteriors by `earwitness classify`."""

import json
from pathlib import Path

from engines import Measurement
from engines.process import run


class Earwitness:
    """The program `binary` on one of the files of `model_dir`."""

    def __init__(self, binary: Path, model_dir: Path, precision: str):
        self.binary, self.model_dir, self.precision = binary, model_dir, precision

    def measure(self) -> Measurement:
        """Front end, network and decision, a pulse at a time."""
        report = json.loads(run(self.command("bench", self.model_dir)))
        return Measurement(
            us_median=report["us_per_pulse_median"],
            us_p99=report["us_per_pulse_p99"],
            # Older daemons do not have this field; the comparison needs their whole chain only.
            network_us_median=report.get("network_us_per_pulse_median"),
            peak_rss_mb=report["peak_rss_mb"],
            base_rss_mb=0.0,
            precision=report["precision"],
        )

    def scores(self, model_dir: Path, files: list[Path]) -> list[dict[str, float]]:
        """The posterior of every label in each recording, by the same precision of the model in `model_dir`."""
        # More labels than any model has.
        lines = run([*self.command("classify", model_dir), "--top", "65535", *map(str, files)]).splitlines()
        return [{guess["label"]: guess["score"] for guess in json.loads(line)["top"]} for line in lines]

    def command(self, name: str, model_dir: Path) -> list[str]:
        return [str(self.binary), name, "--json", "--model", str(model_dir), "--precision", self.precision]
