"""What there is to choose from, as plain rows, kept between calls: see :func:`psychophys.cli.kept.kept`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from psychophys.cli.kept import kept
from psychophys.cli.panels import PANELS

if TYPE_CHECKING:
    from psychophys.stimuli import Stimulus


def stimuli() -> dict[str, Any]:
    """By name: summary, dimensions and parameters."""
    found: dict[str, Any] = kept("stimuli", _stimuli)
    return found


def _stimuli() -> dict[str, Any]:
    from psychophys.stimuli import STIMULI

    return {stimulus.name: about(stimulus) for stimulus in STIMULI.values()}


def about(stimulus: Stimulus) -> dict[str, Any]:
    """Summary, dimensions and rows of the parameters of a stimulus."""
    rows = []
    for p in stimulus.parameters:
        count = stimulus.nuisance.get(p.name)
        default = f"{p.default:.4g}" if count is None else f"{count} values"
        swept = f"{p.sweep[0]:g} to {p.sweep[1]:g}" if p.measurable else "-"
        period = "-" if p.period is None else f"{p.period:g}"
        rows.append([p.name, p.unit, default, f"{p.low:g} to {p.high:g}", swept, period, p.meaning])
    dimensions = [p.name for p in stimulus.parameters if p.measurable]
    return {"summary": stimulus.summary, "dimensions": dimensions, "parameters": rows}


def contrast(stimulus: str) -> dict[str, Any]:
    """Rows of contrast as rendered, none for a stimulus without; at which size, and what is low."""
    found: dict[str, Any] = kept(f"contrast-{stimulus}", lambda: _contrast(stimulus))
    return found


def _contrast(name: str) -> dict[str, Any]:
    from psychophys.stimuli import get_stimulus

    return contrast_of(get_stimulus(name))


def contrast_of(stimulus: Stimulus) -> dict[str, Any]:
    """The same of one that is shown on a display."""
    from psychophys.stimuli.contrast import LOW, SIZE, contrast_table

    rows = []
    for line in contrast_table(stimulus):
        ends = (f"{low:.2f}-{high:.2f}" for low, high in (line.michelson, line.rms, line.share))
        rows.append([f"{line.frequency:.4g}", *ends])
    unit = next((p.unit for p in stimulus.parameters if p.name == "frequency"), "")
    return {"rows": rows, "size": list(SIZE), "low": LOW, "unit": unit}


def displays() -> list[list[str]]:
    """A row for every display: name, pixels per degree, white, gamma and source."""
    found: list[list[str]] = kept("displays", _displays)
    return found


def _displays() -> list[list[str]]:
    from psychophys.stimuli import DISPLAYS

    return [
        [
            one.name,
            f"{one.pixels_per_degree:g}",
            "not said" if one.luminance_cd_m2 is None else f"{one.luminance_cd_m2:g}",
            one.gamma,
            one.source,
        ]
        for one in DISPLAYS.values()
    ]


def noises() -> list[str]:
    """Lines on every noise model."""
    found: list[str] = kept("noises", _noises)
    return found


def _noises() -> list[str]:
    from psychophys.noise.information import DIFFERENTIAL
    from psychophys.noise.models import NOISE

    lines = []
    for noise in NOISE.values():
        lines += [
            f"{noise.name}: {noise.formula}",
            f"  level: {noise.level_unit} (default {noise.level:g})",
            *(f"  {o.name}: {o.meaning}, in {o.unit} (default {o.default:g})" for o in noise.options),
            f"  source: {noise.source}",
        ]
    return [*lines, f"all: {DIFFERENTIAL.name}: {DIFFERENTIAL.meaning}, in {DIFFERENTIAL.unit} (default 0)"]


def priors() -> dict[str, list[list[str]]]:
    """Rows of the priors and of the human references."""
    found: dict[str, list[list[str]]] = kept("priors", _priors)
    return found


def _priors() -> dict[str, list[list[str]]]:
    from psychophys.comparison.priors import list_priors
    from psychophys.comparison.references import REFERENCES

    references = []
    for one in REFERENCES.values():
        unit = one.unit if one.kind == "absolute" else "shape only"
        what = f"{one.dimension} of {', '.join(one.stimuli)}"
        over = f"{one.axis}, {one.covers}"
        references.append([one.name, what, unit, over, str(one.observers), one.spread_is or "-", one.source])
    priors = [[prior.name, ", ".join(prior.statistics), prior.meta["summary"]] for prior in list_priors()]
    return {"priors": priors, "references": references}


def models(
    pattern: str, *, pretrained: bool = False, exclude: Sequence[str] = ()
) -> tuple[list[str], list[str], list[str]]:
    """Names of timm that a filter matches; all untagged names; those whose weights come along.

    The names are as ``timm.list_models`` gives them, and chosen as it does.
    """
    found: dict[str, list[str]] = kept("models", _models)
    names = found["tagged" if pretrained else "names"]
    wanted, unwanted = ([_expand(one, pretrained) for one in some] for some in ([pattern], exclude))
    chosen = [one for one in names if pattern == "" or _matches(one, wanted)]
    return [one for one in chosen if not _matches(one, unwanted)], found["names"], found["embedded"]


def _models() -> dict[str, list[str]]:
    import timm

    from psychophys.observers.names import is_embedded

    names = timm.list_models()
    embedded = [name for name in names if is_embedded(name)]
    return {"names": names, "tagged": timm.list_models(pretrained=True), "embedded": embedded}


def _expand(pattern: str, pretrained: bool) -> list[str]:
    """A filter of architectures is one of their tagged names, too, where these are listed."""
    base, _, tag = pattern.partition(".")
    return [pattern, f"{base}.*"] if pretrained and not tag else [pattern]


def _matches(name: str, patterns: Iterable[Iterable[str]]) -> bool:
    return any(fnmatchcase(name, one) for several in patterns for one in several)


def panel_models() -> dict[str, Any]:
    """Where the weights of the networks of the paper's panels are, and the network that comes along."""
    found: dict[str, Any] = kept("panels", _panel_models)
    return found


def _panel_models() -> dict[str, Any]:
    from psychophys.observers import hub
    from psychophys.observers.names import DEFAULT_MODEL

    every = {model for panel in PANELS.values() for model in panel.models}
    return {
        "repositories": {model: hub.repository(model) for model in sorted(every)},
        "default": DEFAULT_MODEL,
    }


def layers(model: str) -> dict[str, Any]:
    """Rows of the layers of an untrained network of timm, what was adapted, and what is no layer."""
    if not re.fullmatch(r"[A-Za-z0-9_.]+", model):  # A source, whose files may change.
        return layers_of(model)
    found: dict[str, Any] = kept(f"layers-{model}", lambda: layers_of(model))
    return found


def layers_of(model: str, **options: Any) -> dict[str, Any]:
    """The same of any network, loaded with these options."""
    from psychophys.observers.layers import default_modules, list_layers
    from psychophys.observers.load import load_observer

    observer = load_observer(model, **({"weights": "random"} | options))
    defaults, selection = set(default_modules(observer.model)), list_layers(observer)
    rows = []
    for layer in selection.layers:
        mark = "*" if layer.name.partition("@")[0] in defaults else ""
        shape = " x ".join(str(size) for size in layer.shape)
        rows.append([mark, layer.name, layer.kind, shape, f"{layer.n_features:,}"])
    return {"rows": rows, "adapted": list(observer.adapted), "skipped": selection.skipped}


def words() -> list[list[str]]:
    """Every word on the screen and in files, where it stands, and what it means."""
    found: list[list[str]] = kept("words", _words)
    return found


def _words() -> list[list[str]]:
    import psychophys
    from psychophys.results.glossary import HEADINGS, TERMS
    from psychophys.results.indices import INDICES
    from psychophys.results.ranking import RANKINGS

    rows = [[word, "term", meaning] for word, meaning in TERMS.items()]
    rows += [
        [word, f"heading, {table}" if table else "heading", meaning]
        for (word, table), meaning in HEADINGS.items()
    ]
    rows += [[one.name, "index", one.meaning] for one in INDICES.values()]
    rows += [[one.name, "of a ranking", one.meaning] for one in RANKINGS]
    tables = (psychophys.Results, psychophys.FisherResults, psychophys.Simulations, psychophys.Modes)
    for table in (*tables, psychophys.Prior):
        for column in table.columns:
            unit = f" [{column.unit}]" if column.unit else ""
            meaning = f"{column.meaning or column.name.replace('_', ' ')}{unit}"
            rows.append([column.name, f"column of a {table.kind.called}", meaning])
    return [list(row) for row in dict.fromkeys(map(tuple, rows))]
