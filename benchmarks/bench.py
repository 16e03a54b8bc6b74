"""Make the tables of docs/results anew: `make bench`. What is finished is not begun again, so it may be interrupted.

    python benchmarks/bench.py [--only NAME,...] [--again] [--peers ENV/bin/python] [--list]

Each table is a row of commands (bench_tables.py). What was done is kept in build/bench/state.json after every command;
scripts that go on by themselves do so. Results that a script would count on from are moved to build/bench/NAME/before
when their table is begun. A command that fails ends its table, and the others go on; the next call tries it again.
The page of results, docs/results/index.md, is written after every table.
"""

import argparse
import fcntl
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import provenance
import results
from bench_tables import TABLES, Table

WORK = results.ROOT / "build" / "bench"
DATA = results.ROOT.parent / "shared" / "data"
PEERS_TOLD = "ENV/bin/python"
SCRIPTS = ("python", "wassergan")


class Bench:
    """What was made, and making what was not.

    Args:
        work: the folder of the state and of what commands leave.
        peers: the Python of an environment with other generators of tables, if there is one.
    """

    def __init__(self, work: Path, *, peers: str = "") -> None:
        self.work, self.peers = work, peers
        self._lock: int | None = None
        self._path = work / "state.json"
        self.state: dict[str, dict[str, Any]] = (
            json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        )

    def hold(self) -> bool:
        """Whether nobody else is at work here, from now on until this process and all that it started have ended."""
        self.work.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.work / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def finished(self, table: Table) -> bool:
        """Whether all of its commands, as they are now, were carried out."""
        return bool(self._of(table).get("finished"))

    def missing(self, table: Table) -> list[str]:
        """What it needs and is not here."""
        folders = [f"../shared/data/{name}" for name in table.data if not (DATA / name).is_dir()]
        return folders + [need for need in table.needs if not self._here(need)]

    def make(self, table: Table) -> bool:
        """Carry out what is left of a table's commands; False if one fails."""
        if not self._of(table):
            self._begin(table)
        kept = self._of(table)
        for command in table.commands[len(kept["done"]) :]:
            began = time.monotonic()
            if "FOLDER" not in table.continues:
                shutil.rmtree(self._folder(table), ignore_errors=True)
            self._folder(table).mkdir(parents=True, exist_ok=True)
            print(f"{table.name}: {command}", flush=True)
            held = () if self._lock is None else (self._lock,)
            try:
                code = subprocess.run(self.argv(table, command), cwd=results.ROOT, pass_fds=held).returncode
            finally:  # an interrupted command counts, too
                kept["seconds"] += time.monotonic() - began
                self._save()
            if code:
                print(f"{table.name}: that ended with exit code {code}; the next call tries it again", flush=True)
                return False
            kept["done"].append(command)
            self._save()
        self._finish(table)
        return True

    def argv(self, table: Table, command: str) -> list[str]:
        """The words of a command, with this Python and these folders."""
        words = shlex.split(command)
        assert words[0] in SCRIPTS, command
        start = [sys.executable] if words[0] == "python" else [sys.executable, "-m", words[0]]
        places = {"FOLDER": str(self._folder(table)), "RESULTS": str(results.FOLDER), "PEERS": self.peers}
        return start + [_placed(word, places) for word in words[1:]]

    def told(self, table: Table) -> str:
        """One line on how far it is."""
        kept = self._of(table)
        if kept.get("finished"):
            return f"finished on {kept['finished']}, {kept['seconds'] / 60:.0f} min"
        if missing := self.missing(table):
            return "needs " + ", ".join(missing)
        return f"{len(kept['done'])} of {len(table.commands)} commands done" if kept else "not begun"

    def again(self, table: Table) -> None:
        """Forget what was done of it."""
        self.state.pop(table.name, None)
        self._save()

    def _of(self, table: Table) -> dict[str, Any]:
        """What is known of it, unless its commands are others by now."""
        kept = self.state.get(table.name, {})
        done = list(table.commands[: len(kept.get("done", ()))])
        whole = not kept.get("finished") or len(done) == len(table.commands)
        return kept if kept.get("done") == done and whole else {}

    def _begin(self, table: Table) -> None:
        before = self.work / table.name / "before"
        shutil.rmtree(self.work / table.name, ignore_errors=True)
        for name in table.continues:
            if (results.FOLDER / name).is_file():
                before.mkdir(parents=True, exist_ok=True)
                shutil.move(results.FOLDER / name, before / name)
        self.state[table.name] = {"done": [], "seconds": 0.0}
        self._save()

    def _finish(self, table: Table) -> None:
        if self.peers:
            _without(self.peers, table)
        if set(provenance.facts(table)) < set(provenance.PLACE):
            results.stamp(table.name)
        self.state[table.name]["finished"] = date.today().isoformat()
        self._save()
        try:
            provenance.write()
        except provenance.UncommittedError as error:
            print(f"docs/results/index.md is as it was: {error}", flush=True)

    def _folder(self, table: Table) -> Path:
        return self.work / table.name / "folder"

    def _here(self, need: str) -> bool:
        if need == "root":
            return hasattr(os, "geteuid") and os.geteuid() == 0
        if need == "peers":
            return bool(self.peers)
        return importlib.util.find_spec(need) is not None

    def _save(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.state, indent=1) + "\n", encoding="utf-8")
        new.replace(self._path)


def _placed(word: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        word = word.replace(name, place)
    return word


def _without(path: str, table: Table) -> None:
    """No path of this machine stays in the results."""
    for name in table.files:
        file = results.FOLDER / name
        if file.suffix in (".json", ".md") and file.exists():
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(path, PEERS_TOLD), encoding="utf-8")


def chosen(names: str) -> Sequence[Table]:
    """The tables that are named, with commas between; all for none.

    Raises:
        SystemExit: there is no such table.
    """
    known = {table.name: table for table in TABLES}
    asked = [name for name in names.split(",") if name]
    if unknown := [name for name in asked if name not in known]:
        raise SystemExit(f"no table is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in asked] or TABLES


def run(bench: Bench, tables: Sequence[Table]) -> list[str]:
    """Make what is not finished and can be made here; the names of what is still not there."""
    left = []
    for table in tables:
        if bench.finished(table):
            print(f"{table.name}: {bench.told(table)}", flush=True)
        elif missing := bench.missing(table):
            print(f"{table.name}: left out, it needs {', '.join(missing)}", flush=True)
            left.append(table.name)
        elif not bench.make(table):
            left.append(table.name)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="tables to make, such as speed,w1")
    parser.add_argument("--again", action="store_true", help="also those that are finished")
    parser.add_argument("--peers", default="", help="Python of an environment with other generators of tables")
    parser.add_argument("--list", action="store_true", help="only say how far each is")
    options = parser.parse_args()
    bench, tables = Bench(WORK, peers=options.peers), chosen(options.only)
    if options.list:
        for table in tables:
            print(f"{table.name:22}{bench.told(table)}")
        return 0
    if not bench.hold():
        print("Another call, or a command of one that was killed, is still at work: end it, or wait for it.")
        return 1
    if options.again:
        for table in tables:
            bench.again(table)
    try:
        left = run(bench, tables)
    except KeyboardInterrupt:
        print("Interrupted: the next call goes on from here.")
        return 130
    print("All are made." if not left else f"Not made: {', '.join(left)}.")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
