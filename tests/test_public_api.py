import importlib.util
from pathlib import Path
from types import ModuleType


def listing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("public_api", Path(__file__).parent / "public_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_public_names_and_signatures_are_those_that_are_listed() -> None:
    api = listing()
    listed, found = set(api.LISTED.read_text(encoding="utf-8").splitlines()), set(api.lines())
    gone, new = sorted(listed - found), sorted(found - listed)
    assert not gone and not new, (
        "the public interface changed; if it is meant, run `python tests/public_api.py`, tell it in CHANGELOG.md, and "
        f"let what goes away warn first (CONTRIBUTING.md).\ngone: {gone}\nnew: {new}"
    )


def test_what_callers_rely_on_is_seen() -> None:
    api = listing()

    def old(data: int, *, size: int = 3) -> None: ...
    def renamed(data: int, *, sizes: int = 3) -> None: ...
    def other_default(data: int, *, size: int = 4) -> None: ...
    def positional(data: int, size: int = 3) -> None: ...

    first = api.described("f", old)
    assert first == ["f(data, *, size=3)"]
    assert all(api.described("f", other) != first for other in (renamed, other_default, positional))


def test_the_mathematics_is_listed() -> None:
    parts = set(listing().parts())
    for name in ("distances", "lipschitz", "benchmark.w1", "constraints", "objectives"):
        assert f"wassergan.{name}" in parts
