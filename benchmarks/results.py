"""Writing a benchmark's outcome as JSON and as a Markdown table under docs/results/."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent.parent / "docs" / "results"


def write_results(
    name: str, title: str, rows: Sequence[Mapping[str, Any]], *, summary: Mapping[str, Any], command: str
) -> None:
    """One row per run; the command that makes them stands above the table. What a row lacks is left empty."""
    facts = {
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        **summary,
    }
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


def earlier_rows(name: str, rows: Sequence[Mapping[str, Any]], *, told_by: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of earlier calls that these do not replace: no row has the same values of `told_by`."""
    path = FOLDER / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    again = {tuple(row[key] for key in told_by) for row in rows}
    return [row for row in before if tuple(row[key] for key in told_by) not in again]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
