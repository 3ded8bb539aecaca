"""Figures within a page: matplotlib's as SVG, and one strip of colours a run."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from psychophys.plots.style import STYLE

STRIP_MAP = "PuOr_r"
"""Diverging; readable without full colour vision."""
STRIP_LIMIT = 2.0
"""Colours end at so many times the layer's mean, and at one over it."""


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption; ``alt`` says what is seen where it cannot be."""

    name: str
    svg: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Strip:
    """Sensitivity over its layer's mean, layers downwards, values rightwards: a pixel each."""

    run_id: str
    name: str
    image: str
    alt: str
    left: str
    right: str


def inline_svg(figure: Figure, name: str) -> str:
    """An SVG whose ids no other figure of the page has, without what a file needs and a page does not."""
    stream = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text))
    # A group's id that nothing names is of no use.
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-")
    text = re.sub(r"(\d+\.\d{2})\d+", r"\1", text)  # A hundredth of a point is not seen.
    return re.sub(r"\n\s*", "\n", text).replace("<svg ", '<svg aria-hidden="true" ', 1)


def inline_png(picture: Image.Image) -> str:
    """A picture as an address that holds it."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def strip(run: pd.DataFrame, name: str) -> Strip | None:
    """The strip of one run; None where no layer depends on the stimulus."""
    table = run.pivot_table("sensitivity", "layer", "value", sort=False, dropna=False)
    table = table[sorted(table.columns)]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = table.to_numpy(dtype=float) / table.mean(axis=1).to_numpy()[:, None]
        height = np.log(share) / np.log(STRIP_LIMIT)
    if not np.isfinite(share).any():
        return None
    colours = mpl.colormaps[STRIP_MAP](np.clip((height + 1) / 2, 0, 1), bytes=True)
    colours[~np.isfinite(share)] = (128, 128, 128, 255)
    picture = Image.fromarray(np.asarray(colours, dtype=np.uint8)[..., :3])
    row, column = divmod(int(np.nanargmax(share)), share.shape[1])
    unit, values = run["unit"].iloc[0], list(table.columns)
    alt = f"{name}: most uneven at {values[column]:g} {unit} in {table.index[row]}, "
    alt += f"{share[row, column]:.2f} times the layer's mean sensitivity"
    run_id = str(run["run_id"].iloc[0])
    return Strip(run_id, name, inline_png(picture), alt, f"{values[0]:g}", f"{values[-1]:g} {unit}")


def strip_scale() -> str:
    """The colours of strips as a CSS gradient, from one over the limit to the limit."""
    shades = mpl.colormaps[STRIP_MAP](np.linspace(0, 1, 9))
    return f"linear-gradient(to right, {', '.join(mpl.colors.to_hex(shade) for shade in shades)})"
