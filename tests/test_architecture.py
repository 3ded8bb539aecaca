"""The package's shape: imports point downward, functions and modules stay small, names are documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import psychophys

ROOT = Path(psychophys.__file__).parent
FOLDERS = (
    "base",
    "stimuli",
    "observers",
    "responses",
    "noise",
    "results",
    "measurement",
    "simulation",
    "comparison",
    "physiology",
    "learning",
    "sweeps",
    "plots",
    "report",
    "cli",
    "__main__",
)
"""In the order in which they may import each other: a folder imports those before it, and itself."""
MAX_FUNCTION, MAX_MODULE = 40, 400
MOST_ENTRIES = 18

FILES = sorted(ROOT.rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def folder_of(path: Path) -> str:
    """The top-level folder (or module) that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """The name that a file is imported by."""
    return ".".join(("psychophys", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = {module_of(path) for path in FILES}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import from this package, wherever in the file it stands."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in whole]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith("psychophys."))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_point_downward(path: Path) -> None:
    folder = folder_of(path)
    if folder == "__init__":
        return  # The facade: it names everything and imports nothing until asked.
    for line, module in imports_of(path):
        other = module.split(".")[1]
        assert FOLDERS.index(other) <= FOLDERS.index(folder), f"{path.name}:{line}: {folder} imports {other}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    wanted = {module_of(path): {module for _, module in imports_of(path)} for path in FILES}
    wanted["psychophys"] = set()  # Names are loaded when they are first used.
    while free := {module for module, others in wanted.items() if not others & wanted.keys()}:
        wanted = {module: others for module, others in wanted.items() if module not in free}
    assert wanted == {}


def test_the_facade_imports_nothing_of_the_package_at_run_time() -> None:
    for node in tree_of(ROOT / "__init__.py").body:
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("psychophys")


def test_the_listing_of_the_package_is_the_pipeline() -> None:
    entries = {path.name for path in ROOT.iterdir()} - {"__pycache__"}
    assert {name.removesuffix(".py") for name in entries} == {*FOLDERS, "__init__", "py.typed"}
    assert len(entries) <= MOST_ENTRIES


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines a function does its work in: without its signature (the command line's options) and docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_functions_are_short(path: Path) -> None:
    long = {
        node.name: body_lines(node)
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and body_lines(node) > MAX_FUNCTION
    }
    assert long == {}


def undocumented(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_public_names_have_docstrings(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert list(undocumented(tree.body)) == []
