"""What was asked, in words; names that tell runs apart; settings and provenance as terms and values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from psychophys.base.errors import UsageError
from psychophys.noise.information import Noise
from psychophys.noise.models import NOISE
from psychophys.report.commands import plain
from psychophys.results.summary import run_name
from psychophys.stimuli import STIMULI, Stimulus, find_display, on_display

MOST_LISTED = 8
"""Values that are listed one by one."""
MOST_NAMED = 6
"""Networks in a sentence."""
_PROVENANCE = (
    "model", "weights", "seed", "checkpoint", "step", "source", "sha256", "input_size", "dtype", "arithmetic",
    "noise_seed", "device", "machine", "versions", "measured_at", "seconds",
)  # fmt: skip

Terms = list[tuple[str, str]]
"""Terms and what they are."""


def run_names(frame: pd.DataFrame) -> dict[str, str]:
    """A name for each run that no other has: with its seed, noise or id where these tell them apart."""
    first = frame.drop_duplicates("run_id")
    runs, names = list(first["run_id"]), [run_name(row) for _, row in first.iterrows()]
    seeds = [f"seed {seed}" for seed in first["seed"]]
    noises = [f"{n} noise {level:g}" for n, level in zip(first["noise"], first["noise_level"], strict=True)]
    for more in (seeds, noises, list(first["stimulus"]), list(first["dimension"]), runs):
        held = Counter(names)
        twice = {name for name in names if held[name] > 1}
        differ = {n: {m for name, m in zip(names, more, strict=True) if name == n} for n in twice}
        names = [
            f"{name}, {extra}" if name in twice and len(differ[name]) > 1 else name
            for name, extra in zip(names, more, strict=True)
        ]
    return dict(zip(runs, names, strict=True))


def some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """The first few, and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def asked(frame: pd.DataFrame, names: Mapping[str, str], runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was asked of the networks, and what a threshold is."""
    first = frame.iloc[0]
    values = sorted(frame["value"].unique())
    who = some([names[run] for run in dict.fromkeys(frame["run_id"])])
    layers = frame["layer"].nunique()
    each = f"the layer {first['layer']}" if layers == 1 else "each layer"
    where = f"at {plain(values[0])} {first['unit']}" if len(values) == 1 else _range(values, first["unit"])
    samples = sorted(frame["n_samples"].unique())
    over = (
        "one image a value" if samples == [1] else f"{' to '.join(map(str, _ends(samples)))} images a value"
    )
    said = [
        f"How finely can {each} of {who} tell apart the {first['dimension']} of the stimulus "
        f"{first['stimulus']}? Measured {where}, {over}.",
        f"A threshold is the change of {first['dimension']} that is told apart at "
        f"d' = {first['criterion_dprime']:g}: smaller is finer. {_noises(frame)}",
    ]
    return [*said, *_smallness(frame), _intervals(frame, runs)]


def _smallness(frame: pd.DataFrame) -> list[str]:
    """Why a threshold can be far smaller than people's."""
    noises = [known_noise(name) for name in frame["noise"].unique()]
    if not noises or not all(noise is not None and noise.method.is_independent for noise in noises):
        return []
    return [
        "The noise is independent in every unit, and information adds up over units: a layer of many units "
        "can have very small thresholds. Compare within a layer: its values, or the same layer of networks."
    ]


def _ends(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys((values[0], values[-1])))


def _range(values: Sequence[float], unit: str) -> str:
    if len(values) <= MOST_LISTED:
        return f"at {', '.join(map(plain, values))} {unit}"
    return f"at {len(values)} values from {plain(values[0])} to {plain(values[-1])} {unit}"


def _noises(frame: pd.DataFrame) -> str:
    every = frame[["noise", "noise_level"]].drop_duplicates().itertuples(index=False)
    parts = []
    for name, level in every:
        noise = known_noise(name)
        unit = "" if noise is None else f" ({noise.level_unit})"
        parts.append(f"{name} noise of level {level:g}{unit}")
    return f"Responses have {some(parts)}."


def _intervals(frame: pd.DataFrame, runs: Mapping[str, Mapping[str, Any]]) -> str:
    if frame["threshold_low"].isna().all():
        return "There are no intervals: these take six or more images a value that differ in phase or sample."
    confidence = {runs[run]["measurement"]["confidence"] for run in frame["run_id"].unique()}
    share = " or ".join(f"{one:.4g}" for one in sorted(100 * c for c in confidence))
    return (
        f"Intervals, in brackets, are of {share} % over the images that are averaged over: phases, samples "
        "or photographs."
    )


def known_noise(name: str) -> Noise | None:
    """A noise model of the table; None for one of somebody's own."""
    try:
        return NOISE.get(name)
    except UsageError:
        return None


def known_stimulus(name: str) -> Stimulus | None:
    """A stimulus of the table; None for one of somebody's own."""
    try:
        return STIMULI.get(name)
    except UsageError:
        return None


def comparability(frame: pd.DataFrame) -> list[str]:
    """What must be known before thresholds of different layers or networks are set side by side."""
    said = []
    if len(frame[["noise", "noise_level", "criterion_dprime"]].drop_duplicates()) > 1:
        said.append("The runs differ in noise or criterion: their thresholds are not to be compared.")
    for name in frame["noise"].unique():
        noise = known_noise(name)
        if noise is not None and noise.method.is_independent and noise.scale(1, 1) == noise.scale(1, 2):
            said.append(
                f"Under {name} noise a layer with larger responses has smaller thresholds: compare ratios "
                "within a layer, not thresholds of different layers or networks."
            )
    return said


def settings(record: Mapping[str, Any]) -> Terms:
    """A measurement's specification: terms and values with their units."""
    made = record["measurement"]
    stimulus, noise = known_stimulus(made["stimulus"]), known_noise(made["noise"])
    display = find_display(made.get("display"))
    shown = None if stimulus is None else on_display(stimulus, display)
    known = {} if shown is None else {one.name: one for one in shown.parameters}
    summary = "" if stimulus is None else f": {stimulus.summary}"
    terms: Terms = [("stimulus", f"{made['stimulus']}{summary}")]
    values = {made["dimension"]: made["values"], **made["parameters"]}
    for place, (name, numbers) in enumerate(values.items()):
        meaning = f"; {known[name].meaning}" if name in known else ""
        said = in_unit(_every(numbers), known[name].unit if name in known else "")
        terms.append((f"{name} (measured)" if place == 0 else name, f"{said}{meaning}"))
    formula = "" if noise is None else f"; {noise.formula}"
    terms += [] if display is None else [("display", str(display))]
    terms += [("layers", ", ".join(made["layers"])), ("derivative", str(made["estimator"]))]
    terms.append(("noise", f"{made['noise']}, level {made['noise_level']:g}{formula}"))
    terms += [(f"noise: {name}", plain(value)) for name, value in made["noise_options"].items()]
    terms += [("criterion d'", plain(made["dprime"])), ("confidence", plain(made["confidence"]))]
    rest = (("precision", made.get("precision")), ("preset", made.get("preset")))
    terms += [(name, str(value)) for name, value in (*rest, ("pooling", made.get("pooling"))) if value]
    return terms


_UNITS = {"image": "of the image's shorter side", "0-1": "(0 black, 1 white)"}
"""Units that are words of this program, in those of everybody."""


def in_unit(numbers: str, unit: str) -> str:
    """Numbers with their unit in words."""
    return f"{numbers} {_UNITS.get(unit, unit)}".strip()


def _every(numbers: Sequence[float]) -> str:
    listed = ", ".join(map(plain, numbers))
    if len(numbers) <= MOST_LISTED:
        return listed
    return f"{len(numbers)} values: {listed}"


def provenance(runs: Mapping[str, Mapping[str, Any]]) -> tuple[Terms, list[str], list[list[str]]]:
    """What all runs share, as terms and values; and a table of what differs: headings and rows."""
    columns = {"run id": list(runs)}
    for name in _PROVENANCE:
        columns[name.replace("_", " ")] = [_value(record.get(name)) for record in runs.values()]
    columns = {name: column for name, column in columns.items() if any(column)}
    same = [(name, column[0]) for name, column in columns.items() if len(set(column)) == 1]
    differ = [name for name in columns if len(set(columns[name])) > 1]
    return same, differ, [list(row) for row in zip(*(columns[name] for name in differ), strict=True)]


def _value(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def title_of(frames: Iterable[pd.DataFrame]) -> str:
    """A title from what was measured."""
    every = list(frames)
    models = list(dict.fromkeys(model for frame in every for model in frame["model"]))
    what = dict.fromkeys(f"{f['dimension'].iloc[0]} of {f['stimulus'].iloc[0]}" for f in every)
    return f"{some(models, 3)}: {some(list(what))}"
