"""Tables in notebooks: HTML, parts by name, arrays, copies that are sent elsewhere."""

import operator
import pickle
import sys

import numpy as np
import pytest

import psychophys
from psychophys import Results, UsageError
from psychophys.comparison.table import Comparison


@pytest.fixture(scope="module")
def results() -> Results:
    options = {"weights": "random", "values": [0, 45, 90], "parameters": {"phase": [0, 90]}}
    parts = [psychophys.measure(name, **options) for name in ("test_resnet", "test_vit")]
    return psychophys.concat(parts)


def test_html_says_once_what_is_the_same_and_shows_the_rest(results: Results) -> None:
    one = results["test_resnet"]["fc"]
    text = one._repr_html_()
    assert "results file: 3 rows" in text
    assert "model test_resnet" in text.partition("<table")[0]
    table = text.partition("<table")[2]
    assert "test_resnet" not in table
    assert table.count("<tr") == 4
    assert "<th>threshold</th>" in table
    assert "test_vit" in results._repr_html_()


def test_html_is_escaped(results: Results) -> None:
    frame = results["fc"].to_pandas().assign(model="<b>net</b>")
    assert "<b>net" not in Comparison(frame.assign(prior="p"))._repr_html_()


def test_a_part_is_taken_by_the_name_of_a_layer_or_a_model(results: Results) -> None:
    part = results["test_vit"]
    assert set(part.to_pandas()["model"]) == {"test_vit"}
    assert len(part.runs) == 1
    assert part.runs.items() <= results.runs.items()
    assert set(part["blocks.0"].to_pandas()["layer"]) == {"blocks.0"}
    for wrong in ("blocks.00", 0):
        with pytest.raises(UsageError, match=f"layer or model '{wrong}'"):
            operator.getitem(results, wrong)
    with pytest.raises(TypeError, match="to_pandas"):
        list(results)


def test_a_table_is_pickled(results: Results) -> None:
    again = pickle.loads(pickle.dumps(results))
    assert type(again) is Results
    assert again.table.equals(results.table)
    assert again.runs == results.runs


def test_arrays_hold_the_rows(results: Results) -> None:
    pytest.importorskip("xarray")
    one = results["test_resnet"]
    array = one.to_xarray()
    assert array["threshold"].dims == ("layer", "value")
    frame = one.to_pandas()
    assert list(array["layer"].values) == list(frame["layer"].unique())
    for row in frame.to_dict("records"):
        there = array.sel(layer=row["layer"], value=row["value"])
        assert np.array_equal(there["sensitivity"], row["sensitivity"], equal_nan=True)
    assert array["threshold"].attrs["units"] == "deg"
    assert array["sensitivity"].attrs["units"] == "1/deg"
    both = results.to_xarray()
    assert both["threshold"].dims == ("run_id", "layer", "value")
    run = next(iter(results["test_vit"].runs))
    assert both["threshold"].sel(run_id=run).notnull().any()
    assert both["threshold"].sel(run_id=run, layer="fc").isnull().all()


def test_several_dimensions_are_no_array(results: Results) -> None:
    pytest.importorskip("xarray")
    other = psychophys.measure("test_resnet", weights="random", dimension="contrast", values=2)
    with pytest.raises(UsageError, match="2 stimuli and dimensions"):
        psychophys.concat([results, other]).to_xarray()


def test_without_xarray_it_is_said_what_to_install(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(UsageError, match="xarray is not installed"):
        results.to_xarray()
