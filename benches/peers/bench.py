#!/usr/bin/env python3
"""This product's streaming network beside other engines, in one run and on one thread. Enters: a model folder, the daemon, perhaps
data sets, models of folds and tflite files; leaves: a table on standard output, progress on standard error.

Exit codes: 0 done, 1 an engine failed, 2 bad usage.
"""

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import clips
import summary
import table
from accuracy import N_CALIBRATION, Folds
from contenders import Effort, onnx, ours, tflite
from errors import RunError, UsageError
from log import say
from model import load_model
from parity import check_parity

# Rounds, and how thoroughly each is done: a full run takes minutes, a quick one seconds.
FULL_ROUNDS, FULL = 7, Effort(n_decisions=2000, n_calibration=N_CALIBRATION)
QUICK_ROUNDS, QUICK = 2, Effort(n_decisions=100, n_calibration=16)


def main():
    args = parse(sys.argv[1:])
    try:
        with tempfile.TemporaryDirectory(prefix="earwitness-peers-") as folder:
            document = bench(args, Path(folder))
        if args.json:
            args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except (UsageError, RunError, OSError) as error:
        say(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    sys.stdout.write(table.markdown(document) if args.markdown else table.text(document))


def parse(argv: list[str]) -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", clips.REPOSITORY / "target"))
    daemon = Path(os.environ.get("EARWITNESS_BIN", target / "release/earwitness"))
    home = clips.REPOSITORY / "models/home"
    parser = argparse.ArgumentParser(description="Compares the streaming network with other engines, side by side.")
    option = parser.add_argument
    option("--model", type=Path, default=home, metavar="DIR", help="folder of the model [default: models/home]")
    option("--earwitness", type=Path, default=daemon, metavar="FILE", help=f"the daemon [default: {daemon}]")
    option("--data", type=Path, metavar="DIR", help="folder of the data sets [default: EARWITNESS_DATA, or data]")
    option("--fold-models", metavar="PATTERN", help="models of the official folds for top-1, as runs/home-clips/official-{fold}/model")
    option("--tflite", action="append", default=[], metavar="FILE[@SAMPLES]", help="a tflite file to compare as well, repeatable")
    option("--rounds", type=positive, metavar="N", help=f"rounds of all engines in turn [default: {FULL_ROUNDS}]")
    option("--quick", action="store_true", help="a smoke test of some seconds: few decisions, no top-1; its figures mean little")
    option("--json", type=Path, metavar="FILE", help="write everything that was measured there as well")
    option("--markdown", action="store_true", help="print the table in Markdown")
    return parser.parse_args(argv)


def bench(args: argparse.Namespace, folder: Path) -> dict:
    """The whole run; `folder` takes its files."""
    model = load_model(args.model)
    if not args.earwitness.is_file():
        raise UsageError(f"--earwitness: no file {args.earwitness}: cargo build --release -p edge makes it")
    if args.json and not args.json.parent.is_dir():
        raise UsageError(f"--json: no folder {args.json.parent}")
    say(check_parity(model))
    root, folds = clips.data_root(args.data), None
    if args.fold_models and not args.quick:
        folds = Folds(args.fold_models, model, root)
    elif args.fold_models:
        say("--quick: no top-1")

    n_rounds = args.rounds or (QUICK_ROUNDS if args.quick else FULL_ROUNDS)
    effort = QUICK if args.quick else FULL
    # The user's files first: what is wrong with them should show before anything takes time.
    theirs = [tflite(text, effort) for text in args.tflite]
    contenders = ours(model, args.earwitness, folds) + onnx(model, root, folds, folder, effort) + theirs
    for at in range(n_rounds):
        say(f"round {at + 1} of {n_rounds}")
        # Another engine begins each round, so that none is always first.
        turn = at % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            contender.row.rounds.append(contender.engine.measure())
    for contender in contenders:
        if folds and contender.scorer:
            say(f"top-1 of {contender.row.name}")
            contender.row.top1 = folds.top1(contender.scorer) or {}
            if not contender.row.top1:
                say(f"{args.fold_models}: files.int8: a model has no such file, top-1 of {contender.row.name} left out")
    about = {
        "model": model.name,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": processor(),
        "versions": {name: version(name) for name in ("onnxruntime", "ai-edge-litert", "numpy")},
        "n_rounds": n_rounds,
        "hop_ms": 1e3 * model.seconds(model.pulse_frames),
        "quick": args.quick,
        "data_sets": list(clips.DATA_SETS),
    }
    return summary.report([contender.row for contender in contenders], about)


def processor() -> str:
    """The processor's name by the kernel, where it has one."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else os.uname().machine


def positive(text: str) -> int:
    n = int(text)
    if n < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, actual {n}")
    return n


if __name__ == "__main__":
    main()
