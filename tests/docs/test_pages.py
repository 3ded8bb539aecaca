"""What the README and the pages of the documentation show is run, and prints what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from docs.blocks import Block, blocks_of, differences

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if page.name != "contributing.md"  # It includes CONTRIBUTING.md, which is for a checkout.
)
SLOW = {
    "README.md",
    "docs/guides/display.md",
    "docs/guides/intervals.md",
    "docs/guides/measuring.md",
    "docs/guides/noise.md",
    "docs/guides/photographs.md",
    "docs/guides/report.md",
    "docs/guides/sweeps.md",
    "docs/studies/efficient-coding.md",
    "docs/studies/learning.md",
    "docs/studies/people.md",
    "docs/studies/simulated-observers.md",
    "docs/studies/two-dimensions.md",
}
"""Pages whose blocks take more than ten seconds together."""
LONGEST_S = 240
"""Of a block, even where many share the cores."""
INSTALLING = "pip install . && "
"""At the beginning of a block: what has been done before these tests are run."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Workshop:
    """Where pages are tried: a folder for each, and commands that start at once."""

    root: Path
    environment: Mapping[str, str]

    def run(self, block: Block, page: str) -> str:
        """What a block prints."""
        folder = self.root / page.removesuffix(".md")
        folder.mkdir(parents=True, exist_ok=True)
        if block.language == "python":
            command, script = ["python"], block.body
        else:
            command, script = ["bash", "-euo", "pipefail", "-c", block.body.removeprefix(INSTALLING)], ""
        done = subprocess.run(
            command,
            cwd=folder,
            input=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=dict(self.environment),
            timeout=LONGEST_S,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, warm: Mapping[str, str]) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("pages"), warm)


def runs() -> Iterator[object]:
    for page in PAGES:
        name = name_of(page)
        for number, block in enumerate(blocks_of(page.read_text())):
            marks = [pytest.mark.slow] if name in SLOW else []
            if block.not_run:
                marks.append(pytest.mark.skip(reason=f"{name}: {block.not_run}"))
            yield pytest.param(name, block, marks=marks, id=f"{name}-{number}")


@pytest.mark.parametrize(("page", "block"), list(runs()))
def test_block_runs_and_prints_what_is_shown(page: str, block: Block, workshop: Workshop) -> None:
    printed = workshop.run(block, page)
    if block.output:
        wrong = differences(block.output, printed)
        assert not wrong, "\n".join([*wrong, "printed:", printed])


def test_every_page_is_listed() -> None:
    assert {name_of(page) for page in PAGES} >= SLOW
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        assert name == "index" or f"\n{name}\n" in index


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


def test_blocks_are_found_with_what_is_said_of_them() -> None:
    page = (
        "```bash\npsychophys a\n```\n\n```text\n1 b\n```\n"
        "<!-- not run: no cluster -->\n```bash\nc\n```\nwords\n"
        "<!-- recorded 2026-01-02: psychophys d -->\n```text\nlong\n```\n  ```python\n  e\n  ```\n"
    )
    assert blocks_of(page) == [
        Block("bash", "psychophys a\n", output="1 b\n"),
        Block("bash", "c\n", not_run="no cluster"),
        Block("python", "  e\n"),
    ]


@pytest.mark.parametrize("bad", ["```text\n1\n```\n", "```bash\na\n```\n\n# Next\n```text\n1\n```\n"])
def test_an_output_needs_a_command_or_a_date(bad: str) -> None:
    with pytest.raises(ValueError, match="without a date"):
        blocks_of(bad)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("a  1.00\n", "a 1.01"),
        ("401,408 units", "401,408 units"),
        ("a\n...\nz 3\n", "a\nb\nc\nz 3.0001\n"),
        ("a\n...\n", "a\nb\n"),
        ("█▆▅", "█▇▅"),
        ("-0.28 (0.5)", "-0.281 (0.501)"),
        ("r 5%", "r 5%"),
        ("0.03", "0.04"),
    ],
)
def test_outputs_that_agree(expected: str, printed: str) -> None:
    assert differences(expected, printed) == []


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("a 1.00", "a 1.05"),
        ("a 10", "a 11"),
        ("a 1", "b 1"),
        ("-0.28", "0.28"),
        ("█▆▅", "█▁▅"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("a 5%", "a 5"),
        ("a\n...\nz", "a\nb"),
    ],
)
def test_outputs_that_differ(expected: str, printed: str) -> None:
    assert differences(expected, printed)
