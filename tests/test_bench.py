"""`make bench`: every table is in it and on the page of results, commands parse, and it goes on where it stopped."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from wassergan.cli.main import cli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results"
# Scripts that write no table of results.
OTHERS = {
    *("bench", "bench_tables", "provenance", "results", "combinations", "demo_people", "licences"),
    *("grid_bombs", "kept_bombs", "picture_judge", "picture_sets", "table_peers", "watch_rates"),
}
# Runs each script with its words up to the point where they are parsed: flags and values are those that it takes.
PARSE = """
import argparse, os, runpy, sys
sys.path.insert(0, "benchmarks")
class Parsed(Exception): pass
parse = argparse.ArgumentParser.parse_args
def parse_args(self, *given):
    parse(self, *given)
    raise Parsed
argparse.ArgumentParser.parse_args = parse_args
for words in eval(sys.stdin.read()):
    sys.argv = words
    try:
        runpy.run_path(os.path.abspath(words[0]), run_name="__main__")
        print("did not parse", *words)
    except Parsed:
        print("parsed")
    except SystemExit as exit:
        print("refused", *words)
"""


@pytest.fixture(scope="module")
def modules() -> Iterator[SimpleNamespace]:
    """The scripts, which find each other by their folder."""
    names = ("results", "bench_tables", "provenance", "bench")
    before = {name: sys.modules.pop(name, None) for name in names}
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.path.remove(str(ROOT / "benchmarks"))
    for name, module in before.items():
        sys.modules.pop(name)
        if module is not None:
            sys.modules[name] = module


def test_every_file_of_results_is_of_a_table_and_every_table_is_on_the_page(modules: SimpleNamespace) -> None:
    tables = modules.bench_tables.TABLES
    named = [name for table in tables for name in table.files]
    assert len(set(named)) == len(named)
    written = {path.name for path in FOLDER.iterdir()} - {"index.md", modules.results.STAMPS}
    assert written <= set(named)
    page = (FOLDER / "index.md").read_text(encoding="utf-8")
    for table in modules.provenance.there():
        place = modules.provenance.known(table, modules.provenance.stamps())
        assert place is not None, f"of {table.name} it is not known when it was made: python benchmarks/provenance.py"
        assert set(table.files) <= written and all(command in page for command in table.commands)
    assert len(modules.provenance.there()) >= 30


def test_the_page_is_what_the_results_say(modules: SimpleNamespace) -> None:
    written = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert modules.provenance.index(modules.provenance.stamps()) == written, "python benchmarks/provenance.py"


def test_no_result_names_a_path_of_the_machine_that_made_it(modules: SimpleNamespace) -> None:
    for path in sorted(FOLDER.glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        command = told.get("command", "") if isinstance(told, dict) else ""
        assert modules.results.of_any_machine(command) == command, path.name
    given = "python benchmarks/x.py --names a/b --runs /home/me/runs --into=/tmp/x --data ../shared/data"
    wanted = "python benchmarks/x.py --names a/b --runs FOLDER --into=FOLDER --data ../shared/data"
    assert modules.results.of_any_machine(given) == wanted


def test_every_benchmark_is_in_it(modules: SimpleNamespace) -> None:
    every = [shlex.split(command) for table in modules.bench_tables.TABLES for command in table.commands]
    scripts = {Path(words[1]).stem for words in every if words[1].startswith("benchmarks/")}
    assert scripts | OTHERS == {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not scripts & OTHERS


def test_every_command_parses(modules: SimpleNamespace) -> None:
    every = [shlex.split(command) for table in modules.bench_tables.TABLES for command in table.commands]
    scripts = [words[1:] for words in every if words[0] == "python"]
    wrong = [["benchmarks/speed.py", "--round", "x"], ["benchmarks/distances.py", "exakt"]]
    asked = [sys.executable, "-c", PARSE]
    done = subprocess.run(asked, input=repr(scripts + wrong), cwd=ROOT, capture_output=True, text=True)
    refused = [" ".join(["refused", *words]) for words in wrong]
    assert done.stdout.splitlines() == ["parsed"] * len(scripts) + refused, done.stdout + done.stderr
    group = cli.get_command(click.Context(cli), "benchmark")
    assert isinstance(group, click.Group)
    for words in (words for words in every if words[0] == "wassergan"):
        assert words[1] == "benchmark"
        group.commands[words[2]].make_context(words[2], words[3:])


def test_what_results_say_of_themselves_is_on_the_page(modules: SimpleNamespace) -> None:
    page = (FOLDER / "index.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "facts" in content:
            (line,) = [line for line in page.splitlines() if line.startswith(f"[{path.stem}.md]({path.stem}.md): ")]
            assert content["facts"]["date"] in line and content["facts"]["machine"] in line
            script = re.search(r"(benchmarks|fuzz)/\w+\.py", content["command"])
            assert script and script[0] in page.partition(line)[2].partition("## ")[0]


@pytest.fixture
def bench(modules: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bench of its own folders, whose scripts append their words to a file."""
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    (tmp_path / "say.py").write_text(
        "import pathlib, sys, json\n"
        "with open('said', 'a') as file: print(*sys.argv[1:], file=file)\n"
        "path = pathlib.Path('docs/results/one.json')\n"
        "rows = json.loads(path.read_text()) if path.exists() else []\n"
        "path.write_text(json.dumps([*rows, sys.argv[1]]))\n"
        "path.with_suffix('.md').write_text('# One\\n')\n"
        "sys.exit(pathlib.Path('broken').exists() and sys.argv[1] == 'b')\n"
    )
    monkeypatch.setattr(modules.results, "ROOT", tmp_path)
    monkeypatch.setattr(modules.results, "FOLDER", folder)
    table = modules.bench_tables.Table("one", ("python say.py a FOLDER", "python say.py b"), continues=("one.json",))
    monkeypatch.setattr(modules.provenance, "there", lambda: [table])
    monkeypatch.setattr(modules.provenance, "TABLES", (table,))
    make = modules.bench.Bench
    yield SimpleNamespace(
        new=lambda **given: make(tmp_path / "build", **given), table=table, folder=folder, root=tmp_path,
        run=modules.bench.run, Table=modules.bench_tables.Table,
    )  # fmt: skip


def said(bench: Any) -> list[str]:
    path = bench.root / "said"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_it_goes_on_where_a_command_failed(bench: Any) -> None:
    (bench.folder / "one.json").write_text('["earlier"]')
    (bench.root / "broken").touch()
    assert bench.run(bench.new(), [bench.table]) == ["one"]
    assert said(bench) == ["a", "b"] and not bench.new().finished(bench.table)
    (bench.root / "broken").unlink()
    assert bench.run(bench.new(), [bench.table]) == []
    assert said(bench) == ["a", "b", "b"] and bench.new().finished(bench.table)
    # What was there before was set aside once, and what the failed command left was not.
    assert json.loads((bench.folder / "one.json").read_text()) == ["a", "b", "b"]
    assert json.loads((bench.root / "build/one/before/one.json").read_text()) == ["earlier"]
    assert bench.run(bench.new(), [bench.table]) == [] and len(said(bench)) == 3


def test_nobody_begins_while_a_command_of_a_call_that_was_killed_goes_on(bench: Any) -> None:
    (bench.root / "stay.py").write_text(
        "import os, pathlib, time\n"
        "if os.fork() == 0:\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.02)\n"
        "    os._exit(0)\n"
    )
    first = bench.new()
    assert first.hold() and not bench.new().hold()
    assert first.make(bench.Table("one", ("python say.py a", "python stay.py")))
    os.close(first._lock)  # as if it were killed: what its command started is still there
    assert not bench.new().hold()
    (bench.root / "go").touch()
    last, until = bench.new(), time.monotonic() + 60
    while not last.hold():
        assert time.monotonic() < until
        time.sleep(0.02)
    os.close(last._lock)


def test_the_time_of_an_interrupted_command_counts(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **more: Any) -> None:
        time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.new().make(bench.table)
    assert json.loads((bench.root / "build/state.json").read_text())["one"]["seconds"] >= 0.05


def test_it_begins_anew_when_asked_or_when_its_commands_are_others(bench: Any) -> None:
    first = bench.new()
    assert first.make(bench.table) and said(bench) == ["a", "b"]
    first.again(bench.table)
    assert not bench.new().finished(bench.table) and bench.new().told(bench.table) == "not begun"
    assert bench.new().make(bench.table) and said(bench) == ["a", "b"] * 2
    other = bench.Table("one", ("python say.py c", "python say.py b"))
    assert not bench.new().finished(other)
    longer = bench.Table("one", (*bench.table.commands, "python say.py c"))
    assert not bench.new().finished(longer)


def test_a_finished_table_is_stamped_and_on_the_page(bench: Any, modules: SimpleNamespace) -> None:
    assert bench.new().make(bench.table)
    place = modules.provenance.known(bench.table, modules.provenance.stamps())
    assert place["date"] == modules.results.made_here()["date"] and place["commit"] == "unknown"
    page = (bench.folder / "index.md").read_text()
    assert f"{place['machine']}." in page and "## `one`: One" in page and "python say.py b" in page
    (bench.folder / "one.json").write_text("[]")
    assert modules.provenance.known(bench.table, modules.provenance.stamps()) is None, "a stamp is of what it saw"
    with pytest.raises(KeyError, match="one"):
        modules.provenance.index(modules.provenance.stamps())


def test_what_needs_something_is_left_out_with_a_word(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table = bench.Table("two", ("python say.py a",), data=("no_such_data",), needs=("no_such_module", "peers"))
    assert bench.run(bench.new(), [table]) == ["two"] and said(bench) == []
    wanted = "../shared/data/no_such_data, no_such_module, peers"
    assert capsys.readouterr().out == f"two: left out, it needs {wanted}\n"
    assert bench.new(peers="/env/bin/python").missing(table) == ["../shared/data/no_such_data", "no_such_module"]


def test_no_path_of_the_other_environment_stays(bench: Any) -> None:
    table = bench.Table("one", ("python say.py x=PEERS",))
    assert bench.new(peers="/home/someone/bin/python").make(table)
    assert json.loads((bench.folder / "one.json").read_text()) == ["x=ENV/bin/python"]


def test_a_table_that_is_not_there_is_named(modules: SimpleNamespace) -> None:
    assert [table.name for table in modules.bench.chosen("speed,w1")] == ["speed", "w1"]
    assert modules.bench.chosen("") == modules.bench_tables.TABLES
    with pytest.raises(SystemExit, match=r"no table is called sped; there are quality_digits, "):
        modules.bench.chosen("speed,sped")


def test_results_from_now_on_say_where_they_come_from(
    modules: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules.results, "FOLDER", tmp_path)
    modules.results.write_results("two", "Two", [{"a": 1}], summary={}, command="python x.py")
    facts = json.loads((tmp_path / "two.json").read_text())["facts"]
    assert set(modules.provenance.PLACE) <= set(facts)
    assert "cores: " in facts["machine"] and modules.results.processor() in facts["machine"]


def git(folder: Path, *words: str) -> str:
    name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(["git", *name, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_says_when_code_differs_from_it(
    modules: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules.results, "ROOT", tmp_path)
    monkeypatch.setattr(modules.results, "FOLDER", tmp_path / "docs" / "results")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "docs/results/one.json").write_text("[]")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    head = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert modules.results.commit() == head
    table = modules.bench_tables.Table("one", ())
    assert modules.provenance.from_history(table)["commit"] == head
    (tmp_path / "docs/results/one.json").write_text("[1]")
    assert modules.results.commit() == head, "new results are no new code"
    with pytest.raises(modules.provenance.UncommittedError, match=r"one\.json has changes that are not committed"):
        modules.provenance.from_history(table)
    (tmp_path / "code.py").write_text("2")
    assert modules.results.commit() == f"{head}+"
