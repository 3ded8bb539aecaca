"""A zoo at full length: as many models as timm has pretrained tags, from a slow hub, killed twice.

    python benchmarks/zoo.py [--models 1826] [--jobs 2] [-o zoo.csv]

The models are timm's small test networks under other names (random weights, real files), served by a hub on
this machine over a line of ``--line`` MB/s for each download. One sweep measures them with weights fetched
ahead and a limit on the cache; its process group is killed at a third and at two thirds, and begun again.
What is checked: every model is measured once, and as its network is alone; nothing is fetched a second time
beyond what a kill cut; the cache keeps to its limit. The table says how long it took, and of what.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import timm
import torch

import psychophys

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from local_hub import LocalHub, local_hub

ARCHITECTURES = (
    *("test_byobnet", "test_convnext", "test_convnext2", "test_efficientnet", "test_efficientnet_ln"),
    *("test_mambaout", "test_nfnet", "test_resnet", "test_vit", "test_vit2", "test_vit3", "test_vit4"),
)
PLAN = ["--values", "2", "--phases", "1", "--device", "cpu", "-q"]
LIMIT_BYTES = 50_000_000


def make_networks(root: Path) -> dict[str, Path]:
    for seed, architecture in enumerate(ARCHITECTURES):
        torch.manual_seed(seed)
        network = timm.create_model(architecture)
        timm.models.save_for_hf(network, root / architecture, safe_serialization=True)
    return {architecture: root / architecture for architecture in ARCHITECTURES}


def cached_bytes(home: Path) -> int:
    total = 0
    for place, _, names in os.walk(home):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink() and path.exists():
                total += path.stat().st_size
    return total


def stages(command: list[str], folder: Path, n_models: int, environment: dict[str, str]) -> Iterator[dict]:
    """Run it thrice, killed at a third and at two thirds; what each took."""
    for name, until in (("first", n_models // 3), ("second", 2 * n_models // 3), ("last", n_models + 1)):
        before, began, most = len(list((folder / "out").glob("*.parquet"))), time.perf_counter(), 0
        process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
        while process.poll() is None and len(list((folder / "out").glob("*.parquet"))) < until:
            most = max(most, cached_bytes(folder / "home"))
            time.sleep(0.5)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        seconds = time.perf_counter() - began
        done = len(list((folder / "out").glob("*.parquet"))) - before
        yield {"stage": name, "models": done, "seconds": round(seconds, 1), "largest_cache_mb": most / 1e6}
    assert process.returncode == 0, process.returncode


def check(folder: Path, hub: LocalHub, names: dict[str, str], kills: int) -> int:
    """Everything once, and right; return how many were fetched a second time."""
    frame = pd.read_parquet(folder / "out")
    frame["architecture"] = frame["model"].str.removeprefix("hf-hub:").map(names)
    assert frame["model"].nunique() == len(names) == len(list((folder / "out").glob("*.parquet")))
    assert not frame.duplicated(["model", "layer", "value"]).any()
    alike = frame.groupby(["architecture", "layer", "value"])["fisher_information"]
    assert (alike.min() == alike.max()).all()
    for architecture, rows in frame.groupby("architecture"):
        path = folder / "networks" / str(architecture)
        alone = psychophys.measure(f"local-dir:{path}", values=2, parameters={"phase": 1}, device="cpu")
        mine = rows[rows["model"] == rows["model"].iloc[0]].sort_values(["layer_index", "value"])
        theirs = alone.to_pandas().sort_values(["layer_index", "value"])
        difference = mine["fisher_information"].to_numpy() / theirs["fisher_information"].to_numpy() - 1
        assert abs(difference).max() < 1e-3, (architecture, abs(difference).max())
    again = sum(hub.sent[name] > 1.01 * hub.size(name) for name in names)
    assert again <= 16 * kills, again
    return again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=int, default=1826)
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--line", type=float, default=5, help="MB/s of a download.")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        networks = make_networks(folder / "networks")
        count = len(ARCHITECTURES)
        names = {f"zoo/net-{i:04d}": ARCHITECTURES[i % count] for i in range(arguments.models)}
        (folder / "zoo.txt").write_text("".join(f"hf-hub:{name}\n" for name in names))
        with local_hub({n: networks[a] for n, a in names.items()}, arguments.line * 1e6) as hub:
            environment = {**os.environ, **hub.environment, "HF_HOME": str(folder / "home")}
            command = [sys.executable, "-m", "psychophys", "sweep", "--models-file", "zoo.txt", *PLAN]
            command += ["--jobs", arguments.jobs, "--prefetch", "8", "--cache-limit", str(LIMIT_BYTES)]
            rows = list(stages([*command, "-o", "out"], folder, len(names), environment))
            again = check(folder, hub, names, kills=2)
            began = time.perf_counter()
            show = [sys.executable, "-m", "psychophys", "show", "out", "--top", "3"]
            subprocess.run(show, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            shown = time.perf_counter() - began
        runs = psychophys.read(folder / "out").runs.values()
        measuring = sum(run["seconds"] for run in runs)
    table = pd.DataFrame(rows)
    table["largest_cache_mb"] = table["largest_cache_mb"].round(1)
    print(table.to_string(index=False))
    total = table["seconds"].sum()
    print(f"{total:.0f} s in all, {measuring:.0f} s of measuring; {again} fetched again; show {shown:.1f} s")
    if arguments.output:
        extra = {"measuring_seconds": round(measuring, 1), "show_seconds": round(shown, 1)}
        table = table.assign(jobs=arguments.jobs, fetched_again=again, **extra)
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
