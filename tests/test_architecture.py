"""The package's shape: imports point downward, functions and modules stay small, names are documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import psychophys

ROOT = Path(psychophys.__file__).parent
LEVELS = (
    ("errors", "memory", "files", "coding", "covariance", "indices", "uncertainty", "matrices"),
    ("tables", "photographs", "checkpoints"),
    ("stimuli", "noise", "architectures", "priors", "psychometrics"),
    ("observers", "sheet", "natural", "references"),
    ("layers", "dual"),
    ("responses", "statistics"),
    ("spec", "results", "propagation"),
    ("accumulation",),
    ("inference", "tangents"),
    ("simulation",),
    ("measurement", "human"),
    ("jobs", "catalog", "summary", "comparison"),
    ("behaviour", "fisher_table", "learning"),
    ("fisher",),
    ("plots",),
    ("plots_simulation", "plots_fisher", "plots_learning"),
    ("store", "engines", "estimate"),
    ("sweep",),
    ("cli",),
    ("__main__",),
)
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
PACKAGES = ("stimuli", "engines", "cli", "priors", "learning")
MAX_FUNCTION, MAX_MODULE = 60, 450

FILES = sorted(ROOT.rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def part_of(path: Path) -> str:
    """The top-level module or subpackage a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_parts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level part of every import from this package, wherever in the file it stands."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "psychophys" else [module]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "psychophys" and rest:
                yield node.lineno, rest.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_point_downward(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return  # The facade: it names everything and imports nothing until asked.
    assert part in LEVEL_OF, f"give {part} a level in this test"
    for line, other in imported_parts(path):
        if other not in LEVEL_OF:
            assert not (ROOT / f"{other}.py").exists(), f"give {other} a level in this test"
            continue  # A public name of the facade, such as __version__.
        if other == part and part in PACKAGES:
            continue
        assert LEVEL_OF[other] < LEVEL_OF[part], f"{path.name}:{line}: {part} imports {other}"


def test_the_facade_imports_nothing_of_the_package_at_run_time() -> None:
    for node in tree_of(ROOT / "__init__.py").body:
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("psychophys")


def test_every_level_exists() -> None:
    parts = {part_of(path) for path in FILES}
    assert parts - {"__init__"} == set(LEVEL_OF)


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
