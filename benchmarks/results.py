"""Writing a benchmark's outcome as JSON and as a Markdown table under docs/results/."""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results"
# Of tables whose JSON does not say when, where and of which commit it is: read and kept by `provenance.py`.
STAMPS = "made.json"


def write_results(
    name: str, title: str, rows: Sequence[Mapping[str, Any]], *, summary: Mapping[str, Any], command: str
) -> None:
    """One row per run; the command that makes them stands above the table. What a row lacks is left empty."""
    facts, command = {**made_here(), **summary}, of_any_machine(command)
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = {"title": title, "command": command, "facts": facts, "rows": list(rows)}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [
        f"# {title}",
        "",
        f"Made by `{command}`. " + ", ".join(f"{key}: {_shown(value)}" for key, value in facts.items()) + ".",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(_shown(row.get(column, "")) for column in columns) + " |" for row in rows),
    ]
    (FOLDER / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def of_any_machine(command: str) -> str:
    """A command with FOLDER for every path from the root: those of this machine mean nothing elsewhere."""
    return re.sub(r"(?<![^\s=])/\S+", "FOLDER", command)


def made_here() -> dict[str, str]:
    """What a result of now is told apart by: day, torch, machine, and the commit whose code runs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {processor()}, cores: {cores}",
        "commit": commit(),
    }


def processor() -> str:
    """The processor's name, and the widest units that torch finds in it."""
    from wassergan.session.build import has_bf16_units

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    units = torch.backends.cpu.get_cpu_capability() + (", AMX" if has_bf16_units(torch.device("cpu")) else "")
    return f"{name}, {units}"


def commit() -> str:
    """The commit of the code, `+` if tracked files other than results differ from it; `unknown` without git."""
    changes = ["diff", "HEAD", "--quiet", "--", ".", ":!docs/results"]
    try:
        told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        changed = subprocess.run(["git", *changes], cwd=ROOT, capture_output=True).returncode
    except OSError:
        return "unknown"
    return told.stdout.strip() + ("+" if changed else "") if told.returncode == 0 else "unknown"


def stamp(name: str) -> None:
    """Note day, machine and commit of NAME.json, which has no room for them, once it is written."""
    path = FOLDER / STAMPS
    stamps = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    stamps[name] = {**made_here(), "digest": digest(FOLDER / f"{name}.json")}
    path.write_text(json.dumps(dict(sorted(stamps.items())), indent=1) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """A fingerprint of a file, by which a stamp is known to be that of these results and of no later ones."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def earlier_rows(name: str, rows: Sequence[Mapping[str, Any]], *, told_by: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of earlier calls that these do not replace: no row has the same values of `told_by`."""
    path = FOLDER / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    again = {tuple(row[key] for key in told_by) for row in rows}
    return [row for row in before if tuple(row[key] for key in told_by) not in again]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
