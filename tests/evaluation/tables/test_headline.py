"""The three numbers that lead an evaluation of a table."""

from typing import Any

import pytest

from wassergan.evaluation.tables.headline import OTHERS, headline, told_rows

CLEAN = {"share_near_copies": 0.02, "share_near_copies_heldout": 0.02, "exact_copies": 0.0, "exact_copies_heldout": 0.0}


def row(name: str, value: float, floor: float, apart: float, better: str = "lower") -> dict[str, Any]:
    return {"name": name, "value": value, "floor": floor, "independent": apart, "better": better}


def scores(auc: float, tstr: float, memory: dict[str, float] = CLEAN) -> dict[str, tuple[int, str]]:
    rows = [row("c2st_auc", auc, 0.5, 0.95), row("tstr", tstr, 0.9, 0.5, "higher")]
    return {each["name"]: (each["score"], each["level"]) for each in headline(rows, memory)}


def test_real_rows_and_rows_known_to_be_bad() -> None:
    assert scores(0.5, 0.9) == {"real": (100, "good"), "useful": (100, "good"), "private": (100, "good")}
    assert scores(0.95, 0.5)["real"] == (10, "failed") and scores(0.95, 0.5)["useful"] == (0, "failed")  # shuffled
    copies = CLEAN | {"share_near_copies": 1.0, "exact_copies": 0.9}
    assert scores(0.5, 0.9, copies) == {"real": (100, "good"), "useful": (100, "good"), "private": (0, "failed")}
    assert scores(1.0, 0.3)["real"] == (0, "failed") and scores(1.0, 0.3)["useful"] == (0, "failed")  # noise, one mode
    assert scores(0.65, 0.74) == {"real": (70, "doubtful"), "useful": (60, "doubtful"), "private": (100, "good")}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_share_of_copies_takes_as_much_from_privacy(share: float) -> None:
    memory = CLEAN | {"share_near_copies": share + (1 - share) * 0.02}
    assert scores(0.5, 0.9, memory)["private"][0] == round(100 * (1 - share))


def test_without_a_column_to_predict_associations_count() -> None:
    found = headline([row("c2st_auc", 0.5, 0.5, 0.9), row("association_gap", 0.06, 0.02, 0.1)], CLEAN)
    assert [each["score"] for each in found] == [100, 50, 100]


def test_metrics_stand_in_groups_with_levels() -> None:
    rows = [row("tstr", 0.6, 0.9, 0.5, "higher"), row("own", 1, 1, 1), row("c2st_auc", 0.55, 0.5, 0.95)]
    assert [(each["name"], each["group"], each["level"]) for each in told_rows(rows)] == [
        ("c2st_auc", "Told from real rows", "good"),
        ("tstr", "Put to use", "failed"),
        ("own", OTHERS, None),
    ]


def test_of_too_few_rows_nothing_is_said() -> None:
    found = headline([row("c2st_auc", 0.5, 0.5, 0.9)], CLEAN, enough=False)
    assert {(each["level"], each["words"]) for each in found} == {("undecided", "too few rows to tell")}
