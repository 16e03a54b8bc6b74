"""What is published: archives that hold everything and nothing else, equal for equal sources, with sound metadata."""

import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}
PACKAGED = {name for name in SOURCES if "__pycache__" not in name and ".egg-info" not in name}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The wheel and the source archive, built twice without a network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed")
    code = (
        "import sys; from hatchling.build import build_sdist, build_wheel; "
        "print(build_wheel(sys.argv[1])); print(build_sdist(sys.argv[1]))"
    )
    archives: list[list[bytes]] = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True)
        wheel, source = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
        archives.append([wheel.read_bytes(), source.read_bytes()])
    assert archives[0] == archives[1], "equal sources give equal archives"
    yield wheel, source


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    own = {name for name in names if not name.startswith("wassergan-")}
    assert own == PACKAGED
    assert {"wassergan/py.typed", "wassergan/report/page.html"} <= own
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_source_archive_builds_tests_and_documents(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert all(member.isfile() and not member.name.startswith(("/", "..")) for member in archive.getmembers())
    for needed in ("pyproject.toml", "Makefile", "constraints.txt", "LICENSE", "CHANGELOG.md", "docs/conf.py"):
        assert needed in names
    assert {f"src/{name}" for name in PACKAGED} <= names
    assert any(name.startswith("tests/") for name in names) and any(name.startswith("examples/") for name in names)
    strange = [
        name for name in names if re.search(r"__pycache__|\.pyc$|^runs/|^build/|^docs/(api|gallery|_examples)/", name)
    ]
    assert not strange


@pytest.mark.slow
def test_metadata(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
        found = Parser().parsestr(wheel.read(name).decode())
    assert found["License-Expression"] == "MIT" and found["Requires-Python"] == ">=3.11"
    assert set(found.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])
    assert found["Description-Content-Type"] == "text/markdown"


@pytest.mark.slow
def test_twine_has_no_complaint(built: tuple[Path, Path]) -> None:
    if importlib.util.find_spec("twine") is None:
        pytest.skip("twine is not installed")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_all_is_every_extra_for_users() -> None:
    extras = PROJECT["optional-dependencies"]
    (every,) = extras["all"]
    named = set(re.fullmatch(r"wassergan\[(.*)\]", every)[1].split(","))
    assert named == set(extras) - {"all", "docs", "dev"}
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in (*named, "all"))


def test_classifiers_are_known() -> None:
    trove = pytest.importorskip("trove_classifiers")
    assert set(PROJECT["classifiers"]) <= trove.classifiers


def rows_of_versions() -> list[dict[str, str]]:
    """The table of tested versions, a row each by its columns' titles; versions without the build's name."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    lines = text.partition("## Python and torch")[2].partition("## ")[0].splitlines()
    titles, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    found = [dict(zip(titles, row, strict=True)) for row in rows]
    return [row | {"torch": row["torch"].partition(" (")[0]} for row in found]


def test_classifiers_name_the_versions_of_python_that_were_tested() -> None:
    named = {each.rpartition(" :: ")[2] for each in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", each)}
    assert {row["Python"] for row in rows_of_versions()} == named >= {PROJECT["requires-python"].removeprefix(">=")}
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert f"Python {min(named)} to {max(named)}" in page and "reliability.md#python-and-torch" in page


def test_the_tested_versions_are_those_that_the_project_names() -> None:
    """Pinned rows have those of constraints.txt, the lowest row the lower bounds of pyproject.toml."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    extras = PROJECT["optional-dependencies"]
    bounds = dict(each.split(">=") for each in (*PROJECT["dependencies"], *extras["tables"]))
    rows = {row["versions"]: row for row in rows_of_versions() if row["Python"] == "3.11"}
    packages = ("torch", "NumPy", "pandas", "scikit-learn")
    for package in packages:
        assert rows["pinned"][package] == pins[package.lower()], package
        lowest = rows["lowest"][package]
        assert lowest == bounds[package.lower()] or lowest == bounds[package.lower()] + ".0", package
    assert all(row[name] for row in rows.values() for name in packages if row["versions"] in ("pinned", "lowest"))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["when"]) and row["outcome"] for row in rows_of_versions())


def test_the_image_copies_what_the_build_needs() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*)$", image, flags=re.M) for name in line.split()[:-1]}
    assert copied == {"constraints.txt", "pyproject.toml", "README.md", "LICENSE", "src"}
    assert {f"!{name}" for name in copied} <= set(ignored) and ignored[0] == "*"
    arguments = set(re.findall(r"^ARG (\w+)", image, flags=re.M))
    assert {"PYTHON", "TORCH", "TORCH_INDEX", "EXTRAS"} == arguments
    extras = re.search(r"^ARG EXTRAS=(.*)$", image, flags=re.M)
    assert extras is not None and set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
