"""What examples of the gallery draw with wassergan's own figures, which pyplot does not know, and write as PNG."""

import os
import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

_here: dict[str, float] = {}


def reset(conf: dict[str, Any], name: str) -> None:
    """Before an example: forget what the one before it wrote."""
    _here.clear()
    _here.update({str(path): path.stat().st_mtime for path in _written()})


def scraper(block: Any, variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """The pictures that a block of code wrote into the folder in which it runs, in the order of their names."""
    found = []
    for path in sorted(_written()):
        if _here.get(str(path)) == path.stat().st_mtime:
            continue
        _here[str(path)] = path.stat().st_mtime
        target = variables["image_path_iterator"].next()
        shutil.copy(path, target)
        found.append(target)
    return figure_rst(found, conf["src_dir"]) if found else ""


def _written() -> list[Path]:
    return [*Path(os.curdir).glob("*.png"), *Path(os.curdir).glob("runs/*/grid.png")]
