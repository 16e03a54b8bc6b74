from pathlib import Path

from wassergan.storage.run_folder import RunFolder


def test_run_folder_names() -> None:
    place = RunFolder(Path("r"))
    assert [
        str(p) for p in (place.settings, place.log, place.curves, place.samples, place.checkpoints, place.grid(7))
    ] == [
        *("r/settings.json", "r/log.jsonl", "r/curves.png", "r/samples", "r/checkpoints"),
        "r/samples/step-000000007.png",
    ]
