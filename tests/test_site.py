"""The documentation: pages that run, command lines that exist, and the check of the built site."""

import importlib.util
import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from wassergan.sampling.calibration import calibrate_marginals

sys.path.insert(0, str(Path(__file__).parent))
from pages import DOCS, WRITTEN, blocks, every_page

# Pages whose blocks of Python run one after the other, as they stand but for the number of steps.
RUN = sorted(
    path.relative_to(DOCS).as_posix()
    for folder in ("tutorials", "howto", "seeds", ".")
    for path in (DOCS / folder).glob("*.md")
    if folder != "." or path.name in ("index.md", "certificates.md")
    if "```python" in path.read_text(encoding="utf-8")
)
PAGES = [page for page in every_page() if page not in WRITTEN]


# Blocks that speak of data of the reader's own, and what these are here.
FRAME = """
import numpy as np
import pandas as pd
from wassergan import WassersteinGAN

rng = np.random.default_rng(0)
def people(count):
    return pd.DataFrame({"age": rng.integers(18, 80, count), "job": rng.choice(["nurse", "clerk"], count)})
"""
GIVEN = {
    "../README.md": "",
    "distance.md": FRAME + "x, y = rng.uniform(0, 60, (2, 30, 2))\na = b = np.full(30, 1 / 30)\n"
    "january, february = people(50), people(60)\n",
    "series.md": "",
    "tables.md": FRAME
    + "frame = people(80).assign(pweight=1.0)\ngaps = people(20).assign(pweight=1.0)\ngaps.loc[3, 'job'] = None\n",
    "volumes.md": "",
    "watch.md": FRAME + "reference, batch = people(300), people(60)\n",
}
# In test_docs.py, runs/export/test_export.py and modality/test_given_run.py.
ELSEWHERE = {"callbacks.md", "estimator.md", "export.md", "fields_given_fields.md"}


def python_of(name: str) -> list[str]:
    return [block.text for block in blocks(DOCS / name) if block.language == "python"]


def test_every_block_of_python_is_run_by_some_test() -> None:
    counts = {path: sum(block.language == "python" for block in blocks(path)) for path in PAGES}
    named = {(DOCS / name).resolve() for name in (*RUN, *GIVEN, *ELSEWHERE)}
    assert not {path.name for path, count in counts.items() if count and path.resolve() not in named}
    assert all(len(python_of(name)) == counts[(DOCS / name).resolve()] for name in (*RUN, *GIVEN))
    assert sum(counts.values()) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("name", GIVEN)
def test_the_python_about_data_of_the_reader_s_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wassergan.modality.tables.calibrate_marginals", partial(calibrate_marginals, rows=256))
    names: dict[str, Any] = {"__name__": "page"}
    for block in (GIVEN[name], *python_of(name)):
        quick = re.sub(r"steps=(\d\d+)\b", "steps=4", block).replace('budget="3m"', "steps=4")
        exec(quick, names)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_python_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = python_of(name)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(re.sub(r"steps=(\d+)0\b", lambda found: f"steps={max(2, int(found[1]) // 5)}", block), names)


def test_no_page_has_a_place_that_was_never_filled_in() -> None:
    places = re.compile(r"@[A-Z_]+@|\bTODO\b|\bTBD\b|\bFIXME\b|\{\{ *\w+ *\}\}")
    assert not {page.name: found for page in PAGES if (found := places.findall(page.read_text(encoding="utf-8")))}


def test_the_pages_that_run_are_found() -> None:
    assert len(RUN) >= 12 and {"tutorials/tables.md", "seeds/duality.md", "certificates.md"} <= set(RUN)


def test_every_page_is_in_a_list_of_pages() -> None:
    listed = {"index"}
    for page in DOCS.rglob("*.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            here = page.parent.relative_to(DOCS)
            names = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {(here / name).as_posix() for name in names}
    made = {"api", "gallery", "_examples", "_ext", "results"}  # at the build, or listed by a pattern
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    assert not {page for page in pages if page.split("/")[0] not in made} - listed


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_site", DOCS / "check_site.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOOD = '<p id="top"><a href="api/p.html#p.f">f</a><a href="https://example.org">out</a><img src="data:,"></p>'


def site(
    folder: Path, index: str = GOOD, api: str = '<dt id="p.f"></dt><dt id="p.C"></dt><dt id="p.C.m"></dt>'
) -> Path:
    (folder / "api").mkdir()
    (folder / "index.html").write_text(index)
    (folder / "api/p.html").write_text(api)
    return folder


NAMES, HOMES = {"p.f", "p.C", "p.C.m"}, {"p.f": "p.f", "p.C": "p.C"}


def test_a_sound_site_has_no_fault(check: ModuleType, tmp_path: Path) -> None:
    assert list(check.faults(site(tmp_path), NAMES, HOMES)) == []


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html is not there"),
        ('<a href="api/p.html#p.g">x</a>', "no such anchor"),
        ('<a href="#none">x</a>', "no such anchor"),
        ('<script src="https://cdn.example/a.js"></script>', "loads https://cdn.example/a.js"),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', "loads //fonts.example/a.css"),
        ('<link rel="preconnect" href="https://fonts.example">', "loads https://fonts.example"),
        ('<style>@import "https://fonts.example/b.css";</style>', "loads https://fonts.example/b.css"),
        ("<style>a { background: url(//x.example/y.png) }</style>", "loads //x.example/y.png"),
        ('<img src="gone.png">', "loads gone.png, which is not there"),
    ],
)
def test_faults_are_seen(check: ModuleType, tmp_path: Path, index: str, fault: str) -> None:
    found = list(check.faults(site(tmp_path, index), NAMES, HOMES))
    assert len(found) >= 1 and all(fault in each for each in found)


@pytest.mark.parametrize(
    ("api", "missing"),
    [('<dt id="p.f"></dt><dt id="p.C"></dt>', "p.C.m"), ('<dt id="p.C"></dt><dt id="p.C.m"></dt>', "p.f")],
)
def test_names_that_are_not_described_are_seen(check: ModuleType, tmp_path: Path, api: str, missing: str) -> None:
    found = list(check.faults(site(tmp_path, '<p id="top"></p>', api), NAMES, HOMES))
    assert found == [f"api: {missing} is not described"]


def test_a_second_name_of_a_class_leads_to_the_first(check: ModuleType, tmp_path: Path) -> None:
    api = '<dt id="p.C"></dt><dt id="q.p.C"></dt><dt id="q.p.C.m"></dt>'
    folder = site(tmp_path, "<p></p>", api)
    homes = {"p.C": "q.p.C", "q.p.C": "q.p.C"}
    assert list(check.faults(folder, {"p.C", "p.C.m", "q.p.C", "q.p.C.m"}, homes)) == []
    assert list(check.faults(folder, {"p.C.n"}, homes)) == ["api: p.C.n is not described"]


def test_every_public_name_has_a_docstring() -> None:
    sys.path.insert(0, str(DOCS / "_ext"))
    pytest.importorskip("sphinx")
    import inspect

    import api_pages

    for name in api_pages.homes(api_pages.modules()):
        module, _, member = name.rpartition(".")
        assert inspect.getdoc(getattr(sys.modules[module], member)), name
