"""Parts of pages that are made from the package when the site is built, so that they cannot be out of date.

A line ``<!-- generated: NAME -->`` in a page is replaced by the Markdown that the function ``NAME`` of this
module gives.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from typer.main import get_command

import psychophys

# The one place where what is no public name of ``psychophys`` is taken from inside it.
from psychophys.cli.app import app as application
from psychophys.measurement.presets import PRESETS
from psychophys.noise.information import DIFFERENTIAL
from psychophys.responses.estimators import ESTIMATORS
from psychophys.results.indices import INDICES
from psychophys.simulation.psychometrics import TASKS
from psychophys.stimuli.contrast import LOW, Line, contrast_table
from psychophys.stimuli.transfer import GAMMAS

MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


# Markdown -----------------------------------------------------------------------------------------------


def cell(text: object) -> str:
    """Text of a table's cell, shown as it is."""
    return re.sub(r"([\\|*_<>$`\[\]])", r"\\\1", " ".join(str(text).split()))


def code(text: object) -> str:
    """Text of a table's cell in the type of code."""
    return f"`{text}`".replace("|", r"\|") if str(text) else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def block(text: str, language: str = "text") -> str:
    """A code block."""
    return f"```{language}\n{inspect.cleandoc(text).rstrip()}\n```\n"


def number(value: float) -> str:
    """A number in few digits."""
    return f"{value:g}"


def between(low: float, high: float) -> str:
    """A range on one line."""
    return f"{low:g}&nbsp;to&nbsp;{high:g}"


# The command line ---------------------------------------------------------------------------------------


def cli() -> str:
    """Every command with its arguments, options and examples."""
    root = get_command(application)
    parts = [_lines(root.help or ""), _lines(root.epilog or "")]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        context = typer.Context(command, info_name=f"psychophys {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        parts += [f"## {name}", _help(command.help or "", block(usage))]
        shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
        for title in dict.fromkeys(map(_panel, shown)):
            rows = [_row(parameter, context) for parameter in shown if _panel(parameter) == title]
            parts.append(table([title, "meaning"], [row for row in rows if row]))
        # Help texts name pages by their path in the repository.
        parts.append(re.sub(r"\bdocs/(\S+\.md)\b", r"[\g<0>](../\1)", _lines(command.epilog or "")))
    return "\n\n".join(parts)


def _panel(parameter: Any) -> str:
    usual = "argument" if parameter.param_type_name == "argument" else "option"
    return getattr(parameter, "rich_help_panel", None) or usual


def _row(parameter: Any, context: typer.Context) -> list[str]:
    record = parameter.get_help_record(context)
    if record is None:
        return []
    names, meaning = record
    return [code(names), cell(meaning.replace("`", ""))]


def _lines(text: str) -> str:
    return cell(text).replace(r"\`", "`") if text else ""


def _help(text: str, usage: str) -> str:
    """Paragraphs of a help text; those that keep their lines are shown as code."""
    first, *rest = re.split(r"\n\s*\n", inspect.cleandoc(text))
    parts = [_lines(first), usage]
    for paragraph in rest:
        if "\b" not in paragraph:
            parts.append(_lines(paragraph))
            continue
        title, *lines = paragraph.replace("\b", "").strip("\n").splitlines()
        if title.rstrip().endswith(":"):
            parts += [title, block("\n".join(lines), "bash" if title.startswith("Example") else "text")]
        else:
            parts.append(block("\n".join([title, *lines])))
    return "\n\n".join(parts)


# The Python interface -----------------------------------------------------------------------------------

HEADINGS = {
    "measurement": "Measuring",
    "observers": "Observers",
    "stimuli": "Stimuli",
    "noise": "Noise",
    "results": "Results",
    "simulation": "Simulation",
    "comparison": "Comparison",
    "learning": "Learning",
    "plots": "Figures",
    "base": "Errors",
}
LISTED = {
    "STIMULI": "[Stimuli](stimuli.md) lists them.",
    "DISPLAYS": "[Displays](displays.md) lists them.",
    "NOISE": "[Noise models](noises.md) lists them.",
    "PRIORS": "[Priors and references](priors.md) lists them.",
    "REFERENCES": "[Priors and references](priors.md) lists them.",
    "EXPERIMENTS": "[Learning experiments](experiments.md) lists them.",
}


def api() -> str:
    """Every name in ``psychophys.__all__``, by the folder that it is from."""
    groups: dict[str, list[str]] = {folder: [] for folder in HEADINGS}
    for name in psychophys.__all__:
        thing = getattr(psychophys, name)
        described = next(iter(thing.values())) if isinstance(thing, Mapping) else thing
        home = getattr(described, "__module__", None) or type(described).__module__
        groups.setdefault(home.split(".")[1], []).append(name)
    parts = []
    for folder, names in groups.items():
        if names:
            parts.append(f"## {HEADINGS.get(folder, folder.capitalize())}")
            parts += [_object(name) for name in sorted(names, key=_order)]
    return "\n\n".join(parts)


def _order(name: str) -> tuple[int, str]:
    thing = getattr(psychophys, name)
    return (1 if inspect.isclass(thing) else 2 if isinstance(thing, Mapping) else 0), name


def _object(name: str) -> str:
    thing = getattr(psychophys, name)
    if isinstance(thing, Mapping):
        kind = type(next(iter(thing.values()))).__name__
        names = ", ".join(f"``{key}``" for key in thing)
        lines = [f".. py:data:: psychophys.{name}", f"   :type: Mapping[str, {kind}]", ""]
        lines.append(f"   By name: {names}.")
        return "```{eval-rst}\n" + "\n".join(lines) + f"\n```\n\n{LISTED.get(name, '')}"
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        lines = [f".. autoexception:: psychophys.{name}", "   :show-inheritance:"]
    elif inspect.isclass(thing):
        lines = [f".. autoclass:: psychophys.{name}", "   :members:", "   :inherited-members: object"]
    elif callable(thing):
        lines = [f".. autofunction:: psychophys.{name}"]
    else:
        raise ExtensionError(f"psychophys.{name} is nothing that the page of the interface can show")
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```"


# Tables -------------------------------------------------------------------------------------------------


def columns() -> str:
    """Columns of every table that is written to files."""
    tables = {
        "Thresholds": ("`measure`, `sweep`, `learn`; [`Results`](api.md)", psychophys.Results),
        "Fisher matrices": ("`fisher`; `psychophys.fisher_matrix`", psychophys.FisherResults),
        "Tuning curves": ("`responses`; `psychophys.tuning_curves`", psychophys.TuningCurves),
        "Units": ("`tune`; `psychophys.tune`", psychophys.UnitTuning),
        "Changes of a photograph": ("`distort`; `psychophys.distort`", psychophys.Distortions),
        "Batteries": ("`battery`; `psychophys.battery`", psychophys.BatteryResults),
        "Simulated observers": ("`simulate`; `psychophys.simulate`", psychophys.Simulations),
        "Threshold ratios": ("`versus`; `psychophys.threshold_ratios`", psychophys.Ratios),
        "Half-times of modes": ("`learn linear`; `psychophys.read_modes`", psychophys.Modes),
        "Priors": ("`statistics`; `psychophys.image_statistics`", psychophys.Prior),
    }
    parts = []
    for title, (made, public) in tables.items():
        rows = [
            [
                code(column.name),
                code(getattr(column.type, "value_type", column.type)),
                cell(column.unit),
                cell(column.meaning),
            ]
            for column in public.columns
        ]
        parts += [f"## {title}", f"Written by {made}.", table(["column", "type", "unit", "meaning"], rows)]
    return "\n\n".join(parts)


def stimuli() -> str:
    """Every stimulus with its parameters."""
    parts = []
    for stimulus in psychophys.STIMULI.values():
        parts += [f"## {stimulus.name}", cell(stimulus.summary[:1].upper() + stimulus.summary[1:]) + "."]
        rows = []
        for one in stimulus.parameters:
            count = stimulus.nuisance.get(one.name)
            default = f"{count}&nbsp;values" if count else number(one.default)
            swept = between(*one.sweep) if one.measurable else "not"
            possible = between(one.low, one.high)
            period = "" if one.period is None else number(one.period)
            rows.append([code(one.name), cell(one.unit), default, possible, swept, period, cell(one.meaning)])
        head = ["parameter", "unit", "default", "possible", "measured", "period", "meaning"]
        parts.append(table(head, rows))
        if lines := contrast_table(stimulus):
            parts += ["Its contrast as rendered:", _contrast(lines)]
    return "\n\n".join(parts)


def _contrast(lines: Sequence[Line]) -> str:
    head = ["cycles/image", "Michelson at 1", "r.m.s. at 1", f"Michelson / contrast at {LOW:g}"]
    ends = ((line.michelson, line.rms, line.share) for line in lines)
    rows = [[f"{low:.2f}&nbsp;to&nbsp;{high:.2f}" for low, high in three] for three in ends]
    return table(head, [[number(line.frequency), *row] for line, row in zip(lines, rows, strict=True)])


def displays() -> str:
    """Every display."""
    rows = []
    for one in psychophys.DISPLAYS.values():
        white = "" if one.luminance_cd_m2 is None else number(one.luminance_cd_m2)
        rows.append([code(one.name), number(one.pixels_per_degree), white, code(one.gamma), cell(one.source)])
    head = ["display", "pixels/deg", "white, cd/m2", "gamma", "what it is, and where its numbers are from"]
    rest = [[code(one.name), cell(one.summary)] for one in GAMMAS.values()]
    return "\n\n".join([table(head, rows), table(["gamma", "meaning"], rest)])


def noises() -> str:
    """Every noise model with its options."""
    parts = []
    for noise in psychophys.NOISE.values():
        rows = [["level", cell(noise.level_unit), number(noise.level), ""]]
        rows += [_option(option) for option in noise.options]
        parts += [f"## {noise.name}", block(noise.formula), _options(rows), f"Source: {cell(noise.source)}."]
    parts += ["## Every model", _options([_option(DIFFERENTIAL)])]
    return "\n\n".join(parts)


def _option(option: Any) -> list[str]:
    return [code(option.name), cell(option.unit), number(option.default), cell(option.meaning)]


def _options(rows: list[list[str]]) -> str:
    return table(["option", "unit", "default", "meaning"], rows)


def priors() -> str:
    """Every prior that comes along."""
    rows = []
    for prior in psychophys.list_priors():
        statistics = dict.fromkeys(prior.table.column("statistic").to_pylist())
        rows.append([code(prior.name), cell(", ".join(statistics)), cell(prior.meta["summary"])])
    return table(["prior", "statistics", "what it is"], rows)


def references() -> str:
    """Every human reference curve."""
    parts = []
    for one in psychophys.REFERENCES.values():
        link = f", [doi:{one.doi}](https://doi.org/{one.doi})" if one.doi else ""
        shown = "its shape alone" if one.kind == "shape" else f"thresholds in {one.unit}"
        rows = [
            ["dimension", cell(f"{one.dimension} of {', '.join(one.stimuli)}")],
            ["what it is", cell(one.summary)],
            ["formula", cell(one.formula)],
            ["gives", cell(shown)],
            ["runs over", cell(f"{one.axis}, {one.covers}")],
            ["observers", cell(str(one.observers))],
            ["source", cell(one.citation) + link],
        ]
        if one.spread_is:
            rows.insert(-1, ["spread", cell(one.spread_is)])
        if one.caveat:
            rows.append(["mind", cell(one.caveat.replace("`", ""))])
        parts += [f"### {one.name}", table(["", ""], rows)]
    return "\n\n".join(parts)


def indices() -> str:
    """Every index of a layer."""
    rows = [
        [code(index.name), cell(index.meaning), cell(", ".join(index.dimensions) or "all")]
        for index in INDICES.values()
    ]
    return table(["index", "what it is", "dimensions"], rows)


def tasks() -> str:
    """Every task of simulated observers."""
    rows = [
        [code(task.name), cell(task.meaning), f"{100 * task.by_dprime(1):.1f} %"] for task in TASKS.values()
    ]
    return table(["task", "what is asked", "correct at threshold (d' = 1)"], rows)


def estimators() -> str:
    """Every estimator, and its cost."""
    rows = [
        [code(one.name), cell(one.meaning), "one or several" if one.several else "one", f"{one.passes:g}"]
        for one in ESTIMATORS.values()
    ]
    return table(["estimator", "what it is", "dimensions", "forward passes an image"], rows)


def presets() -> str:
    """Every preset."""
    rows = [
        [code(preset.name), cell(preset.summary), cell(", ".join(preset.settings))]
        for preset in PRESETS.values()
    ]
    return table(["preset", "what it is", "dimensions"], rows)


def experiments() -> str:
    """Every learning experiment with its settings and conditions."""
    parts = []
    for experiment in psychophys.EXPERIMENTS.values():
        meanings = _attributes(experiment.settings)
        rows = []
        for setting in dataclasses.fields(experiment.settings):
            quick = experiment.quick.get(setting.name)
            default, small = _value(setting.default), "" if quick is None else _value(quick)
            rows.append([code(setting.name), default, small, cell(meanings.get(setting.name, ""))])
        parts += [f"## {experiment.name}", table(["setting", "default", "`--quick`", "meaning"], rows)]
        conditions = getattr(sys.modules[experiment.settings.__module__], "CONDITIONS", None)
        if isinstance(conditions, dict):
            rows = [[code(name), cell(getattr(one, "meaning", one))] for name, one in conditions.items()]
            parts.append(table(["condition", "what it is"], rows))
    return "\n\n".join(parts)


def _value(value: Any) -> str:
    if value is None or value == ():
        return "-"
    return cell(", ".join(map(str, value)) if isinstance(value, tuple) else value)


def _attributes(thing: Any) -> dict[str, str]:
    """What a numpydoc docstring says of attributes, without the markup."""
    doc = inspect.cleandoc(thing.__doc__ or "").partition("Attributes\n----------\n")[2]
    found = re.findall(r"^(\w[\w, ]*)\n((?:(?: {4}.*)?\n?)+)", doc, re.MULTILINE)
    plain = {names: re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", r"\1\2", text) for names, text in found}
    return {name: text for names, text in plain.items() for name in names.split(", ")}


# Sphinx -------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        cli,
        api,
        columns,
        stimuli,
        displays,
        noises,
        priors,
        references,
        indices,
        tasks,
        estimators,
        presets,
        experiments,
    )
}


def _fill(app: Sphinx, _page: str, source: list[str]) -> None:
    def made(match: re.Match[str]) -> str:
        if match[1] not in PARTS:
            raise ExtensionError(f"nothing makes {match[1]}; there are {', '.join(PARTS)}")
        app.env.note_reread()
        return PARTS[match[1]]()

    source[0] = MARK.sub(made, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Fill pages as they are read."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
