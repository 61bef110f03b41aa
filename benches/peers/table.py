"""Tables for people. Enters: the document of `summary.report`; leaves: text with aligned columns, or Markdown for RESULTS.md."""

NONE = "-"


def cells(engine: dict, data_sets: list[str]) -> list[str]:
    """An engine's line."""
    network = engine["network_us_per_decision"]
    return [
        engine["engine"],
        engine["work"],
        with_range(engine["us_per_decision"], 0),
        f"{engine['us_per_decision_p99'][0]:.0f}",
        with_range(network, 0) if network else NONE,
        f"{engine['decisions_per_s']:,.0f}",
        f"{engine['peak_rss_mb']:.0f}",
        f"{engine['engine_rss_mb']:.0f}",
        with_range(engine["times_ours"], 2),
        *(top1(engine["top1"].get(name)) for name in data_sets),
    ]


def headings(data_sets: list[str]) -> list[str]:
    times = ["µs per decision", "p99", "network alone", "decisions/s"]
    memory = ["peak MB", "engine's MB"]
    return ["engine", "a decision computes", *times, *memory, "x ours", *(f"top-1 {name}, %" for name in data_sets)]


def text(report: dict) -> str:
    """Columns aligned: words to the left, figures to the right."""
    lines = grid(report)
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    aligned = [
        "  ".join(c.ljust(w) if at < 2 else c.rjust(w) for at, (c, w) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]
    return "\n".join([*aligned, "", *notes(report)]) + "\n"


def markdown(report: dict) -> str:
    """A paragraph and a table."""
    head, *body = grid(report)
    lines = [head, ["---"] * len(head), *body]
    return "\n".join([*notes(report), "", *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


def grid(report: dict) -> list[list[str]]:
    data_sets = report["data_sets"]
    return [headings(data_sets), *(cells(engine, data_sets) for engine in report["engines"])]


def notes(report: dict) -> list[str]:
    """What the table is of, and the verdict."""
    target = report["target"]
    verdict = "met" if target["met"] else "not met"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        f"Model {report['model']}, one thread of {report['machine']}, {report['date']}; {versions}.",
        f"Medians over {report['n_rounds']} rounds (smallest..largest), the engines in turn in each; "
        f"a decision every {report['hop_ms']:.0f} ms.",
        f"Target: onnxruntime f32 over the whole patch costs at least {target['at_least']:.0f} times our decision: "
        f"{with_range(target['ratio'], 2)}, {verdict}.",
    ]
    if report["network_alone_ratio"]:
        lines.append(f"Our network alone, without front end and decision: {with_range(report['network_alone_ratio'], 2)} times.")
    if report["quick"]:
        lines.append("A quick run: the figures mean little.")
    return lines


def with_range(figures: list[float], digits: int) -> str:
    middle, low, high = (f"{figure:.{digits}f}" for figure in figures)
    return f"{middle} ({low}..{high})"


def top1(shares: dict | None) -> str:
    return f"{100 * shares['mean']:.1f} ± {100 * shares['std']:.1f}" if shares else NONE
