"""docs/results/index.md: for every table the commands that make it, the machine, the day and the commit.

    python benchmarks/provenance.py       # after new results were committed; `make bench` does it by itself

Most results say in their JSON when, where and of which commit they were made. Of others made.json keeps it, with a
digest of the results that it speaks of; where that is missing or of other results, the commit that brought them is
asked of git.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import results
from bench_tables import TABLES, Table

PLACE = ("date", "machine", "commit")
UNKNOWN_MACHINE = "machine not noted"
_HEAD = """\
# Results

Tables that scripts in `benchmarks/` and `fuzz/` write, each with its day, the commit and the machine, and the commands
that make it again. `make bench` makes all of them, in more than a day on two cores: what is finished is not begun
again, so it can be interrupted at any time and called again. `make bench ONLY=speed,w1` makes those, `AGAIN=1` also
those that are finished, and `python benchmarks/bench.py --list` shows how far it is. Data sets are looked for in
`../shared/data`; a table whose data, tools or rights are not there is left out with a word.

The commit is that of the code that ran, with a `+` where files had changes that no commit had; of results until
29 November 2026, it is the commit that brought them. In commands FOLDER is a folder for what they leave, RESULTS is
`docs/results`, and PEERS the Python of an environment with the other generators (`make bench PEERS=ENV/bin/python`).
"""
_TAIL = """\
## All pages

```{toctree}
:maxdepth: 1
:glob:

*
```
"""


class UncommittedError(Exception):
    """Results that no commit has, and that do not say where they come from."""


def stamps() -> dict[str, dict[str, str]]:
    """What made.json keeps."""
    path = results.FOLDER / results.STAMPS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def known(table: Table, kept: dict[str, dict[str, str]]) -> dict[str, str] | None:
    """Day, machine and commit of a table's results; None where something of that is not known of these results."""
    path = results.FOLDER / f"{table.name}.json"
    kept_of = kept.get(table.name, {})
    found = kept_of if kept_of.get("digest") == results.digest(path) else {}
    told = found | facts(table)
    return {name: told[name] for name in PLACE} if set(PLACE) <= set(told) else None


def facts(table: Table) -> dict[str, Any]:
    """What the results say of themselves."""
    content = json.loads((results.FOLDER / f"{table.name}.json").read_text(encoding="utf-8"))
    said = content.get("facts", {}) if isinstance(content, dict) else {}
    return {name: said[name] for name in PLACE if name in said}


def from_history(table: Table) -> dict[str, str]:
    """The commit that brought a table's results, and its day.

    Raises:
        UncommittedError: they have changed since.
    """
    path = results.FOLDER / f"{table.name}.json"
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", str(path)], cwd=results.ROOT).returncode:
        raise UncommittedError(f"{path.name} has changes that are not committed; commit it first.")
    asked = ["git", "log", "-1", "--format=%cs %h", "--", str(path)]
    day, commit = subprocess.run(asked, cwd=results.ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {"date": day, "machine": UNKNOWN_MACHINE, "commit": commit, "digest": results.digest(path)}


def there(tables: Sequence[Table] = TABLES) -> list[Table]:
    """The tables that have results."""
    return [table for table in tables if (results.FOLDER / f"{table.name}.json").exists()]


def title(table: Table) -> str:
    """The first heading of its page."""
    page = results.FOLDER / (table.page or f"{table.name}.md")
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def section(table: Table, place: dict[str, str]) -> str:
    """What the page says of one table."""
    page = table.page or f"{table.name}.md"
    where = f"[{page}]({page}): {place['date']}, commit `{place['commit']}`, {place['machine']}."
    return f"## `{table.name}`: {title(table)}\n\n{where}\n\n```sh\n" + "\n".join(table.commands) + "\n```\n"


def index(kept: dict[str, dict[str, str]]) -> str:
    """The page.

    Raises:
        KeyError: with the names of tables of whose results nothing is known.
    """
    places = {table: known(table, kept) for table in there()}
    if unknown := [table.name for table, place in places.items() if place is None]:
        raise KeyError(*unknown)
    absent = [table for table in TABLES if table not in places]
    parts = [_HEAD, *(section(table, place) for table, place in places.items() if place is not None)]
    if absent:
        lines = [command for table in absent for command in table.commands]
        parts.append("## Not measured yet\n\n```sh\n" + "\n".join(lines) + "\n```\n")
    return "\n".join([*parts, _TAIL])


def write() -> None:
    """Bring made.json and the page up to date."""
    kept = stamps()
    for table in there():
        if known(table, kept) is None:
            kept[table.name] = from_history(table) | facts(table)
    # What a table says of itself now needs no stamp.
    kept = {table.name: kept[table.name] for table in there() if set(facts(table)) < set(PLACE)}
    path = results.FOLDER / results.STAMPS
    path.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
    (results.FOLDER / "index.md").write_text(index(kept), encoding="utf-8")


if __name__ == "__main__":
    try:
        write()
    except UncommittedError as error:
        sys.exit(str(error))
