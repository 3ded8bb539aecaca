"""The command lines that make results again, derived from the specification that they keep."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from psychophys.base.errors import PsychophysError
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement, restore
from psychophys.observers.arithmetic import ARITHMETIC
from psychophys.observers.names import CONTROLS, Job
from psychophys.simulation.trials import Procedure
from psychophys.stimuli import DISPLAYS, STIMULI, Display, Parameter, Stimulus

_NUMBERS = (("noise_level", "--noise-level"), ("dprime", "--dprime"), ("confidence", "--confidence"))
_NAMES = (("estimator", "--estimator"), ("noise", "--noise"), ("pooling", "--pooling"))


def command_lines(runs: Mapping[str, Mapping[str, Any]], ending: str, command: str = "measure") -> list[str]:
    """The command lines that measure these runs again, as few as say it.

    Parameters
    ----------
    runs
        Provenance by run id.
    ending
        What comes after: where the results go.
    command
        ``measure`` or ``sweep``.

    Returns
    -------
    list
        In place of what cannot be measured from the command line, a comment that says why.
    """
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    lines = []
    for record in runs.values():
        try:
            words = _words(record)
        except PsychophysError as error:
            lines.append(f"# {record['model']} ({record['weights']}) cannot be measured from here: {error}")
            continue
        alike.setdefault(words, []).append(record)
    for words, records in alike.items():
        every = (["psychophys", command, *observers, *words] for observers in _observers(records))
        lines += [f"{shlex.join(one)} {ending}".rstrip() for one in every]
    return list(dict.fromkeys(lines))


def _observers(records: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Models, weights and seeds: in one command where every model has all of them."""
    variants: dict[str, list[tuple[str, int]]] = {}
    for record in records:
        drawn = record["weights"] in CONTROLS
        variants.setdefault(record["model"], []).append((record["weights"], record["seed"] if drawn else 0))
    models: dict[str, list[str]] = {}
    for model, every in variants.items():
        for line in _seeded(every):
            models.setdefault(json.dumps(line), []).append(model)
    for options, named in models.items():
        yield [*named, *json.loads(options)]


def _seeded(variants: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Options for weights and seeds of one model, for as many variants at once as share their seeds."""
    weights = list(dict.fromkeys(name for name, _ in variants))
    seeds = sorted({seed for name, seed in variants if name in CONTROLS}) or [0]
    product = {(name, seed) for name in weights for seed in (seeds if name in CONTROLS else (0,))}
    if product != set(variants) or seeds != list(range(seeds[0], seeds[0] + len(seeds))):
        for variant in variants:
            yield from _seeded([variant])
        return
    words = [] if weights == ["pretrained"] else ["--weights", ",".join(weights)]
    words += [] if seeds[0] == 0 else ["--seed", str(seeds[0])]
    yield [*words, *([] if len(seeds) == 1 else ["--seeds", str(len(seeds))])]


def _words(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything but the models, weights and seeds; raises where the command line has no words for it."""
    checkpoint = record.get("checkpoint")
    weights = record["weights"] if record["weights"] in (*CONTROLS, "pretrained") else "pretrained"
    Job(record["model"], weights, checkpoint=checkpoint)  # Known by name, or by where it is from.
    made = restore(record["measurement"], record.get("images", ()))
    words = [*_setting(made), *(word for path in record.get("images", ()) for word in ("--images", path))]
    words += [] if checkpoint is None else ["--checkpoint", checkpoint]
    words += [] if record["dtype"] == "float32" else ["--dtype", record["dtype"]]
    arithmetic = record.get("arithmetic", "exact")
    words += [] if ARITHMETIC[arithmetic].exact else ["--precision", arithmetic]
    seed = record.get("noise_seed")
    return (*words, *([] if seed is None else ["--seed-noise", str(seed)]))


def _setting(made: Measurement) -> list[str]:
    """Options of a measurement: those that differ from what is usual."""
    preset = made.preset or None
    # As it is in its table: photographs of one's own are named by an option.
    stimulus = STIMULI[made.stimulus.name]
    display = made.stimulus.display
    usual = plan(stimulus, made.dimension, preset=preset, display=display)
    # A noise model has its own level and options.
    own = plan(stimulus, made.dimension, preset=preset, noise=made.noise.name, display=display)
    words = ["--preset", made.preset] if preset else []
    words += _display(display)
    words += _experiment(stimulus.name, made.dimension, preset)
    return [*words, *_shown(made, usual), *_ways(made, usual), *_numbers(made, own)]


def _display(display: Display | None) -> list[str]:
    """Options of what it was shown on: a preset's name, or the numbers."""
    if display is None:
        return []
    if DISPLAYS.get(display.name) == display:
        return ["--display", display.name]
    words = ["--pixels-per-degree", plain(display.pixels_per_degree)]
    if display.luminance_cd_m2 is not None:
        words += ["--luminance-cd-m2", plain(display.luminance_cd_m2)]
    return [*words, *(["--gamma", display.gamma] if display.transfer.curved else [])]


def _experiment(stimulus: str, dimension: str, preset: str | None) -> list[str]:
    """Stimulus and dimension, as far as one does not follow from the other."""
    both = {"stimulus": stimulus, "dimension": dimension}
    for named in ((), ("stimulus",), ("dimension",)):
        given = {name: both[name] for name in named}
        usual = _usual(**given, preset=preset)
        if usual is not None and (usual.stimulus.name, usual.dimension) == (stimulus, dimension):
            return [word for name, value in given.items() for word in (f"--{name}", value)]
    return ["--stimulus", stimulus, "--dimension", dimension]


def _shown(made: Measurement, usual: Measurement) -> Iterator[str]:
    """Options for what is shown, and for the layers."""
    if made.values != usual.values:
        yield from ("--values", _listed(made.values, made.stimulus.dimension(made.dimension)))
    for name, values in made.parameters.items():
        if values != usual.parameters[name]:
            yield from _parameter(made.stimulus, name, values)
    if made.layers != usual.layers:
        yield from ("--layers", ",".join(made.layers))


def _ways(made: Measurement, usual: Measurement) -> Iterator[str]:
    """Options for how the derivative is taken, and for noise and pooling by name."""
    for name, option in _NAMES:
        if getattr(made, name).name != getattr(usual, name).name:
            yield from (option, getattr(made, name).name)
    if made.step != usual.step:
        yield from ("--step", plain(made.step))


def _numbers(made: Measurement, own: Measurement) -> Iterator[str]:
    """Options for the noise's numbers, and for the threshold's."""
    for name, option in _NUMBERS:
        if getattr(made, name) != getattr(own, name):
            yield from (option, plain(getattr(made, name)))
    for name, value in made.noise_options.items():
        if value != own.noise_options[name]:
            yield from ("--noise-option", f"{name}={plain(value)}")
    if made.precision is not None:
        yield from ("--until-precision", plain(made.precision))


def _usual(**given: Any) -> Measurement | None:
    try:
        return plan(**given)
    except PsychophysError:
        return None


def _parameter(stimulus: Stimulus, name: str, values: tuple[float, ...]) -> list[str]:
    parameter = stimulus.parameter(name)
    if name == "phase":
        return ["--phases", _listed(values, parameter)]
    if name == "frequency":
        return ["--frequencies", _spaced(values)]
    return ["--set", f"{name}={_spaced(values)}"]


def _listed(values: tuple[float, ...], parameter: Parameter) -> str:
    """A count where they are the usual grid, or else all of them."""
    if values == parameter.grid(len(values)):
        return str(len(values))
    words = _spaced(values)
    return f"{words}," if words.lstrip("+-").isdigit() else words  # A lone integer would be a count.


def _spaced(values: Sequence[float]) -> str:
    """``START:STOP:COUNT`` where they are just these numbers, or else a list."""
    if len(values) > 3 and tuple(np.linspace(values[0], values[-1], len(values))) == tuple(values):
        return f"{plain(values[0])}:{plain(values[-1])}:{len(values)}"
    return ",".join(map(plain, values))


def plain(value: float) -> str:
    """The shortest text that is read as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


_PROCEDURE = (
    ("task", "--task"),
    ("read_out", "--read-out"),
    ("trials", "--trials"),
    ("training_trials", "--training-trials"),
    ("seed", "--trial-seed"),
)


def simulation_lines(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The command lines that simulate these runs again, one for each way in which that was done."""
    usual = Procedure()
    lines = []
    for record in runs.values():
        for made in record["experiments"]:
            own = [(option, made[name]) for name, option in _PROCEDURE if made[name] != getattr(usual, name)]
            words = shlex.join([str(word) for pair in own for word in pair])
            ending = f"{words} -o simulation.parquet".strip()
            lines += command_lines({"": record}, ending, "simulate")
    return list(dict.fromkeys(lines))
