"""Any command line ends well: in what was asked for, or in one line that says what was wrong."""

import contextlib
import functools
import io
import json
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.main import get_command

import psychophys
from psychophys.cli import main
from psychophys.cli.app import app
from psychophys.learning.experiments import EXPERIMENTS
from psychophys.learning.linear.patches import draw_patches
from psychophys.observers.imports import import_modules
from psychophys.observers.load import load
from psychophys.observers.names import Job
from psychophys.observers.observer import Observer
from psychophys.sweeps.engines import Processes, Serial

TOY_MODELS = '''
"""Networks of a few weights: one as usual, one that sees nothing, one that gives infinity."""
from collections import OrderedDict
from timm.models import register_model
from torch import nn
def register(name, scale):
    def make(pretrained=False, **_):
        net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 5, stride=4), relu=nn.ReLU()))
        net.conv.weight.data *= scale
        net.pool, net.again, net.flat, net.fc = nn.AvgPool2d(7), net.relu, nn.Flatten(), nn.Linear(4, 3)
        net.pretrained_cfg = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        return net
    make.__name__ = name
    register_model(make)
for name, scale in {"toy_net": 1, "toy_dead": 0, "toy_endless": 1e38}.items():
    register(name, scale)
'''
FILES = {
    "toy_models.py": TOY_MODELS,
    "run.toml": '[[measurement]]\nvalues = 2\n[[measurement.observer]]\nmodel = "toy_net"\n',
    "broken.py": "raise ValueError('no\\nnetwork')",
    "exits.py": "raise SystemExit(7)",
    "names.txt": "toy_net  # as usual\n\ntoy_d*\n",
    "hollow/config.json": "{}",
    **dict.fromkeys(("text.parquet", "broken/text.parquet"), "not Parquet"),
    "zero.parquet": "",
    **{f"swept/_sweep/failed/{i}.json": text for i, text in enumerate(("[1]", "{}", "null", "{"))},
}
MADE = (
    "measure toy_net --weights random --values 4 --phases 1 -o toy.parquet",
    "measure toy_dead toy_endless --weights random --values 2 --phases 1 -o dead.parquet",
    "measure toy_net --weights random --stimulus patch --values 8 -o ring.parquet",
    "measure toy_net --checkpoint step_?.pth --values 2 --phases 1 -o steps.parquet",
    "sweep toy_* hf-hub:no/such --weights random --values 2 --phases 1 -o swept --engine serial",
)
"""What lies in the folder: files, and what these command lines leave."""
LONG, ODD, HUGE = "9" * 5000, "z\u00e9bra\n\U0001f993", str(10**30)
LONGEST_NAME = "x" * 247 + ".parquet"  # That a file system takes.
SHORT_FOR = {"LONG": LONG, "ODD": ODD, "HUGE": HUGE, "FULL": LONGEST_NAME, "2^63": str(2**63)}
NOT_INTEGER = "'' x 1.5 nan LONG ODD"
NOT_POSITIVE = "'' x 0 -1 nan inf -inf 1e308 1e-308 ODD"
JUNK = "nonsense LONG ODD"

VALUES = {
    "measure models": "toy_net toy_net toy_net toy_net toy_dead toy_endless test_resnet hf-hub:no/such"
    " hf-hub: hf_hub:\u00e9 local-dir:hollow test_vit.r160_in1k"
    f" | '' toy_nte toy_net.tag test_vit. toy_* local-dir: local-dir:missing -1 {JUNK}",
    "sweep patterns": "toy_* toy_* toy_net toy_[dn]* toy_?e* test_resnet hf-hub:no/such local-dir:hollow"
    f" | '' [ none_* toy_*.* toy_nte local-dir: -1 {JUNK}",
    "layers model": f"toy_net toy_dead test_vit local-dir:hollow | '' toy_nte toy_* local-dir: {JUNK}",
    "check model": f"toy_net toy_dead test_vit local-dir:hollow | '' toy_nte toy_* local-dir: {JUNK}",
    "models pattern": f"* toy_* resnet*.a1* '' test_[rv]* | [ none* *.*.* {JUNK}",
    "stimuli name": f"gabor noise patch-lch gabor-benjamin2022 | '' gabr {JUNK}",
    "explain word": f"threshold RATIO threshold_low J q r | '' ratio_lst {JUNK}",
    "show path": "toy.parquet steps.parquet dead.parquet swept | '' . text.parquet zero.parquet other.parquet"
    f" bare.parquet empty.parquet folder.parquet pipe.parquet missing.parquet names.txt/x broken {JUNK}",
    "statistics images": "photo.png photo.png shots shots . names.txt folder.parquet | missing.png"
    f" list.pth/x {JUNK}",
    "compare results": "toy.parquet dead.parquet ring.parquet"
    f" | '' . text.parquet empty.parquet swept/none missing.parquet {JUNK}",
    "report path": "toy.parquet steps.parquet dead.parquet ring.parquet swept"
    " | '' . text.parquet zero.parquet other.parquet bare.parquet empty.parquet folder.parquet pipe.parquet"
    f" missing.parquet broken {JUNK}",
    "report --title": "words ODD | '' ' '",
    "report --output": "r.html \u00fc.html - | '' . r r.txt no/r.html names.txt/r.html LONG.html",
    "plot results": f"toy.parquet ring.parquet swept | '' . zero.parquet other.parquet {JUNK}",
    "versus results": "toy.parquet dead.parquet steps.parquet"
    f" | '' . text.parquet empty.parquet swept/none missing.parquet {JUNK}",
    "versus other": "toy.parquet ring.parquet dead.parquet swept"
    f" | '' . zero.parquet other.parquet bare.parquet {JUNK}",
    "versus --output": "r.parquet r.csv - | '' . no/x.parquet pipe.parquet x.txt",
    "versus --confidence": f"0.95 0.5 0.999 | 0 1 -1 nan inf 1e308 '' x {JUNK}",
    "spec path": "toy.parquet steps.parquet dead.parquet swept run.toml | '' . text.parquet zero.parquet"
    f" other.parquet bare.parquet empty.parquet folder.parquet missing.parquet names.txt names.txt/x {JUNK}",
    "--from": "toy.parquet steps.parquet run.toml swept | '' . text.parquet zero.parquet other.parquet"
    f" bare.parquet empty.parquet names.txt missing.parquet {JUNK}",
    "--rotate": f"0 45 -30.5 1e6 | '' nan inf x {JUNK}",
    "--title": "'' words LONG ODD |",
    "--prior": f"imagenet-sample wei-stocker-2015 | '' imagenet toy.parquet missing.parquet . {JUNK}",
    "--scale": f"1 1.5 | 0 -1 nan 2 '' x {JUNK}",
    "--reference": f"wei-stocker-2015 ciede2000 cielab | '' wei {JUNK}",
    "--pixels-per-degree": f"1 40 100.5 10000 | '' x 0 -1 0.5 nan inf 1e308 {JUNK}",
    "--display": f"benjamin2022 desktop srgb | '' Desktop {JUNK}",
    "--luminance-cd-m2": f"80 0.5 1e6 | '' x 0 -1 nan inf 1e308 {JUNK}",
    "--gamma": f"linear srgb | '' sRGB 2.2 {JUNK}",
    "--size": f"column page talk | '' Page 7 {JUNK}",
    "--figure": "f.png f.svg f.pdf | '' . f f.jpg no/f.png names.txt/f.png",
    "statistics --output": "out.parquet out.csv - | '' . no/x.parquet pipe.parquet x.txt",
    "statistics --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "statistics --seed": f"0 1 HUGE | -1 {NOT_INTEGER}",
    "compare --output": "c.parquet c.csv - | '' . no/x.parquet pipe.parquet x.txt",
    "plot --output": "p.png p.svg p.pdf | '' . p p.jpg no/p.png folder.parquet",
    "--images": f"photo.png shots text.parquet empty '' | missing {JUNK}",
    "--weights": "random random random pretrained shuffled random,shuffled ' random' random,random"
    f" | '' , random, RANDOM {JUNK}",
    "--checkpoint": "toy.pth toy.pth *.pth step_*.pth step_HUGE.pth text.parquet list.pth other.pth"
    f" | '' . missing.pth *.none [ pipe.parquet names.txt/x {JUNK}",
    "--seed": f"0 1 -1 -2^63 | 2^63 HUGE -HUGE {NOT_INTEGER}",
    "--seeds": f"1 2 | 0 -1 10001 HUGE {NOT_INTEGER}",
    "test model": f"toy_net toy_dead hf-hub:no/such | '' toy_nte toy_* local-dir: -1 {JUNK}",
    "--controls": f"random random,random ' random' shuffled | '' , pretrained RANDOM {JUNK}",
    "test --output": "tested swept a/b/c ODD | names.txt names.txt/x",
    "--stimulus": f"gabor grating plaid noise patch patch-lch image image-band '' | gabr {JUNK}",
    "--dimension": f"orientation hue contrast x phase size rotation blur '' | sample Orientation {JUNK}",
    "--values": "1 2 3 0,90 0.5 30,30 0:1:2 1:0:3 +2 0:180:1 1e-3, 0.1,0.2,0.4"
    " | '' 0 -1 , nan inf 0,1e308 a:b:c 0:180:3:4 0:180:0 0:180:-1 0:inf:3 0:1:nan 0:180:1e9 \u00b2 HUGE"
    f" 0:1:HUGE 0:1:99999999999999 99999999999999 {JUNK}",
    "--phases": f"1 2 0 0,90 45.5 -720:720:2 | '' , nan 1e308,0 a:b:c 0:360:-1 HUGE 0:1:HUGE {JUNK}",
    "--frequencies": f"4 1,8.5 1e-3 1:3:2 16.01 | '' 0 -1 nan inf 1e308 HUGE 1:2:HUGE {JUNK}",
    "--set": "contrast=0.5 contrast=0,1 size=0.3 luminance=0.5 x=0 sample=3 phase=2 saturation=1 angle=0"
    " chroma=0 orientation=45 frequency=1e4 sample=2147483648 sample=0.5 size=10 size=1e-3"
    " | '' = contrast =1 contrast= contrast=2 contrast=nan x=a size=0 y=inf phase=HUGE contrast=0:1:HUGE"
    f" contrast==1 {JUNK}",
    "--preset": f"benjamin2022 | '' benjamin {JUNK}",
    "--pooling": f"mean sum '' | average {JUNK}",
    "--layers": "all default * conv conv,fc relu@2 re* '' , [ none LONG ODD |",
    "--estimator": f"jvp central chained '' | jpv {JUNK}",
    "--noise": f"relative gaussian poisson empirical input '' | gausian {JUNK}",
    "--noise-option": "differential=1e-3 differential=0 rectify=1 floor=0.1 shrinkage=0.5 shrinkage=0"
    " response=0 iterations=2 tolerance=0.1 floor=-1 rectify=2"
    f" | '' = floor =1 floor= floor=a floor=0,1 differential=-1 differential=nan flor=1 {JUNK}",
    "--confidence": f"0.95 0.5 0.999 | 0 1 -1 nan inf 1e308 '' x {JUNK}",
    "--until-precision": f"50% 0.9 100% | 0 -5% 1 nan inf % '' x {JUNK}",
    "--check": f"toy.parquet dead.parquet | '' . text.parquet zero.parquet empty.parquet missing {JUNK}",
    "--task": f"2afc single | '' 3afc {JUNK}",
    "--read-out": f"ideal trained | '' best {JUNK}",
    "--trials": f"1 10 1000 | 0 -1 10001 HUGE {NOT_INTEGER}",
    "--training-trials": f"1 1000 | 0 -1 HUGE {NOT_INTEGER}",
    "--trial-seed": f"0 7 | -1 {NOT_INTEGER}",
    "simulate --output": "s.parquet s.csv s.jsonl - | '' . no/x.parquet pipe.parquet x.txt",
    "simulate --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "simulate models": f"toy_net toy_net toy_dead hf-hub:no/such | '' toy_nte toy_* local-dir: -1 {JUNK}",
    "--device": f"auto cpu cpu:7 | '' tpu meta cuda:99 cuda:-1 cpu: xla:0 cuda:HUGE {JUNK}",
    "--precision": f"exact bf16 tf32 | '' half {JUNK}",
    "--seed-noise": f"0 7 -1 -2^63 | 2^63 HUGE -HUGE {NOT_INTEGER}",
    "--dtype": f"float32 float64 | '' float16 {JUNK}",
    "--batch-size": f"1 3 64 HUGE | 0 -1 {NOT_INTEGER}",
    "--import": "toy_models.py ./toy_models.py json"
    f" | '' .. missing.py json.py broken.py exits.py folder.parquet text.parquet {JUNK}",
    **dict.fromkeys(("--step", "--noise-level", "--dprime"), f"1 1e-6 1e6 | {NOT_POSITIVE}"),
    **dict.fromkeys(
        (
            "--quiet",
            "--quick",
            "--provenance",
            "--append",
            "--force",
            "--human",
            "--by-depth",
            "--pool",
            "--pretrained",
            "--derivative",
            "--dry-run",
            "--largest-first",
            "--retry-failed",
        ),
        "|",
    ),
    "measure --output": "out.parquet out.csv out.jsonl - toy.parquet empty.parquet text.parquet \u00fc.csv"
    " FULL | '' . folder.parquet no/x.parquet names.txt/x.csv pipe.parquet LONG.csv xFULL",
    "measure --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "show --format": f"table csv json jsonl parquet | '' CSV {JUNK}",
    "fisher models": "toy_net toy_net toy_dead toy_endless test_resnet hf-hub:no/such"
    f" | '' toy_nte toy_* {JUNK}",
    "--dimensions": "orientation,frequency pixels x,y y,x,size ' phase , contrast' hue,value rotation,blur"
    f" x,luminance orientation,angle | '' , x x,x x, ,x sample,x x,Y LONG,x {JUNK}",
    "fisher --output": "out.parquet out.csv - toy.parquet | '' . no/x.parquet pipe.parquet",
    "battery models": f"toy_net toy_net toy_dead toy_endless hf-hub:no/such | '' toy_nte toy_* {JUNK}",
    "--references": "heeley* foley-1994,wei-stocker-2015 bradley-skottun-1987 macadam* modelfest"
    f" | '' , foly none* {JUNK}",
    "--thresholds": "t.parquet t.csv | '' . t.txt no/t.parquet pipe.parquet toy.parquet",
    "battery --output": "out.parquet out.csv out.jsonl - | '' . no/x.parquet pipe.parquet toy.parquet",
    "battery --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "distort image": "photo.png photo.png astronaut | '' . missing.png names.txt astronut"
    f" folder.parquet {JUNK}",
    "distort model": f"toy_net toy_net toy_dead toy_endless hf-hub:no/such | '' toy_nte toy_* {JUNK}",
    "distort --weights": f"random random pretrained shuffled | '' , random,random RANDOM {JUNK}",
    "--against": f"toy_net toy_dead test_resnet hf-hub:no/such | '' toy_nte toy_* {JUNK}",
    "--against-weights": f"random shuffled pretrained | '' , RANDOM {JUNK}",
    "--regularization": f"1 1e-3 100 | {NOT_POSITIVE}",
    "--count": f"1 2 | 0 -1 HUGE {NOT_INTEGER}",
    "--space": f"rgb luminance | '' grey {JUNK}",
    "distort --noise": f"relative gaussian | '' gausian poisson input {JUNK}",
    "distort --steps": f"2 5 9 | 0 1 -1 2001 HUGE {NOT_INTEGER}",
    "--tolerance": f"1e-3 0.5 | 1 0 -1 nan inf '' x {JUNK}",
    "--start-seed": f"0 7 | -1 HUGE {NOT_INTEGER}",
    "--at": f"norm threshold | '' Norm {JUNK}",
    "--rms": f"0.1 1 1e-6 | 0 -1 2 nan inf '' x {JUNK}",
    "distort --output": "out.parquet out.csv out.jsonl - | '' . no/x.parquet pipe.parquet toy.parquet",
    "distort --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "responses models": f"toy_net toy_net toy_dead toy_endless hf-hub:no/such | '' toy_nte toy_* {JUNK}",
    "--per": f"channel unit centre | '' units {JUNK}",
    "--units": "conv:0 conv:0-3,1 fc:2 relu*:0 ' conv:1 - 2' none:0 conv:4 conv:999999999999"
    f" | '' conv conv: :1 conv:-1 conv:3-1 conv:a conv:0-HUGE conv:0-99999999999 {JUNK}",
    "--most": f"1 3 HUGE | 0 -1 {NOT_INTEGER}",
    "--baseline": f"rectified signed | '' sign {JUNK}",
    "--places": f"0 1 2 | -1 HUGE {NOT_INTEGER}",
    "--diameters": f"4 0.1,0.2,0.5,0.9 | '' 0 1 3 -1 0.1,0.2 0.4,0.3,0.2,0.1 nan HUGE 1,2,3,40 {JUNK}",
    "--contrasts": f"4 0.1,0.2,0.5,1 | '' 0 1 3 -1 0.1,0.2 0.4,0.3,0.2,0.1 nan HUGE 1,2,3,4 {JUNK}",
    "--population": f"0 8 12 | -4 4 7 9 {NOT_INTEGER}",
    "tune models": f"toy_net toy_net toy_net toy_dead hf-hub:no/such | '' toy_nte toy_* local-dir: -1 {JUNK}",
    "tune --output": "out.parquet out.csv out.jsonl - | '' . no/x.parquet pipe.parquet toy.parquet",
    "tune --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "responses --output": "out.parquet out.csv out.jsonl - | '' . no/x.parquet pipe.parquet toy.parquet",
    "responses --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "fisher --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "sweep --output": "results swept broken . a/b/c names.txt names.txt/x LONG ODD '' |",
    "--models-file": f"names.txt | '' . missing zero.parquet other.parquet folder.parquet {JUNK}",
    "--exclude": "toy_d* *_net nothing '' [ * ODD LONG |",
    "--shard": f"1/1 1/2 2/2 3/9 | '' / 0/1 2/1 1/0 1 -1/2 a/b 1/2/3 LONG/1 1/LONG {JUNK}",
    "--engine": f"serial processes | ray '' {JUNK}",
    "--jobs": f"1 2 | 0 -1 {NOT_INTEGER}",
    "--prefetch": "0 2 99 | -1 x",
    "--cache-limit": "1kB 50GB 2TiB | '' 0 -1 lots 1e9",
    "--timeout": "0.1 1e308 inf | '' 0 -1 nan x",
    "--address": f"| '' auto {JUNK}",
    "--cpus": f"1 | 0 -1 2 HUGE {NOT_INTEGER}",
    "learn experiment": f"linear linear linear supervised autoencoder planted hue | '' liner Linear {JUNK}",
    "--conditions": f"frequency uniform,frequency upright first | '' , frequent {JUNK}",
    "--snapshots": f"2 3 | 0 1 -1 HUGE {NOT_INTEGER}",
    "--batch": f"16 33 | 0 -1 HUGE {NOT_INTEGER}",
    "learn --noise": "0 0.3 | -0.1 nan x ''",
    "paper panels": f"fig2 fig3 fig2-rotated planted all | '' fig7 {JUNK}",
    "paper --model": f"toy_net test_resnet hf-hub:no/such | '' toy_nte {JUNK}",
    "paper --output": "paper a/b |",
    "--network": f"test_resnet test_convnext | '' vit_tiny_patch16_224 resnt18 {JUNK}",
    "learn --task": f"rotation labels | '' rotate {JUNK}",
    "--depths": f"1 2 tied 1,tied ' 3 , 1' 1, | '' , 4 0 1;2 {JUNK}",
    "--runs": f"1 2 | 0 -1 HUGE {NOT_INTEGER}",
    "learn --seed": f"0 7 | -1 HUGE {NOT_INTEGER}",
    "--patch": f"8 9 12 | 7 33 0 -1 HUGE {NOT_INTEGER}",
    "--init": f"balanced uniform | '' balancd {JUNK}",
    "--learning-rate": f"0.05 0.001 0.2 | {NOT_POSITIVE}",
    "--steps": f"10 33 | 9 0 -1 HUGE {NOT_INTEGER}",
    "learn --output": "out.parquet out.csv - toy.parquet | '' . no/x.parquet pipe.parquet x.txt",
    "learn --format": f"csv jsonl parquet | '' CSV {JUNK}",
    "--modes": "m.parquet m.csv m.jsonl text.parquet | '' . no/m.parquet pipe.parquet m.txt LONG.csv",
    "--checkpoints": "weights shots '' | names.txt names.txt/x no/such LONG",
    "--save": "a.png \u00fc.SVG | a.jpg '' . a a.txt a.palm toy.parquet folder.parquet no/a.png LONG.png",
    "--sort": f"ratio ratio_last threshold_last threshold_best anisotropy parameters | '' name {JUNK}",
    "--top": f"1 3 HUGE | 0 -1 {NOT_INTEGER}",
}
"""By option: values that may be right | values that are wrong whatever else is said."""
USUAL = {
    "measure": "--weights random --values 2",
    "sweep": "--weights random --values 1 --engine serial",
    "simulate": "--weights random --values 1 --layers fc",
    "fisher": "--weights random --values 2",
    "responses": "--weights random --values 2",
    "tune": "--weights random --values 4 --places 0 --population 0 --layers fc",
    "distort": "--weights random --steps 2 --layers fc",
    "battery": "--weights random --references heeley* --layers fc",
    "check": "--weights random",
    "test": "--weights random --seeds 1 --values 2 --phases 1 --frequencies 4",
    "learn": "--quick --runs 1 --steps 20 --snapshots 2",
    "paper": "--dry-run",
}
"""What is said first, so that most lines are quick and many go far; what is drawn counts more."""
ALONE = {
    "linear": ("depths", "2"),
    "supervised": ("conditions", "frequency"),
    "autoencoder": ("conditions", "upright"),
    "planted": ("conditions", "tilted"),
    "hue": ("conditions", "upright"),
}
"""Of an experiment, the network that is trained where a line does not say which."""
EXAMPLES = {
    "measure": 80,
    "sweep": 45,
    "layers": 15,
    "check": 15,
    "models": 15,
    "stimuli": 15,
    "plot": 15,
    "report": 12,
    "show": 35,
}
EXAMPLES |= {
    "statistics": 20,
    "compare": 20,
    "priors": 6,
    "explain": 10,
    "fisher": 25,
    "responses": 25,
    "displays": 2,
    "tune": 10,
    "distort": 10,
    "battery": 10,
    "noises": 2,
    "simulate": 30,
    "learn": 15,
    "test": 8,
    "paper": 15,
    "versus": 20,
    "spec": 10,
}
SLOW = (
    "measure",
    "sweep",
    "simulate",
    "fisher",
    "responses",
    "tune",
    "distort",
    "battery",
    "learn",
    "show",
    "statistics",
    "plot",
    "report",
    "compare",
    "test",
    "versus",
)
WITH_SLOW = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in EXAMPLES]
FIRST = {
    **dict.fromkeys(("show", "compare", "plot", "report", "versus", "spec"), "toy.parquet"),
    "stimuli": "gabor",
    "explain": "ratio",
    "statistics": "photo.png",
    "learn": "linear",
    "paper": "fig2",
    "priors": "",
    "distort": "photo.png",
}
ONLY_SAY = ("layers", "check", "models", "show", "spec", "displays", "noises", "explain")
TABLES = {
    "fisher": "fisher.parquet",
    "responses": "responses.parquet",
    "tune": "units.parquet",
    "distort": "distortions.parquet",
    "battery": "battery.parquet",
    "simulate": "simulation.parquet",
}
TESTED = {"comparison.parquet", "coding.png", "verdict.txt"}
GROUP = get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands  # type: ignore[attr-defined]
READERS = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda lines: [*map(json.loads, lines)]}
PARAMETERS = {name: sorted(c.params, key=lambda p: p.param_type_name) for name, c in COMMANDS.items()}
"""Of every command: its argument, then its options."""


def key_of(command: str, parameter: Any) -> str:
    name = parameter.name if parameter.param_type_name == "argument" else parameter.opts[0]
    return f"{command} {name}" if f"{command} {name}" in VALUES else name


def values_of(command: str, parameter: Any) -> list[list[str]]:
    """What may be right, and what is wrong."""
    parts = [shlex.split(part) for part in VALUES[key_of(command, parameter)].split("|")]
    short = re.compile("|".join(map(re.escape, SHORT_FOR)))
    return [[short.sub(lambda found: SHORT_FOR[found[0]], word) for word in part] for part in parts]


@st.composite
def command_lines(draw: st.DrawFn, command: str) -> tuple[list[str], bool]:
    """Words, and whether one of them is wrong whatever the others are."""
    wrong = False

    def value(parameter: Any) -> str:
        nonlocal wrong
        good, bad = values_of(command, parameter)
        take_bad = bool(bad) and (not good or draw(st.integers(0, 11)) == 11)
        wrong = wrong or take_bad
        return draw(st.sampled_from(bad if take_bad else good))

    options = [p for p in PARAMETERS[command] if p.param_type_name == "option"]
    argument = next((p for p in PARAMETERS[command] if p.param_type_name == "argument"), None)
    if argument is None:
        return [], False
    least = 0 if draw(st.integers(0, 9)) == 9 and command != "measure" else 1
    words = [value(argument) for _ in range(draw(st.integers(least, 2 if argument.nargs == -1 else 1)))]
    if not options:
        return words, wrong
    for option in draw(st.lists(st.sampled_from(options), max_size=6, unique_by=lambda p: p.name)):
        for _ in range(draw(st.integers(1, 2)) if option.multiple else 1):
            words += [draw(st.sampled_from(option.opts)), *([] if option.is_flag else [value(option)])]
    return words, wrong


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the values name."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "folder.parquet").mkdir()
    (folder / "empty").mkdir()
    (folder / "shots").mkdir()
    for name in ("photo.png", "shots/1.jpg", "shots/2.png"):
        Image.effect_noise((80, 60), 50).save(folder / name)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    import_modules([str(folder / "toy_models.py")])
    for name in ("toy.pth", *(f"step_{step}.pth" for step in (*range(7), HUGE))):
        torch.save(timm.create_model("toy_net").state_dict(), folder / name)
    torch.save(timm.create_model("test_vit").state_dict(), folder / "other.pth")
    torch.save([1], folder / "list.pth")
    pd.DataFrame({"a": [1]}).to_parquet(folder / "other.parquet")
    psychophys.Results.from_rows([], {}).write(folder / "empty.parquet")
    empty, other = (pq.read_table(folder / f"{name}.parquet") for name in ("empty", "other"))
    pq.write_table(other.replace_schema_metadata(empty.schema.metadata), folder / "bare.parquet")
    with contextlib.chdir(folder):
        assert [call(line.split())[0] for line in MADE] == [0, 1, 0, 0, 3]
    return folder


@pytest.fixture(scope="module")
def copy(template: Path) -> "Copy":
    return Copy(template)


@functools.lru_cache(maxsize=64)
def loaded(job: Job, device: str = "cpu") -> Observer:
    """An observer, which is loaded once; what fails is tried each time."""
    return load(job, device)


def call(words: list[str]) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a command line in this process, left as it was."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8", "backslashreplace")
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(streams[0]))
        stack.enter_context(contextlib.redirect_stderr(streams[1]))
        stack.callback(signal.signal, signal.SIGTERM, handler)
        stack.callback(sys.modules.pop, "toy_models", None)
        patch.setattr(sys, "argv", ["psychophys", *words])
        # Built once: that takes longer than most command lines.
        patch.setattr("typer.main.get_command", lambda _: GROUP)
        # What is known of an observer is not found out again: that takes half of most command lines.
        for module in ("observers.load", "sweeps.tasks", "measurement.again"):
            patch.setattr(f"psychophys.{module}.load", loaded)
        # A tenth of the patches: what is learned from them does not matter here.
        patch.setattr(draw_patches, "__defaults__", (2000,))
        # One network instead of many, where no others are drawn.
        for name, (setting, only) in ALONE.items():
            patch.setitem(EXPERIMENTS[name].quick, setting, (only,))
        # No network, no cluster, no other process.
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setitem(sys.modules, "ray", None)
        patch.setattr(Processes, "run", Serial.run)
        patch.setattr("psychophys.sweeps.forecast._YARDSTICK", "toy_net")
        patch.setattr("psychophys.observers.memory.keep_freed_memory", lambda: False)
        with pytest.raises(SystemExit) as end:
            main()
        for stream in streams:
            stream.flush()
    assert isinstance(end.value.code, int)
    return end.value.code, out.getvalue(), err.getvalue().decode()


def said(words: list[str], default: str, *names: str) -> str:
    """The value of an option."""
    return next((words[i + 1] for i, word in enumerate(words) if word in names), default)


class Copy:
    """A copy of the template, for one command line after another: each finds it as the first did."""

    def __init__(self, template: Path) -> None:
        self._template, self.folder = template, template.with_name("work")
        self._renew()

    def contents(self) -> dict[str, bytes | None]:
        """Of files what is in them, and None for folders and pipes."""
        paths = [path for path in self.folder.rglob("*") if "__pycache__" not in path.parts]
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in paths
        }

    def restore(self) -> None:
        """Take away what is new; where anything else has changed, copy anew, which takes longer."""
        now = self.contents()
        if any(name not in now or now[name] != text for name, text in self.before.items()):
            self._renew()
        for name in sorted(now.keys() - self.before.keys(), reverse=True):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _renew(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._template, self.folder)
        os.mkfifo(self.folder / "pipe.parquet")
        self.before = self.contents()


def files_of(contents: dict[str, bytes | None]) -> dict[str, bytes]:
    return {name: text for name, text in contents.items() if text is not None}


def check(command: str, words: list[str], wrong: bool, copy: Copy) -> None:
    """Every property of a command line."""
    words = [command, *USUAL.get(command, "").split(), *words]
    try:
        with contextlib.chdir(copy.folder):
            code, out, err = call(words)
            before, after = files_of(copy.before), files_of(copy.contents())
            check_words(words, wrong, code, err)
            assert before.keys() <= after.keys()
            written = {n: text for n, text in after.items() if text != before.get(n)}
            if command == "test":
                assert code == 2 or any("measured" in name for name in written)
                assert code != 0 or {Path(name).name for name in written} >= TESTED
            else:
                check_files(words, code, out, written)
    finally:
        copy.restore()


def check_words(words: list[str], wrong: bool, code: int, err: str) -> None:
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    for sign in ("Traceback", "unexpected", "--debug", "about nan"):
        assert sign not in err
    assert code in ((0, 1, 2, 3) if words[0] == "sweep" else (0, 1, 2)), err
    assert code == 2 or not wrong, "this was to be refused"
    assert bool(errors) == (code in (1, 2)), err
    assert code != 2 or len(lines) == 1, err
    if code == 0 and {"--quiet", "-q"} & set(words):
        assert not err


def check_files(words: list[str], code: int, out: bytes, written: dict[str, bytes]) -> None:  # noqa: C901
    assert not [name for name in written if Path(name).name.startswith(".")]
    if code == 2 or words[0] in ONLY_SAY or "--dry-run" in words:
        assert not written
    elif words[0] == "measure":
        output = said(words, "results.parquet", "--output", "-o")
        suffix = "csv" if output == "-" else Path(output).suffix.removeprefix(".")
        made = {"-": out} if output == "-" and out else written
        assert set(made) == {output} or (code == 1 and not made)
        for content in made.values():
            file_format = said(words, suffix, "--format")
            assert len(READERS[file_format](io.BytesIO(content))) > 0
    elif words[0] in TABLES:
        usual = TABLES[words[0]]
        output, figure = said(words, usual, "--output", "-o"), said(words, "", "--figure")
        beside = said(words, "", "--thresholds")
        assert code == 1 or set(written) == {output, figure, beside} - {"", "-"}
        for name in set(written) - {figure}:
            suffix = Path(name).suffix.removeprefix(".")
            file_format = suffix if name == beside else said(words, suffix, "--format")
            assert len(READERS[file_format](io.BytesIO(written[name]))) > 0
    elif words[0] == "learn":
        check_learned(words, out, written)
    elif words[0] in ("statistics", "compare", "versus", "plot"):
        names = {"statistics": "prior.parquet", "compare": "", "versus": "", "plot": "thresholds.png"}
        output = said(words, names[words[0]], "--output", "-o")
        assert set(written) <= {output, said(words, "", "--figure")} - {"", "-"}
        assert code == 1 or written or output in ("", "-")
    elif words[0] == "report":
        output = said(words, "report.html", "--output", "-o")
        assert set(written) == {output} - {"-"}
        assert (out if output == "-" else written[output]).startswith(b"<!doctype html>")
    elif words[0] in ("stimuli", "priors"):
        assert set(written) == {said(words, "", "--save")} - {""}
        for name in written:
            Image.open(name).verify()
    else:
        check_sweep(words, code, written)


def check_learned(words: list[str], out: bytes, written: dict[str, bytes]) -> None:
    experiment = next(word for word in words if word in EXPERIMENTS)
    usual = f"{experiment}-quick.parquet" if "--quick" in words else f"{experiment}.parquet"
    output, figure = said(words, usual, "--output", "-o"), said(words, "", "--figure")
    beside = "" if output == "-" or experiment != "linear" else f"{Path(output).stem}-modes.parquet"
    modes = said(words, beside, "--modes")
    weights = {name for name in written if name.endswith("pth")}
    assert bool(weights) == ("--checkpoints" in words)
    assert set(written) - weights == {output, modes, figure} - {"", "-"}
    suffix = "csv" if output == "-" else Path(output).suffix.removeprefix(".")
    content = out if output == "-" else written[output]
    assert len(READERS[said(words, suffix, "--format")](io.BytesIO(content))) > 0
    if modes:
        assert len(READERS[Path(modes).suffix.removeprefix(".")](io.BytesIO(written[modes]))) > 0


def check_sweep(words: list[str], code: int, written: dict[str, bytes]) -> None:
    folder = Path(said(words, "results", "--output", "-o"))
    for name in map(Path, written):
        assert name.is_relative_to(folder)
        assert name.suffix != ".parquet" or len(psychophys.read(name)) > 0
        assert name.suffix != ".json" or "--debug" not in json.loads(name.read_text())["error"]
        assert name.suffix in (".parquet", ".json") or name.name == "locks"
    # What the sweep left is what was planned.
    # Quiet: what it would cost is forecast where --dry-run is drawn.
    _, out, _ = call([*(word for word in words if word != "--retry-failed"), "--dry-run", "-q"])
    states = [line.partition("  ")[0] for line in out.decode().splitlines()]
    assert set(states) <= {"done"} | ({"failed"} if code == 3 else set())
    assert states.count("done") <= len(list(folder.glob("*.parquet")))


def test_every_option_of_every_command_has_values() -> None:
    keys = {key_of(name, parameter) for name, known in PARAMETERS.items() for parameter in known}
    assert keys == set(VALUES), "add what is missing to VALUES, and take out what is gone"
    assert set(EXAMPLES) == set(PARAMETERS)


@pytest.mark.parametrize("command", WITH_SLOW)
def test_every_value_ends_well(command: str, copy: Copy) -> None:
    first = FIRST.get(command, "toy_net")
    # What `test` shares with `measure` is read by the same function, and each line measures two networks.
    shared = (
        {key_of("measure", parameter) for parameter in PARAMETERS["measure"]} if command == "test" else ()
    )
    for parameter in PARAMETERS[command]:
        if key_of(command, parameter) in shared:
            continue
        before = [first] if first else []
        start = [*before, parameter.opts[0]] if parameter.param_type_name == "option" else []
        for wrong, values in enumerate(values_of(command, parameter)):
            for value in values:
                check(command, [*start, value], bool(wrong), copy)


@pytest.mark.parametrize("command", WITH_SLOW)
def test_any_command_line_ends_well(command: str, copy: Copy) -> None:
    @settings(max_examples=EXAMPLES[command], deadline=None, derandomize=True, database=None)
    @given(command_lines(command))
    def run(line: tuple[list[str], bool]) -> None:
        check(command, *line, copy)

    run()


def test_no_time_limit_is_too_long_to_wait_for() -> None:
    engine = Processes(1, "cpu", timeout=1e308)
    assert engine._patience({None: SimpleNamespace(started=0.0)}) < 2**31 / 1000  # type: ignore
