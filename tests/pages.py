"""Blocks of the documentation's pages, and the command lines among them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"api", "gallery", "_examples", "_ext"}  # by the build
# Of the past: commands of then.
WRITTEN = {DOCS / "lab-notes.md", DOCS / "changelog.md", ROOT / "CHANGELOG.md"}
_FENCE = re.compile(r"^\s*(?:>\s*)?(`{3,}|~{3,}|:{3,})(.*)$")


@dataclass(frozen=True)
class Block:
    """What stands between two fences: its language, its lines, and the number of its first line."""

    language: str
    text: str
    line: int


def every_page() -> list[Path]:
    """Every page of Markdown that a reader meets: in the root, of the docs, and of the other folders."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    pages += [
        path for folder in ("examples", "fuzz", "benchmarks", ".github") for path in (ROOT / folder).rglob("*.md")
    ]
    return sorted(path for path in pages if not MADE & set(path.relative_to(ROOT).parts))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order. A fence ends with one of its kind that is at least as long.

    Raises:
        ValueError: one does not end.
    """
    found: list[Block] = []
    opened: tuple[str, str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = (fence[1], fence[2].strip(), number + 1), []
        elif fence and fence[1].startswith(opened[0]) and not fence[2].strip():
            found.append(Block(opened[1], "\n".join(lines) + "\n", opened[2]))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        raise ValueError(f"{page.name}: the block of line {opened[2]} does not end")
    return found


def command_lines(page: Path) -> list[str]:
    """The lines of a page's shell blocks, and those after `$` of its consoles, without comments, lines joined."""
    found: list[str] = []
    for block in blocks(page):
        if block.language not in ("sh", "console"):
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return found


def words_of(line: str) -> list[str]:
    """The words of a command line, as a shell would hand them on."""
    return shlex.split(line, comments=True)


def call_of(line: str) -> list[str] | None:
    """The words after `wassergan` of a call of it, also one by torchrun; None if the line is another program's."""
    words = words_of(line)
    if words[:1] == ["wassergan"]:
        return words[1:]
    if words[:1] == ["torchrun"] and "wassergan" in words:
        return words[words.index("wassergan") + 1 :]
    return None
