"""The page of results: all of its numbers are those of the file, and it loads nothing."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from inside import call_inside
from PIL import Image

import psychophys
from psychophys import UsageError
from psychophys.report import page
from psychophys.report.commands import command_lines, plain
from psychophys.report.content import Report, report
from psychophys.report.page import render
from psychophys.report.side_by_side import Limit, ratio
from psychophys.report.side_by_side import _said as sentences_of
from psychophys.report.tables import digits
from psychophys.results.glossary import TERMS

NETS = ["test_resnet", "test_vit2"]
MADE = {
    "two.parquet": "measure test_resnet test_vit2 --weights random --values 4 --phases 6",
    "one.parquet": "measure test_resnet --weights random --values 45, --phases 1 --layers fc",
    "hue.parquet": "measure test_resnet --weights random --stimulus patch --values 5 --layers fc,layer4",
    "sim.parquet": "simulate test_resnet --weights random --values 2 --phases 1 --layers fc",
    "fisher.parquet": "fisher test_resnet --weights random --values 2 --phases 1 --layers fc",
}


class Page(HTMLParser):
    """Ids, links, what would be loaded, tables and headings of a page."""

    VOID = frozenset(("meta", "link", "img", "br", "input"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.named: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.cells: list[tuple[str, float, str]] = []
        self.without_alt = 0
        self.levels: list[int] = []
        self._table, self._value = "", None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "table":
            self._table = given.get("id", "")
        if tag == "th":
            assert given.get("scope") in ("row", "col")
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            self.without_alt += not given.get("alt")
        self.named += [given[name] for name in ("for", "aria-labelledby") if name in given]
        self.loaded += [given[name] for name in ("src", "xlink:href") if name in given]
        if "href" in given and given["href"].startswith("#"):
            self.targets.append(given["href"][1:])
        elif "href" in given:
            self.loaded.append(given["href"])
        self._value = given.get("data-value") if tag == "td" else self._value

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "td":
            self._value = None

    def handle_data(self, data: str) -> None:
        if self._value is not None:
            self.cells.append((self._table, float(self._value), data))
            self._value = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for name, words in MADE.items():
        done = call_inside(*words.split(), "-q", "-o", name, cwd=folder)
        assert done.returncode == 0, done.stderr.decode()
    sweep = f"sweep {' '.join(NETS)} hf-hub:no/such --weights random --values 2 --phases 1 -q -o zoo"
    assert call_inside(*sweep.split(), "--engine", "serial", cwd=folder).returncode == 3
    (folder / "mixed").mkdir()
    for name in ("two", "hue", "sim", "fisher"):
        shutil.copy(folder / f"{name}.parquet", folder / "mixed")
    return folder


@cache
def text_of(path: Path) -> str:
    """The page of a file: several tests look at one."""
    return render(built(path))


@cache
def built(path: Path) -> Report:
    return report(path)


PAGES = ("two.parquet", "one.parquet", "hue.parquet", "sim.parquet", "zoo", "mixed")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_loads_nothing_and_is_small(name: str, folder: Path) -> None:
    text = text_of(folder / name)
    found = Page(text)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert set(found.targets) | set(found.named) <= set(found.ids)
    assert all(one.startswith(("data:", "#")) for one in found.loaded)
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert not re.search(r"@import|url\((?!#)|https?:", styles)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0].replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert not re.search(r"https?:|fetch\(|import\(|XMLHttpRequest", script)
    assert "default-src 'none'" in html.unescape(text)
    assert found.without_alt == 0
    assert found.levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(found.levels, found.levels[1:], strict=False))
    assert len(text) < 600_000
    assert "nan" not in re.sub(r"<[^>]*>", " ", text).split()


def expected(results: psychophys.Results) -> dict[str, pd.DataFrame]:
    return {str(run): rows for run, rows in psychophys.summarize(results).groupby("run_id", sort=False)}


@pytest.mark.parametrize("name", ["two.parquet", "one.parquet", "hue.parquet"])
def test_every_number_of_the_tables_is_that_of_the_results(name: str, folder: Path) -> None:
    results = psychophys.read(folder / name)
    found = built(folder / name)
    cells = Page(text_of(folder / name)).cells
    by_table: dict[str, list[float]] = {}
    for table, value, text in cells:
        by_table.setdefault(table, []).append(value)
        shown = text.split(" ")[0].replace(",", "")
        if re.fullmatch(r"-?[\d.]+(e[+-]\d+)?", shown) and not text.endswith((" k", " M", " G", "%")):
            assert float(shown) == pytest.approx(value, rel=0.0051)
    layers = {key: numbers for key, numbers in by_table.items() if key.endswith("-layers")}
    runs = expected(results)
    assert len(layers) == len(runs)
    means = sorted(float(mean) for rows in runs.values() for mean in rows["mean_threshold"])
    counts = sorted(float(n) for rows in runs.values() for n in rows["n_features"])
    every = [number for numbers in layers.values() for number in numbers]
    assert set(means) <= set(every)
    assert set(counts) <= set(every)
    (side,) = [part.side for part in found.parts]
    assert side is not None
    frame = results.to_pandas()
    for value, table in zip(side.values, side.tables, strict=True):
        limits = set(frame[np.isclose(frame["value"], float(value))]["threshold"])
        runs_shown = len(results.runs)
        shown_limits = {cell.value for row in table.rows for cell in row[1 : 1 + runs_shown]}
        assert shown_limits <= limits
        assert len(shown_limits) > 0


def test_curves_are_the_thresholds_in_six_digits(folder: Path) -> None:
    text = text_of(folder / "two.parquet")
    (data,) = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)[0])
    frame = psychophys.read(folder / "two.parquet").to_pandas()
    for run, rows in zip(
        data["curves"]["runs"], [r for _, r in frame.groupby("run_id", sort=False)], strict=True
    ):
        assert list(run["layers"]) == list(dict.fromkeys(rows["layer"]))
        for layer, (y, low, high) in run["layers"].items():
            own = rows[rows["layer"] == layer].sort_values("value")
            for numbers, column in ((y, "threshold"), (low, "threshold_low"), (high, "threshold_high")):
                np.testing.assert_allclose(np.array(numbers, dtype=float), own[column], rtol=6e-6)


def test_a_ratio_has_the_interval_of_a_simulation() -> None:
    # Of two independent log-normal estimates the quotient's interval is known by drawing.
    rng = np.random.default_rng(0)
    spreads = (0.1, 0.25)
    draws = [np.exp(rng.normal(0, s, 400_000)) for s in spreads]
    low, high = np.quantile(2 * draws[1] / draws[0], [0.025, 0.975])
    ends = [np.exp(1.959964 * s) for s in spreads]
    a = Limit("x", 1.0, 1 / ends[0], ends[0])
    b = Limit("x", 2.0, 2 / ends[1], 2 * ends[1])
    np.testing.assert_allclose(ratio(b, a), (2, low, high), rtol=0.01)
    assert np.isnan(ratio(b, Limit("x", np.inf, np.nan, np.nan))).all()


SPECS = (
    "measure test_resnet --weights random --seed 3 --values 0,10.5,90 --phases 45, --layers fc,layer4",
    "measure test_resnet --weights random --seeds 2 --values 3 --phases 2 --frequencies 4,8 --layers fc",
    "measure test_resnet --weights random --stimulus patch --values 0:330:4 --set saturation=0.5 --layers fc"
    " --noise gaussian --noise-level 0.3 --dprime 1.5 --confidence 0.9",
    "measure test_resnet --weights random --dimension contrast --values 2 --phases 1 --set orientation=45"
    " --layers fc --estimator central --step 0.001 --dtype float64",
    "measure test_resnet --weights random --preset efficient-coding --values 3 --layers fc --pooling sum",
    "measure test_resnet --weights random --noise poisson --noise-option rectify=1 --values 2 --phases 1"
    " --layers fc",
    "measure test_resnet --weights random --stimulus noise --values 2 --set sample=0,3 --layers fc",
)


@pytest.mark.parametrize("spec", SPECS)
def test_the_command_makes_the_same_runs_again(spec: str, tmp_path: Path) -> None:
    assert call_inside(*shlex.split(spec), "-q", "-o", "a.parquet", cwd=tmp_path).returncode == 0
    first = psychophys.read(tmp_path / "a.parquet")
    (line,) = command_lines(first.runs, "-o again.parquet")
    done = call_inside(*shlex.split(line)[1:], "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    again = psychophys.read(tmp_path / "again.parquet")
    assert again.identifiers == first.identifiers
    pd.testing.assert_frame_equal(
        again.to_pandas().sort_values(["run_id", "layer", "value"], ignore_index=True),
        first.to_pandas().sort_values(["run_id", "layer", "value"], ignore_index=True),
    )


def test_what_shares_its_settings_is_one_command(folder: Path) -> None:
    (_, record) = next(iter(psychophys.read(folder / "one.parquet").runs.items()))

    def lines(*observers: tuple[str, str, int]) -> list[str]:
        names = ("model", "weights", "seed")
        runs = {str(i): {**record, **dict(zip(names, one, strict=True))} for i, one in enumerate(observers)}
        return [line.partition(" --values")[0] for line in command_lines(runs, "")]

    a, b = NETS
    assert lines((a, "random", 0), (b, "random", 0)) == [f"psychophys measure {a} {b} --weights random"]
    assert lines((a, "pretrained", 0)) == [f"psychophys measure {a}"]
    trained = (a, "pretrained", 0), *((a, "random", seed) for seed in range(3))
    assert lines(*trained) == [f"psychophys measure {a} --weights pretrained,random --seeds 3"]
    assert lines((a, "random", 0), (a, "random", 2)) == [
        f"psychophys measure {a} --weights random",
        f"psychophys measure {a} --weights random --seed 2",
    ]
    assert lines((a, "random", 5), (a, "shuffled", 5), (b, "pretrained", 0)) == [
        f"psychophys measure {a} --weights random,shuffled --seed 5",
        f"psychophys measure {b}",
    ]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 45.0, 1e-9, 1e22, -0.0, 0.1 + 0.2])
def test_a_number_is_written_as_it_is_read(value: float) -> None:
    assert float(plain(value)) == value


def test_a_network_from_python_is_said_to_have_no_command(tmp_path: Path) -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    observer = psychophys.Observer(network, input_size=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3, name="mine")
    table = psychophys.measure(observer, values=2, parameters={"phase": 1})
    table.write(tmp_path / "mine.parquet")
    (line,) = report(tmp_path / "mine.parquet").commands
    assert line.startswith("# mine")
    assert "unknown model 'mine'" in line


def test_a_sweep_has_a_ranking_its_failures_and_a_section_a_model(folder: Path) -> None:
    found = built(folder / "zoo")
    (part,) = found.parts
    assert part.ranking is not None
    assert [row[0].text for row in part.ranking.rows] == [model.name for model in part.models]
    assert {model.name for model in part.models} == {f"{name} (random)" for name in NETS}
    assert len(found.failures) == 1
    assert found.failures[0].startswith("hf-hub:no/such random: ")
    assert found.commands[0].startswith("psychophys sweep test_resnet test_vit2 --weights random")


def test_of_one_value_there_is_no_curve_and_no_figure(folder: Path) -> None:
    (part,) = built(folder / "one.parquet").parts
    assert part.drawing is None
    assert part.curves is None
    assert [one.drawing for one in part.compared] == [None, None]
    assert part.side is not None
    assert re.fullmatch(
        r"At orientation 45 deg: the threshold of .* in fc is [\d.]+ deg\.", part.side.said[0][0]
    )


def test_a_directory_of_several_kinds_is_one_page(folder: Path) -> None:
    found = built(folder / "mixed")
    assert [part.title for part in found.parts] == ["hue of patch", "orientation of gabor"]
    assert found.simulated is not None
    assert any("fisher.parquet" in line for line in found.notes)


def test_sentences_of_the_prior_are_those_of_compare(folder: Path) -> None:
    from psychophys.comparison.verdict import conclusions

    (part,) = built(folder / "two.parquet").parts
    said = part.compared[0].said
    assert said == conclusions(psychophys.compare(psychophys.read(folder / "two.parquet")))


@pytest.fixture(scope="module")
def beside(folder: Path) -> Path:
    """A network, here in place of a trained one, and one untrained network of its own."""
    asked: dict[str, Any] = {"values": 8, "parameters": {"phase": 6}, "layers": ["layer1", "layer4", "fc"]}
    results = psychophys.measure(NETS[0], weights="random", seed=7, **asked)
    other = psychophys.measure(NETS[0], weights="random", **asked)
    (run,), frame = results.runs, results.to_pandas().assign(weights="pretrained", seed=0)
    table = pa.Table.from_pandas(frame, schema=psychophys.Results.schema, preserve_index=False)
    record = {**results.runs[run], "weights": "pretrained", "seed": 0}
    trained = psychophys.Results(table, {run: record})
    psychophys.concat([trained, other]).write(folder / "beside.parquet")
    return folder / "beside.parquet"


def test_one_untrained_network_is_no_test_and_the_page_says_how_many_more(beside: Path) -> None:
    (part,) = built(beside).parts
    text = html.unescape(text_of(beside))
    assert "one untrained network is no test (p cannot be under 0.5): measure 18 more, 19 in all" in text
    assert "not tested without" not in text
    assert part.lacking[0] == 18
    assert part.lacking[1] == [
        f"psychophys measure {NETS[0]} --weights random --seed 1 --seeds 18 --values 8 --phases 6 "
        "--layers layer1,layer4,fc -o beside.parquet --append"
    ]
    table = part.compared[0].tables[0]
    place = {heading.text: column for column, heading in enumerate(table.headings)}
    assert {row[place["p, untrained"]].text for row in table.rows} == {"-"}
    assert "cannot be under 1/2" in table.headings[place["p, untrained"]].meaning
    assert table.headings[place["r, untrained"]].meaning == "r of the one untrained network"
    assert re.fullmatch(r"-?[\d.]+", table.rows[-1][place["r, untrained"]].text)


def test_both_ends_of_r_are_said_and_no_layer_is_called_out_by_a_p_of_its_own(beside: Path) -> None:
    (part,) = built(beside).parts
    for one, asked in zip(part.compared, ({}, {"human": True}), strict=True):
        rows = psychophys.compare(psychophys.read(beside), **asked)
        r = rows[(rows["weights"] == "pretrained") & (rows["layer_index"] >= 0)]["r"]
        assert f"is {r.max():.2f} at most" in one.said[0]
        assert f"{r.min():.2f} at least" in one.said[0]
        assert not any("against turns" in line for line in one.said)
        assert any("allows for their number" in line for line in one.sources)


def test_a_shape_of_people_has_no_power_and_sources_are_cited(beside: Path) -> None:
    prior, people = built(beside).parts[0].compared
    assert "q" in {heading.text for heading in prior.tables[0].headings}
    assert "q" not in {heading.text for heading in people.tables[0].headings}
    assert "1,000 ImageNet photographs" in prior.sources[0]
    assert "Nat Neurosci 18:1509, doi:10.1038/nn.4105" in people.sources[0]


def test_what_is_shown_as_one_is_no_win() -> None:
    def two(value: float) -> list[Limit]:
        return [
            Limit("a", 0.021, 0.02099, 0.02101),
            Limit("a", 0.021 * value, 0.02099 * value, 0.02101 * value),
        ]

    rows = [("a", two(1.0003)), ("b", two(1.5)), ("c", two(0.5))]
    said = sentences_of("At 0", ["one", "two"], rows, "deg")[0]
    assert (
        "of 3 layers, one is finer in 1 (surely in 1) and two in 1 (surely in 1); in 1 the ratio is" in said
    )
    assert "one and two are as fine" in sentences_of("At 0", ["one", "two"], rows[:1], "deg")[0]


def test_the_finest_value_and_its_threshold_are_those_of_the_results(beside: Path) -> None:
    (part,) = built(beside).parts
    frame = psychophys.read(beside).to_pandas()
    rows = frame[(frame["weights"] == "pretrained") & (frame["layer"] == "fc")]
    best = rows.loc[rows["threshold"].idxmin()]
    wanted = (
        f"in fc, the last layer, finest at {best['value']:g} deg, threshold {digits(best['threshold'])} ("
    )
    assert any(wanted in line for line in part.found)


@pytest.mark.parametrize("name", ["two.parquet", "hue.parquet"])
def test_the_picture_is_the_stimulus_that_was_shown(name: str, folder: Path) -> None:
    (part,) = built(folder / name).parts
    assert part.shown is not None
    data = base64.b64decode(part.shown.image.partition(",")[2])
    record = next(iter(psychophys.read(folder / name).runs.values()))
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)
    made = record["measurement"]
    fixed = {key: values[0] for key, values in made["parameters"].items()}
    middle = {made["dimension"]: sorted(made["values"])[len(made["values"]) // 2]}
    image = psychophys.STIMULI[made["stimulus"]].render({**fixed, **middle}, tuple(record["input_size"]))
    assert np.abs(picture / 255 - image[0].permute(1, 2, 0).numpy()).max() < 0.003


def test_words_are_those_of_explain(folder: Path) -> None:
    (part,) = built(folder / "two.parquet").parts
    words = dict(part.words)
    assert {"threshold", "relative noise", "jvp", "turns of the curve", "q", "pixels"} <= set(words)
    assert words["jvp"] == TERMS["jvp"]
    (hue,) = built(folder / "hue.parquet").parts
    assert "cardinal" not in dict(hue.words)


def test_the_steps_lead_to_this_page(folder: Path) -> None:
    steps = report(folder / "two.parquet", "My networks").steps
    lines = [line for step in steps for line in step.lines]
    assert lines[0].startswith("pip install")
    assert "psychophys measure --from two.parquet -o again.parquet" in lines
    assert lines[-1] == "psychophys report two.parquet --title 'My networks'"
    assert any("drawn with seed 0" in step.said for step in steps)


@pytest.mark.slow
def test_fifty_models_are_a_small_page(folder: Path, tmp_path: Path) -> None:
    results = psychophys.read(folder / "two.parquet")
    rows, runs = results.to_pandas(), results.runs
    own = rows[rows["run_id"] == rows["run_id"].iloc[0]]
    record = runs[own["run_id"].iloc[0]]
    values = np.linspace(0, 175, 36)
    dense = own[own["value"] == own["value"].min()]
    parts = []
    for model in range(50):
        for value in values:
            sensitivity = dense["sensitivity"] * (1 + 0.3 * np.cos(np.deg2rad(2 * value + model)))
            parts.append(
                dense.assign(
                    run_id=f"{model:016x}",
                    model=f"model{model}",
                    value=value,
                    sensitivity=sensitivity,
                    threshold=1 / sensitivity,
                )
            )
    frame = pd.concat(parts).sort_values(["run_id", "layer_index", "value"])
    made = {**record["measurement"], "values": list(values)}
    every = {f"{m:016x}": {**record, "model": f"model{m}", "measurement": made} for m in range(50)}
    table = pa.Table.from_pandas(frame, schema=psychophys.Results.schema, preserve_index=False)
    psychophys.Results(table, every).write(tmp_path / "fifty.parquet")
    found = report(tmp_path / "fifty.parquet")
    assert len(found.parts[0].models) == 50
    assert len(render(found)) < 3_000_000


ERRORS = {
    "missing.parquet": "is not a file or a directory",
    "other.parquet": "a Parquet file of another program",
    "text.parquet": "a file of another program",
    "fisher.parquet": "a file of Fisher matrices, and has no measurements to report",
    "nothing": "holds no results",
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_has_no_report_is_said_in_a_line(name: str, folder: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(folder / "other.parquet")
    (folder / "text.parquet").write_text("words")
    (folder / "nothing").mkdir(exist_ok=True)
    done = call_inside("report", name, "-o", "no.html", cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.decode().splitlines()) == 1
    assert ERRORS[name] in done.stderr.decode()
    assert not (folder / "no.html").exists()


def test_another_file_is_kept_and_a_report_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.html").write_text("<p>mine</p>")
    with pytest.raises(UsageError, match=r"holds something else.*--force"):
        page.check_page(tmp_path / "notes.html")
    page.check_page(tmp_path / "notes.html", force=True)
    page.write(built(folder / "one.parquet"), tmp_path / "notes.html")
    page.check_page(tmp_path / "notes.html")
    with pytest.raises(UsageError, match=r"End it in \.html"):
        page.check_page(tmp_path / "notes.txt")


def test_a_pipe_gets_the_page_and_a_title_is_escaped(folder: Path) -> None:
    done = call_inside("report", "one.parquet", "-o", "-", "--title", "<b>&", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert text.lower().startswith("<!doctype html>")


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVE = """
<script>
const heading = document.querySelector("#part1-values thead th:nth-child(2)");
const rows = () => [...document.querySelectorAll("#part1-values tbody tr")];
const read = () => rows().map((row) => row.cells[1].dataset.value);
const out = { lines: [document.querySelectorAll(".chart circle").length] };
heading.querySelector("button").click();
out.sorted = [heading.getAttribute("aria-sort"), read()];
const choice = document.querySelector(".at select");
choice.value = "0";
choice.dispatchEvent(new Event("change"));
out.chosen = [document.querySelector("#part1-values caption").textContent, read().sort()];
const layer = [...document.querySelectorAll(".layers input")].find((one) => !one.checked);
layer.click();
out.lines.push(document.querySelectorAll(".chart circle").length);
document.title = JSON.stringify(out);
</script></body>
"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome to look at the page with")
def test_a_browser_sorts_chooses_a_value_and_picks_layers(folder: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    results = psychophys.read(folder / "hue.parquet")
    file = tmp_path / "driven.html"
    file.write_text(text_of(folder / "hue.parquet").replace("</body>", DRIVE))
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}",
         "--enable-logging=stderr", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    out = json.loads(html.unescape(re.findall(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[0]))
    order, values = out["sorted"]
    assert order == "ascending"
    assert [float(one) for one in values] == sorted(map(float, values))
    caption, values = out["chosen"]
    frame = results.to_pandas()
    assert caption == "Thresholds at hue 0 deg, in deg"
    assert sorted(map(float, values)) == sorted(frame[frame["value"] == 0]["threshold"])
    before, after = out["lines"]
    assert after == before + frame["value"].nunique()
