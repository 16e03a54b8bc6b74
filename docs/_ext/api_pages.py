"""A page for each package with public names, made of what `tests/public_api.py` lists: no name can be forgotten."""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
FIRST = ("wassergan", "wassergan.estimator", "wassergan.distances", "wassergan.lipschitz", "wassergan.monitor")
_HEAD = "API reference\n=============\n\nAll public names, by the package that they are imported from.\n\n"


def listing() -> ModuleType:
    """The module that knows the public names."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        return import_module("public_api")
    finally:
        sys.path.pop(0)


def homes(modules: list[ModuleType]) -> dict[str, str]:
    """Under which name each class and function is described, for each of its names: the innermost package's."""
    names = [(f"{module.__name__}.{name}", getattr(module, name)) for module in modules for name in module.__all__]
    described = [(name, thing) for name, thing in names if inspect.isclass(thing) or inspect.isfunction(thing)]
    innermost: dict[int, str] = {}
    for name, thing in sorted(described, key=lambda pair: (-pair[0].count("."), pair[0])):
        innermost.setdefault(id(thing), name)
    return {name: innermost[id(thing)] for name, thing in described}


def modules() -> list[ModuleType]:
    """The packages that have public names."""
    return [each for each in map(import_module, listing().parts()) if each.__all__]


def write_pages(app: Sphinx) -> None:
    """Write `api/NAME.rst` of each package and `api/index.rst`; unchanged files keep their time."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    found = modules()
    home = homes(found)
    pages = {f"{module.__name__}.rst": _page(module, home) for module in found}
    names = sorted((module.__name__ for module in found), key=lambda name: (name not in FIRST, name))
    pages["index.rst"] = _HEAD + ".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {name}\n" for name in names)
    for name, content in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.name not in pages:
            path.unlink()


def _page(module: ModuleType, home: dict[str, str]) -> str:
    name = module.__name__
    parts = [f"{name}\n{'=' * len(name)}\n", f".. automodule:: {name}\n"]
    for member in sorted(module.__all__, key=str.lower):
        full = f"{name}.{member}"
        at = home.get(full, full)
        parts.append(_directive(full, getattr(module, member)) if at == full else _alias(full, at, module))
    return "\n".join(parts)


def _directive(name: str, thing: Any) -> str:
    if inspect.isclass(thing):
        members = [each for each in sorted(listing().members(thing)) if _is_public(thing, each)]
        options = f"   :members: {', '.join(members)}\n   :undoc-members:\n" if members else ""
        options += "   :inherited-members:\n" if {*members} - {*vars(thing)} else ""
        return f".. autoclass:: {name}\n{options}"
    if inspect.isfunction(thing):
        return f".. autofunction:: {name}\n"
    return f".. autodata:: {name}\n   :no-value:\n"


def _alias(name: str, home: str, module: ModuleType) -> str:
    kind = "class" if inspect.isclass(getattr(module, name.rpartition(".")[2])) else "function"
    role = "class" if kind == "class" else "func"
    own = f".. py:{kind}:: {name.rpartition('.')[2]}\n   :module: {module.__name__}\n\n"
    return f"{own}   The same as :py:{role}:`{home}`.\n"


def _is_public(thing: type, member: str) -> bool:
    """As `public_api.described` has it."""
    value = listing().members(thing)[member]
    return not member.startswith("_") and (isinstance(value, property) or callable(getattr(thing, member)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask for the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True}
