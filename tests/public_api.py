"""The public names and their signatures, one a line.

    python tests/public_api.py        # renews tests/public_api.txt after a change that is meant

`tests/test_public_api.py` compares the two: what users build on changes on purpose or not at all.
"""

import inspect
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import wassergan

LISTED = Path(__file__).with_suffix(".txt")
PACKAGE = Path(wassergan.__file__).parent


def parts() -> list[str]:
    """The package itself, and those of its packages and modules that list their names."""
    files = sorted(PACKAGE.rglob("*.py"))
    listing = [path for path in files if "__all__" in path.read_text(encoding="utf-8")]
    return [".".join(("wassergan", *_path(each.relative_to(PACKAGE)))) for each in listing]


def _path(file: Path) -> tuple[str, ...]:
    return file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts


def lines() -> list[str]:
    """All public names, sorted, with what their callers rely on."""
    found = []
    for module in map(import_module, parts()):
        for name in module.__all__:
            found += list(described(f"{module.__name__}.{name}", getattr(module, name)))
    return sorted(set(found))


def described(name: str, thing: Any) -> list[str]:
    """A function with its signature; a class with its own and its public methods'; anything else by its name."""
    if inspect.isclass(thing):
        own = [name + signature(thing)]
        for member, value in sorted(members(thing).items()):
            if member.startswith("_"):
                continue
            if isinstance(value, property):
                own.append(f"{name}.{member}")
            elif callable(getattr(thing, member)):
                own.append(f"{name}.{member}{signature(getattr(thing, member))}")
        return own
    return [name + signature(thing)] if inspect.isfunction(thing) else [name]


@cache
def public_classes() -> frozenset[type]:
    """All classes that a package lists."""
    things = (getattr(module, name) for module in map(import_module, parts()) for name in module.__all__)
    return frozenset(thing for thing in things if inspect.isclass(thing))


def members(thing: type) -> dict[str, Any]:
    """What a class has of its own, and of bases in this library that are not public themselves."""
    bases = [
        each for each in thing.__mro__ if each.__module__.startswith("wassergan.") and each not in public_classes()
    ]
    return {name: value for each in [*reversed(bases), thing] for name, value in vars(each).items()}


def signature(thing: Any) -> str:
    """Names, kinds and defaults of the arguments; annotations may be told better without a break."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    plain = [
        each.replace(annotation=inspect.Parameter.empty, default=_default(each)) for each in found.parameters.values()
    ]
    return str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))


class _Shown:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _default(parameter: inspect.Parameter) -> Any:
    """Defaults whose text is the same everywhere; of others only that there is one."""
    plain = (bool, int, float, str, tuple, type(None))
    if parameter.default is inspect.Parameter.empty or isinstance(parameter.default, plain):
        return parameter.default
    return _Shown("...")


if __name__ == "__main__":
    LISTED.write_text("\n".join(lines()) + "\n", encoding="utf-8")
