"""The examples as scripts of a gallery: copied to a folder of their own, in which they may leave files."""

import ast
import re
import shutil
from pathlib import Path

QUOTES = '"' * 3


def headed(script: str) -> str:
    """A script whose docstring, of one line, begins with a heading: its words before the first comma or stop."""
    docstring = ast.get_docstring(ast.parse(script))
    assert docstring is not None
    title = re.split(r"[,.?](?:\s|$)", docstring)[0]
    return f"{QUOTES}\n{title}\n{'=' * len(title)}\n\n{script.removeprefix(QUOTES)}"


def copied(examples: Path, folder: Path) -> str:
    """Copy the examples and the page before them; returns the folder. What earlier builds left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in sorted(examples.glob("*.py")):
        (folder / path.name).write_text(headed(path.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(examples / "GALLERY_HEADER.rst", folder)
    return str(folder)
