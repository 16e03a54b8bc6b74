"""Checkpoints of strangers: every verb refuses them in one sentence, and takes no memory for what they describe."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from wassergan.errors import UserError
from wassergan.session.restore import open_sampler
from wassergan.storage.checkpoint import load_checkpoint

LIMIT_MIB = 200
VERBS = ("sample", "resume", "evaluate", "visualize", "export", "report", "info", "compare")

Spoil = Callable[[dict[str, Any]], None]


def set_in(*path: Any) -> Callable[[Any], Spoil]:
    """Replaces what lies at a path in a checkpoint's content."""

    def to(value: Any) -> Spoil:
        def spoil(content: dict[str, Any]) -> None:
            place: Any = content
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value(place[path[-1]]) if callable(value) else value

        return spoil

    return to


def setting(**changes: Any) -> Spoil:
    return lambda content: content["settings"].update(changes)


WEIGHT = set_in("trainer", "average", "body.0.weight")
STEP = set_in("trainer", "step")


def spread(shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """A view that repeats one number: `torch.save` keeps it as such."""
    return lambda weight: torch.zeros(1).expand(shape)


def folded(content: dict[str, Any]) -> None:
    """Lists of the same two lists, 60 deep."""
    inner: Any = ["a"]
    for _ in range(60):
        inner = [inner, inner]
    content["codec"] = inner


def huge_codec(content: dict[str, Any]) -> None:
    content["codec"]["dtype"] = "S1000000000"


HOSTILE: dict[str, Spoil] = {
    "absurd shapes": lambda content: content.update(shape=[10**6, 10**4, 10**4]),
    "a shape below zero": lambda content: content.update(shape=[-2]),
    "a huge pack": setting(pack=10**8),
    "stride 0": WEIGHT(spread((30_000, 30_000))),
    "a huge view everywhere": lambda content: (  # type: ignore[dict-item]
        [
            content["trainer"][part].update({name: torch.zeros(1).expand(10**5, 10**5)})
            for part in ("average", "generator", "critic")
            for name in content["trainer"][part]
        ]
        and None
    ),
    "meta": WEIGHT(lambda weight: torch.zeros(10**5, 10**5, device="meta")),
    "sparse": WEIGHT(lambda weight: torch.sparse_coo_tensor(torch.zeros(2, 1).long(), torch.ones(1), (10**6, 10**6))),
    "quantised": WEIGHT(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)),
    "complex": WEIGHT(lambda weight: weight.to(torch.complex64)),
    "nested": WEIGHT(lambda weight: torch.nested.nested_tensor([weight, weight])),
    "a parameter": WEIGHT(lambda weight: torch.nn.Parameter(weight)),
    "10 000 layers": setting(generator_widths=(1,) * 10_000, critic_widths=(1,) * 10_000),
    "900 layers": setting(generator_widths=(8,) * 900),
    "huge widths": setting(generator_widths=(10**9,), critic_widths=(10**9,)),
    "huge maps": setting(network="conv", maps=10**7),
    "latent_dim 10^11": setting(latent_dim=10**11),
    "critic_steps -3": setting(critic_steps=-3),
    "a seed of 2^80": setting(seed=2**80),
    "a batch of True": setting(batch_size=True),
    "a rate of NaN": setting(critic_lr=float("nan")),
    "a rate in words": setting(critic_lr="fast"),
    "a constraint of 3": setting(constraint=3),
    "an unknown constraint": setting(constraint="tight"),
    "previews of text": setting(previews="no"),
    "a foreign setting": setting(nonsense=1),
    "no settings": lambda content: content.pop("settings") and None,
    "step -7": STEP(-7),
    "step NaN": STEP(float("nan")),
    "step 2^80": STEP(2**80),
    "step of text": STEP("7"),
    "a tensor as step": STEP(torch.tensor(3)),
    "seconds of NaN": set_in("trainer", "seconds")(float("nan")),
    "served -1": set_in("trainer", "batches", "served")(-1),
    "a random state of zeros": set_in("trainer", "latent_rng")(torch.zeros(3)),
    "sums of matrices": set_in("trainer", "statistics")({"sums": {"a": torch.zeros(9, 9)}, "counts": {"a": 1}}),
    "huge moments": set_in("trainer", "critic_optimizer", "state", 0, "exp_avg")(torch.zeros(1).expand(10**5, 10**5)),
    "moments of others": set_in("trainer", "critic_optimizer", "state", 0, "exp_avg")(torch.zeros(77)),
    "no best": lambda content: content.pop("best") and None,
    "best step -1": set_in("best", "step")(-1),
    "an unknown kind": lambda content: content.update(kind="poem"),
    "a type of a gigabyte": huge_codec,
    "a codec spread out": set_in("codec", "scale")(torch.ones(1, dtype=torch.float64).expand(10**5, 10**5)),
    "a codec of another shape": set_in("codec", "scale")(torch.ones(7, 1, 1, 1, dtype=torch.float64)),
    "a codec folded in itself": folded,
    "rollbacks of numbers": lambda content: content.update(rollbacks=[3]),
}

MEASURED = """
import resource, sys
from pathlib import Path
from wassergan.cli.main import main
import wassergan.runs.train, wassergan.runs.evaluate, wassergan.runs.visualize
import wassergan.runs.export, wassergan.runs.compare
import wassergan.plots, matplotlib.figure, matplotlib.backends.backend_agg
import json
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for run, argv in json.loads(sys.stdin.read()):
    code = main(argv)
    print(json.dumps([run, argv[0], code, (peak() - before) / 1024]), flush=True)
    sys.stderr.write("---\\n")
"""


def spoilt(finished_run: Path, folder: Path, spoil: Spoil) -> Path:
    content = load_checkpoint(finished_run / "checkpoints" / "latest.pt")
    with warnings.catch_warnings(action="ignore"):  # of torch, about kinds of tensors that it gives up
        spoil(content)
        (folder / "checkpoints").mkdir(parents=True)
        torch.save(content, folder / "checkpoints" / "latest.pt")
    (folder / "log.jsonl").write_bytes((finished_run / "log.jsonl").read_bytes())
    return folder


def arguments(verb: str, run: Path, other: Path, out: Path) -> list[str]:
    further = {
        "sample": ["--out", str(out / "s.npy")],
        "resume": ["--steps", "9"],
        "export": ["--out", str(out / "e.safetensors")],
        "visualize": ["--out", str(out / "visualize")],
        "report": ["--out", str(out / "r.html")],
        "compare": [str(other)],
    }
    return [verb, str(run), *further.get(verb, [])]


@pytest.mark.slow
def test_every_verb_refuses_hostile_checkpoints_and_takes_no_memory_for_them(
    tmp_path: Path, finished_run: Path
) -> None:
    runs = {
        name: spoilt(finished_run, tmp_path / str(number), spoil)
        for number, (name, spoil) in enumerate(HOSTILE.items())
    }
    assert all((run / "checkpoints" / "latest.pt").stat().st_size < 2**21 for run in runs.values())
    calls = [(name, arguments(verb, run, finished_run, tmp_path)) for name, run in runs.items() for verb in VERBS]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], input=json.dumps(calls), capture_output=True, text=True, check=False
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    said = done.stderr.split("---\n")
    assert len(results) == len(calls), done.stderr[-3000:]
    for (name, verb, code, mib), text in zip(results, said, strict=False):
        assert code == 2, (name, verb, code, text)
        assert mib < LIMIT_MIB, (name, verb, mib)
        (complaint,) = [line for line in text.splitlines() if line.startswith("wassergan: ")]
        assert "checkpoint" in complaint or "The file" in complaint, (name, verb, complaint)
    made = {path.name for path in tmp_path.iterdir()} - {run.name for run in runs.values()}
    assert not made & {"s.npy", "e.safetensors", "visualize", "r.html"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused(tmp_path: Path, finished_run: Path, name: str) -> None:
    with pytest.raises(UserError):
        open_sampler(spoilt(finished_run, tmp_path / "run", HOSTILE[name]), device="cpu")


def test_the_checkpoint_that_is_spoilt_is_sound_before(tmp_path: Path, finished_run: Path) -> None:
    run = spoilt(finished_run, tmp_path / "run", lambda content: None)
    assert len(open_sampler(run, device="cpu").draw(3)) == 3
