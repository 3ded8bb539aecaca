"""Formulas as drawings in the page, made by Matplotlib: the reader's browser needs no script and no font."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath, text_to_path
from sphinx.application import Sphinx

SIZE = 16.0
"""Pixels of the font that is drawn; the page's text has 16, too."""
FONT = FontProperties(family="serif", math_fontfamily="stix", size=SIZE)
COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


def drawing(formula: str, scale: float = 1.0) -> str:
    """A formula as SVG in the colour of the text, standing on its line; ``scale`` is over the text's size."""
    text = f"${' '.join(formula.split())}$"
    width, height, depth = text_to_path.get_text_width_height_descent(text, FONT, ismath=True)
    path = TextPath((0, 0), text, size=SIZE, prop=FONT)
    top, margin = height - depth, 1.0
    # SVG's y goes down, Matplotlib's up.
    d = " ".join(_steps(path, top + margin))
    box = f"0 0 {width + 2 * margin:.2f} {height + 2 * margin:.2f}"
    em = scale / SIZE
    style = f"height: {(height + 2 * margin) * em:.3f}em; vertical-align: {-(depth + margin) * em:.3f}em"
    return (
        f'<svg class="formula" role="img" aria-label="{html.escape(formula)}" viewBox="{box}" '
        f'style="{style}">'
        f'<path transform="translate({margin})" d="{d}"/></svg>'
    )


def _steps(path: Path, top: float) -> Iterator[str]:
    for vertices, code in path.iter_segments(simplify=False, curves=True):
        points = " ".join(f"{x:.2f} {top - y:.2f}" for x, y in vertices.reshape(-1, 2))
        yield COMMANDS[code] + ("" if code == Path.CLOSEPOLY else points)


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(drawing(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{drawing(node.astext(), 1.15)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``drawn``."""
    app.add_html_math_renderer("drawn", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
