# ruff: noqa: E501 - a command is a line
"""A record of numbers: what many runs of every command give, so that a change of the code can be held to it.

    python benchmarks/record.py write     # run everything, write benchmarks/record.json
    python benchmarks/record.py write learn     # write the runs whose name begins so, and keep the others
    python benchmarks/record.py check     # run everything again and compare; exit code 1 where numbers differ
    python benchmarks/record.py check simulate fisher     # only the runs whose name begins so

Every column of every table is kept as a digest of its bits, its length and its mean. On the machine that wrote
the record, with one thread, all runs are the same bit for bit; elsewhere means agree to rounding.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

RECORD = Path(__file__).with_name("record.json")
TOLERANCE = 1e-3
"""Of a column's mean, elsewhere than where the record was written."""
SMALL = "test_resnet --weights random"

RUNS: dict[str, str] = {
    # Every noise model, on the embedded network.
    "measure-relative": "measure --layers blocks.* --values 6 --phases 2",
    "measure-gaussian": "measure --noise gaussian --noise-level 2 --values 4 --phases 2 --layers blocks.3,blocks.5",
    "measure-poisson": "measure --noise poisson --noise-option rectify=1 --layers blocks.5 --values 4 --phases 2",
    "measure-poisson-negative": "measure --noise poisson --layers blocks.5,classifier --values 3 --phases 2",
    "measure-input": "measure --noise input --layers conv_stem,blocks.0 --values 2 --phases 1",
    "measure-empirical": "measure --noise empirical --layers blocks.3,blocks.5 --phases 8 --values 3",
    "measure-empirical-drawn": "measure --noise empirical --noise-option shrinkage=0.2 --stimulus noise --set "
    f"sample=0,1,2,3,4,5,6,7 --values 3 {SMALL}",
    "measure-differential": f"measure --noise-option differential=0.01 --values 5 --phases 8 {SMALL}",
    # Every estimator.
    "measure-central": f"measure --estimator central --values 6 --phases 3 {SMALL}",
    "measure-chained": f"measure --estimator chained --values 12 --phases 3 {SMALL}",
    "measure-central-poisson": f"measure --estimator central --noise poisson --noise-option rectify=1 {SMALL} "
    "--values 4 --phases 2",
    "measure-central-empirical": f"measure --estimator central --noise empirical --values 3 {SMALL}",
    # Every stimulus, and a few dimensions.
    "measure-grating": f"measure --stimulus grating --values 6 {SMALL}",
    "measure-plaid": f"measure --stimulus plaid --dimension angle --values 5 --phases 2 {SMALL}",
    "measure-noise": f"measure --stimulus noise --values 6 {SMALL}",
    "measure-patch": f"measure --stimulus patch --values 24 {SMALL}",
    "measure-patch-lch": f"measure --stimulus patch-lch --values 24 {SMALL}",
    "measure-image": f"measure --stimulus image --values 4 {SMALL}",
    "measure-image-band": f"measure --stimulus image-band --values 4 {SMALL}",
    "measure-masked": f"measure --stimulus masked --values 0.0,0.1 --phases 2 {SMALL}",
    "measure-surround": f"measure --stimulus surround --values 0.1,0.5 --phases 2 {SMALL}",
    "measure-vernier": f"measure --stimulus vernier --values 3 --phases 2 {SMALL}",
    "measure-isoluminant": f"measure --stimulus isoluminant --dimension direction --values 6 --phases 2 {SMALL}",
    "measure-display": f"measure --display srgb --dimension size --values 3 --phases 2 {SMALL}",
    "measure-contrast": f"measure --dimension contrast --set orientation=0,45 --phases 2 --values 4 {SMALL}",
    "measure-position": f"measure --dimension x --values 3 --phases 6 {SMALL}",
    # Settings that change numbers.
    "measure-preset": f"measure --preset benjamin2022 --values 6 --phases 2 {SMALL}",
    "measure-preset-hue": "measure --preset benjamin2022 --dimension hue --values 12 --set saturation=0.5,0.9 "
    f"--set value=0.7 {SMALL}",
    "measure-precision": f"measure --until-precision 20% --phases 8 --values 3 {SMALL}",
    "measure-variants": "measure test_resnet test_vit2 --weights random,random --seed 3 --values 3 --phases 2",
    "measure-untrained": "measure test_resnet --weights random --seeds 4 --values 8 --phases 2",
    "measure-shuffled": "measure --weights shuffled --seed 1 --layers blocks.5 --values 4 --phases 2",
    "measure-float64": f"measure --dtype float64 --dprime 0.954 --confidence 0.9 --values 4 {SMALL}",
    "measure-all": f"measure --layers all --values 3 --phases 2 {SMALL}",
    "measure-compared": "measure --weights pretrained --layers blocks.*,classifier --values 36 --phases 1",
    "measure-hues": f"measure --stimulus patch --values 36 {SMALL}",
    **{
        f"measure-csf-{f}": f"measure --dimension contrast --noise gaussian --values 0.1,0.3 --frequencies {f} "
        f"--phases 2 {SMALL}"
        for f in (3, 6, 12, 24)
    },
    "fisher-default": "fisher --values 4 --layers blocks.3,blocks.5 --phases 2",
    "fisher-frequencies": f"fisher --values 3 --frequencies 2.24,4.48,8.96 --phases 2 {SMALL}",
    "fisher-three": f"fisher --dimensions x,y,size --values 1 --set orientation=0,45 --phases 2 {SMALL}",
    "fisher-gaussian": f"fisher --noise gaussian --noise-level 0.5 --values 3 --phases 2 {SMALL}",
    "fisher-poisson": f"fisher --noise poisson --noise-option rectify=1 --values 3 --phases 2 {SMALL}",
    "fisher-poisson-negative": f"fisher --noise poisson --values 3 --phases 2 {SMALL}",
    "fisher-central": f"fisher --estimator central --values 3 --phases 2 {SMALL}",
    "fisher-hue": f"fisher --dimensions hue,saturation --values 6 --set saturation=0.5 {SMALL}",
    "fisher-image": f"fisher --stimulus image --dimensions rotation,zoom --values 3 --set sample=0,1 {SMALL}",
    "fisher-shuffled": "fisher test_vit2 --weights random --seed 2 --values 3 --phases 2",
    "fisher-float64": f"fisher --dtype float64 --dprime 2 --values 3 --phases 2 {SMALL}",
    "fisher-pixels": f"fisher --dimensions pixels --images astronaut --layers fc {SMALL}",
    "fisher-all": f"fisher --layers all --values 2 --phases 1 {SMALL}",
    "tune-small": f"tune --values 6 --places 2 --population 8 {SMALL}",
    "distort-small": "distort camera test_resnet --weights random --layers layer4,fc --steps 10 --human",
    "battery-small": f"battery --references heeley*,foley-1994,castlecsf* {SMALL}",
    "simulate-default": "simulate --layers blocks.5,classifier --values 2 --phases 1",
    "simulate-phases": f"simulate --values 3 --phases 3 {SMALL}",
    "simulate-single": f"simulate --task single --values 3 --phases 1 {SMALL}",
    "simulate-trained": f"simulate --read-out trained --training-trials 200 --values 3 --phases 1 {SMALL}",
    "simulate-trained-poisson": "simulate --read-out trained --noise poisson --noise-option rectify=1 --values 2 "
    f"--phases 1 {SMALL}",
    "simulate-poisson": f"simulate --noise poisson --noise-option rectify=1 --values 3 --phases 1 {SMALL}",
    "simulate-negative": f"simulate --noise poisson --values 2 --phases 1 {SMALL}",
    "simulate-gaussian": f"simulate --noise gaussian --noise-level 0.1 --values 3 --phases 1 {SMALL}",
    "simulate-level": f"simulate --noise-level 0.1 --dprime 1.5 --values 3 --phases 1 {SMALL}",
    "simulate-central": f"simulate --estimator central --values 3 --phases 1 {SMALL}",
    "simulate-differential": f"simulate --noise-option differential=1 --values 3 --phases 1 {SMALL}",
    "simulate-seed": f"simulate --trial-seed 5 --trials 500 --stimulus patch --values 4 {SMALL}",
    "simulate-check": "simulate --check measure-relative.parquet --layers blocks.5 --values 2",
    "compare-default": "compare measure-compared.parquet",
    "compare-few": "compare measure-relative.parquet",
    "compare-literature": "compare measure-compared.parquet --prior wei-stocker-2015",
    "compare-scale": "compare measure-compared.parquet --scale 1.5",
    "compare-untrained": "compare measure-untrained.parquet",
    "compare-human": "compare measure-compared.parquet --human",
    "compare-hue": "compare measure-hues.parquet",
    "compare-hue-human": "compare measure-hues.parquet --human",
    "compare-lch": "compare measure-patch-lch.parquet",
    "compare-noise": "compare measure-noise.parquet",
    "compare-contrast": "compare measure-contrast.parquet",
    "compare-csf": "compare csf --human --pixels-per-degree 40",
    "compare-file": "compare measure-compared.parquet --prior statistics-plain.parquet",
    "statistics-plain": "statistics photographs",
    "statistics-turned": "statistics photographs --rotate 45",
    "statistics-seed": "statistics photographs --seed 3 --title some",
    "statistics-file": "statistics photographs/0.png photographs/1.png",
    "learn-linear": "learn linear --quick",
    "learn-linear-uniform": "learn linear --quick --init uniform --depths 2 --seed 1",
    "learn-supervised": "learn supervised --quick",
    "learn-supervised-one": "learn supervised --quick --conditions frequency --seed 2",
    "learn-autoencoder": "learn autoencoder --quick --steps 30 --runs 1",
    "learn-classifier": "learn classifier --quick --steps 40 --runs 1",
    "learn-rearing": "learn rearing --quick --runs 1",
    "sweep-small": "sweep test_resnet test_vit --weights random --engine serial --values 3 --phases 2",
}


def first_things_first(names: list[str]) -> list[str]:
    """Comparisons and checks read files that other runs write."""
    late = ("compare", "simulate-check")
    return [n for n in names if not n.startswith(late)] + [n for n in names if n.startswith(late)]


def run(name: str, command: str, folder: Path) -> dict[str, Any]:
    """One command in this process, and what its tables hold."""
    from psychophys.cli import main  # noqa: PLC0415

    output = folder / (f"{name}" if name.startswith("sweep") else f"{name}.parquet")
    error = io.StringIO()
    before, sys.argv = sys.argv, ["psychophys", *shlex.split(command), "-q", "-o", str(output)]
    try:
        with contextlib.redirect_stderr(error), contextlib.suppress(SystemExit):
            main()
    finally:
        sys.argv = before
    if not output.exists():
        return {"error": error.getvalue().strip()}
    files = sorted(output.glob("*.parquet")) if output.is_dir() else [output]
    files += [modes] if (modes := output.with_name(f"{name}-modes.parquet")).exists() else []
    found: dict[str, Any] = {"files": [file.name.removeprefix(name) for file in files]}
    for frame in map(pd.read_parquet, files):
        for column in frame:
            found.setdefault("columns", {}).setdefault(str(column), []).append(digest(frame[column]))
        found.setdefault("run_ids", []).extend(map(str, dict.fromkeys(frame.get("run_id", []))))
    return found


def digest(column: pd.Series) -> list[Any]:
    """A column's bits, length and mean."""
    if any(isinstance(value, np.ndarray) for value in column):
        return digest(column.explode().astype(float))
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    finite = numbers[np.isfinite(numbers)]
    number = pd.api.types.is_numeric_dtype(column)
    content = numbers.tobytes() if number else json.dumps([str(v) for v in column]).encode()
    mean = float(np.abs(finite).mean()) if number and len(finite) else None
    return [hashlib.sha256(content).hexdigest()[:16], len(column), mean]


def photographs(folder: Path) -> None:
    """A few pictures with edges of all orientations and colours."""
    from PIL import Image  # noqa: PLC0415

    generator = np.random.default_rng(0)
    folder.mkdir()
    for place in range(6):
        small = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((320, 280), Image.Resampling.BICUBIC).save(folder / f"{place}.png")


def make(names: list[str]) -> dict[str, Any]:
    """Run them all in a folder of their own."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, here = Path(temporary), Path.cwd()
        photographs(folder / "photographs")
        os.chdir(folder)
        try:
            for name in first_things_first(names):
                found[name] = run(name, RUNS[name], folder)
                print(name, found[name].get("error", ""), file=sys.stderr, flush=True)
                if name.startswith("measure-csf"):
                    (folder / "csf").mkdir(exist_ok=True)
                    os.link(folder / f"{name}.parquet", folder / "csf" / f"{name}.parquet")
        finally:
            os.chdir(here)
    return found


def differences(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What is not as it was: a line each. Columns that were added are no difference."""
    if "columns" not in old or "columns" not in new:
        return [] if old == new else [f"{name}: {old.get('error')} -> {new.get('error')}"]
    said = [f"{name}: {key}" for key in ("files", "run_ids") if old[key] != new[key]]
    for column, parts in old["columns"].items():
        for was, now in zip(parts, new["columns"].get(column, [["", 0, None]] * len(parts)), strict=True):
            if was[0] != now[0]:
                same = was[1] == now[1] and was[2] and now[2] and abs(now[2] / was[2] - 1) < TOLERANCE
                said.append(f"{name}: {column} {was[1:]} -> {now[1:]}{' (rounding)' if same else ''}")
    return said


def needed(prefixes: list[str]) -> list[str]:
    """The runs whose names begin so, and those whose files they read."""
    chosen = [name for name in RUNS if not prefixes or name.startswith(tuple(prefixes))]
    read = " ".join(RUNS[name] for name in chosen)
    return [n for n in RUNS if n in chosen or f"{n}.parquet" in read or ("csf" in n and " csf " in read)]


def main() -> None:
    """Write the record, or check against it."""
    verb, *prefixes = sys.argv[1:] or ["check"]
    found = make(needed(prefixes))
    if verb == "write":
        kept = json.loads(RECORD.read_text()) if prefixes else {}
        RECORD.write_text(json.dumps({name: (kept | found)[name] for name in RUNS}, indent=0) + "\n")
        return
    kept = json.loads(RECORD.read_text())
    said = [line for name, new in found.items() for line in differences(name, kept.get(name, {}), new)]
    print("\n".join(said) or f"{len(found)} runs as recorded, bit for bit")
    sys.exit(any(not line.endswith("(rounding)") for line in said))


if __name__ == "__main__":
    main()
