"""Specifications of runs as TOML that is read by people, and from TOML and results files."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from psychophys.base.errors import UsageError, unknown
from psychophys.measurement.repeat import GIVEN, OBSERVER, SETTINGS, Specification, of_runs
from psychophys.noise.models import NOISE
from psychophys.results.kinds import KINDS, MAGIC, look, refusal
from psychophys.results.tables import opened
from psychophys.results.thresholds import read
from psychophys.stimuli import STIMULI, on_display

_SHARED = ("dimensions", "images", "images_sha256")
_OWN = ("run_id", "sha256", "imports")
_GIVE = "Give a file of `psychophys measure`, or what `psychophys spec` prints of one."


def read_specifications(path: str | Path) -> list[Specification]:
    """The runs of a Parquet file that has their provenance, of a directory of results, or of TOML.

    Raises
    ------
    UsageError
        For a file that is not there, or that says nothing of runs.
    """
    path = Path(path)
    if path.is_dir():
        results = read(path)
        runs = of_runs(results.table, results.runs)
    elif not path.is_file():
        raise UsageError(f"{str(path)!r} is not a file", _GIVE)
    else:
        runs = _from_parquet(path) if _is_parquet(path) else _from_toml(path)
    if not runs:
        raise UsageError(f"{str(path)!r} holds no run", _GIVE)
    return runs


def _is_parquet(path: Path) -> bool:
    found = look(path)
    with path.open("rb") as stream:
        return found.kind is not None or found.damaged or stream.read(len(MAGIC)) == MAGIC


def _from_parquet(path: Path) -> list[Specification]:
    kind = look(path).kind
    wanted = KINDS["results"] if kind is None else kind
    with opened(path, wanted) as (table, meta):
        runs = meta.get("runs")
        columns = {"run_id", "checkpoint"} <= set(table.schema.names)
        # Of a battery or of changes of a photograph no run says what `measure` could make again.
        if (
            columns
            and isinstance(runs, dict)
            and all("parameters" in _measured(run) for run in runs.values())
        ):
            return of_runs(table, runs)
    raise refusal(path, KINDS["results"], "no runs")


def _measured(run: Any) -> Mapping[str, Any]:
    """What a run's provenance says of the measurement."""
    found = run.get("measurement") if isinstance(run, dict) else None
    return found if isinstance(found, dict) else {}


# Writing ------------------------------------------------------------------------------------------------


def to_toml(runs: Sequence[Specification], source: str = "") -> str:
    """TOML of runs: one table for each measurement, and in it one for each observer.

    Parameters
    ----------
    source
        Named in the first line.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment(f"Runs{f' of {source}' if source else ''}, to be made again, or changed:"))
    document.add(tomlkit.comment("psychophys measure --from THIS_FILE -o again.parquet"))
    made = {name: value for run in runs[:1] for name, value in run.made_with.items() if value}
    if made:
        table = tomlkit.table()
        table.comment("is told where it differs, and decides nothing")
        table.update(made)
        document["made_with"] = table
    groups: dict[str, list[Specification]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_shared(run), sort_keys=True), []).append(run)
    every = tomlkit.aot()
    for group in groups.values():
        every.append(_measurement(group))
    document["measurement"] = every
    return tomlkit.dumps(document)


def _shared(run: Specification) -> dict[str, Any]:
    """What observers of one measurement have in common."""
    return {**run.settings, **{name: getattr(run, name) for name in _SHARED}}


def _measurement(group: Sequence[Specification]) -> Table:
    table, shared, units = tomlkit.table(), _shared(group[0]), _units(group[0])
    tables = {name: value for name, value in shared.items() if isinstance(value, Mapping)}
    for name, value in shared.items():
        if name not in tables and value not in (None, "", (), []):
            _put(table, name, value, units.get(name, ""))
    for name, values in tables.items():
        inner = tomlkit.table()
        for key, value in values.items():
            if value not in (None, ""):
                _put(inner, key, value[0] if _is_one(value) else value, units.get(f"{name}.{key}", ""))
        if values:
            table[name] = inner
    table["observer"] = _observers(group)
    return table


def _observers(group: Sequence[Specification]) -> AoT:
    observers = tomlkit.aot()
    for run in group:
        one = tomlkit.table()
        for name, value in {**run.observer, **{name: getattr(run, name) for name in _OWN}}.items():
            if value not in (None, "", (), []):
                _put(one, name, value, "a network that was given from Python" if value == GIVEN else "")
        observers.append(one)
    return observers


def _is_one(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 1


def _put(table: Table, name: str, value: Any, comment: str) -> None:
    item = tomlkit.item(list(value) if isinstance(value, tuple) else value)
    table[name] = item.comment(comment) if comment else item


def _units(run: Specification) -> dict[str, str]:
    """What is said behind a line, by its name; a parameter's is ``parameters.NAME``."""
    found = {"dprime": "criterion of the threshold", "layers": "default, all or glob patterns"}
    found["display.luminance_cd_m2"] = "of white"
    stimulus, noise = str(run.settings.get("stimulus")), str(run.settings.get("noise"))
    if stimulus in STIMULI:
        shown = on_display(STIMULI[stimulus], run.settings.get("display"))
        units = {parameter.name: parameter.unit for parameter in shown.parameters}
        found |= {f"parameters.{name}": unit for name, unit in units.items()}
        found |= dict.fromkeys(("values", "step"), units.get(run.settings.get("dimension") or "", ""))
    if noise in NOISE:
        found["noise_level"] = NOISE[noise].level_unit
        found |= {f"noise_options.{option.name}": option.unit for option in NOISE[noise].options}
    return found


# Reading ------------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are(kind: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(kind, value))


def _are_numbers(value: Any) -> bool:
    return _is_number(value) or _are(_is_number, value)


def _are_texts(value: Any) -> bool:
    return _are(_is_text, value)


def _table_of(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


_TEXT, _NUMBER, _TEXTS = (_is_text, "text"), (_is_number, "a number"), (_are_texts, "a list of texts")
_NUMBERS, _COUNT = (_are_numbers, "a number or a list of numbers"), (_is_count, "an integer")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("stimulus", "dimension", "estimator", "noise", "preset", "pooling"), _TEXT),
    **dict.fromkeys(("step", "noise_level", "dprime", "confidence", "precision"), _NUMBER),
    **dict.fromkeys(("layers", "dimensions", "images", "imports"), _TEXTS),
    **dict.fromkeys(("model", "weights", "checkpoint", "dtype", "arithmetic"), _TEXT),
    **dict.fromkeys(("images_sha256", "run_id", "sha256"), _TEXT),
    **dict.fromkeys(("seed", "noise_seed"), _COUNT),
    "values": _NUMBERS,
    "parameters": (_table_of(_are_numbers), "a table of numbers and lists of numbers"),
    "noise_options": (_table_of(_is_number), "a table of numbers"),
    "display": (_table_of(lambda value: _is_number(value) or _is_text(value)), "a table of a display"),
}


def _from_toml(path: Path) -> list[Specification]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{str(path)!r} is neither a file of runs nor TOML: {error}"[:300], _GIVE) from error
    made = whole.get("made_with", {})
    if not _table_of(_is_text)(made):
        raise UsageError(f"made_with in {str(path)!r} is no table of texts", "Leave it out.")
    _check_names(path, "table", whole, ("made_with", "measurement"))
    runs = []
    for measured in _tables(path, whole, "measurement"):
        _check_names(path, "setting", measured, (*SETTINGS, *_SHARED, "observer"))
        settings = {name: _checked(path, name, measured[name]) for name in SETTINGS if name in measured}
        shared = {name: _checked(path, name, measured[name]) for name in _SHARED if name in measured}
        for observer in _tables(path, measured, "observer"):
            _check_names(path, "setting of an observer", observer, (*OBSERVER, *_OWN))
            _check_names(path, "observer without", ["model"], observer)
            named = {name: _checked(path, name, observer[name]) for name in OBSERVER if name in observer}
            own = {name: _checked(path, name, observer[name]) for name in _OWN if name in observer}
            runs.append(Specification(named, settings, made_with=made, **shared, **own))
    return runs


def _tables(path: Path, whole: Mapping[str, Any], name: str) -> list[Any]:
    found = whole.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UsageError(f"{name} in {str(path)!r} is no list of tables", f"Write [[{name}]] over each.")
    return found


def _check_names(path: Path, kind: str, given: Any, known: Any) -> None:
    for name in given:
        if name not in known:
            raise unknown(f"{kind} in {str(path)!r}", name, known)


def _checked(path: Path, name: str, value: Any) -> Any:
    good, words = _KINDS[name]
    if not good(value):
        raise UsageError(f"{name} in {str(path)!r} is not {words}", "Write it as `psychophys spec` does.")
    return tuple(value) if name in (*_SHARED, *_OWN) and isinstance(value, list) else value
