import re
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import open_source
from wassergan.errors import UserError, WorkError
from wassergan.modality.recipes import resolve_for
from wassergan.session import build as building
from wassergan.session.build import build_trainer, choose_device, device_is_here
from wassergan.training import DistributedContext, Trainer


def built(**given: object) -> Trainer:
    source = open_source(np.random.default_rng(0).normal(size=(60, 2)))
    settings = TrainSettings(**{"generator_widths": (8,), "critic_widths": (8,), "batch_size": 8, **given})  # type: ignore[arg-type]
    return build_trainer(resolve_for(settings, source), source)


def test_devices_are_chosen_by_name() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "meta", "mps:1", "cuda:x"):
        with pytest.raises(UserError, match=f"Unknown device: '{name}'. Use auto, cpu, cuda, cuda:N or mps"):
            choose_device(name)
    with pytest.raises(UserError, match=r"There is no device cuda:99: \d+ CUDA devices\. Use cpu"):
        choose_device("cuda:99")


@pytest.mark.parametrize("here", [False, True])
def test_the_gpu_of_a_mac_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: here)
    assert device_is_here("mps") is here
    if here:
        assert choose_device("mps") == torch.device("mps")
    else:
        with pytest.raises(UserError, match=r"There is no device mps: no GPU of Apple's that torch can use\. Use cpu"):
            choose_device("mps")


def test_threads_follow_the_setting_then_the_environment_then_the_size_of_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    built(threads=3)
    assert chosen == [3]
    built()
    assert chosen == [3]
    monkeypatch.delenv("OMP_NUM_THREADS")
    built()
    assert chosen == [3, 1]
    built(critic_widths=(2500, 2500))
    assert chosen == [3, 1, building.ALL_THREADS]


def test_the_trainer_is_what_the_settings_say() -> None:
    trainer = built(
        constraint="gp", penalty_weight=3.0, critic_steps=4, latent_dim=5, optimizer="rmsprop", critic_lr=0.25
    )
    assert (trainer.constraint.name, trainer.constraint.weight) == ("gp", 3.0)  # type: ignore[attr-defined]
    assert (trainer.critic_steps, trainer.batch_size, trainer.latent_dim) == (4, 8, 5)
    assert trainer._runner._critic_optimizer.lr == 0.25
    assert trainer._runner._critic_optimizer.betas == (0.0, 0.99)


@pytest.mark.parametrize("units", [True, False])
def test_auto_takes_bfloat16_for_large_networks_where_there_are_matrix_units(
    monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr(building, "has_bf16_units", lambda device: units)
    assert built(precision="auto").precision == "float32"  # small
    monkeypatch.setattr(building, "SMALL_WEIGHTS", 10)
    large = "bf16" if units else "float32"
    assert built(precision="auto").precision == large
    assert built(precision="auto", constraint="orthogonal", critic_activation="maxmin").precision == "float32"
    assert built(precision="bf16").precision == "bf16"
    assert built(precision="float32").precision == "float32"


def test_matrix_units_are_asked_for_where_torch_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda found=found: found)
        assert building.has_bf16_units(torch.device("cpu")) is found
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not building.has_bf16_units(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert building.has_bf16_units(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not building.has_bf16_units(torch.device("cuda"))


def test_settings_with_a_hole_are_not_resolved() -> None:
    source = open_source(np.random.default_rng(0).normal(size=(60, 2)))
    whole = resolve_for(TrainSettings(batch_size=16), source)
    assert build_trainer(whole, source).batch_size == whole.batch_size
    with pytest.raises(UserError, match="network is open"):
        ResolvedSettings.of(replace(TrainSettings(**asdict(whole)), network=None))


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    # Ranks 2 and 3 of four processes on two machines.
    devices = [
        choose_device(name, DistributedContext(rank=2 + local, count=4, local_rank=local, local_count=2))
        for local in (0, 1)
    ]
    assert devices == [torch.device("cuda:0"), torch.device("cuda:1")]
    with pytest.raises(UserError, match=r"3 processes on a machine need a GPU each: device=\"cuda\", 2 CUDA devices"):
        choose_device(name, DistributedContext(rank=2, count=3, local_rank=2, local_count=3))


def test_one_gpu_cannot_be_named_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match='device="cuda:1"'):
        choose_device("cuda:1", DistributedContext(count=2, local_count=2))
    assert choose_device("cpu", DistributedContext(count=2, local_count=2)) == torch.device("cpu")


def test_cuda_graphs_are_for_cuda_devices_and_a_choice_of_three() -> None:
    with pytest.raises(UserError, match=r"CUDA graphs need a CUDA device: cpu\. Leave `cuda_graphs` out"):
        built(device="cpu", cuda_graphs="on")
    with pytest.raises(UserError, match=r"Unknown choice of CUDA graphs: 'yes'.*Known: auto, on, off"):
        built(cuda_graphs="yes")
    for choice in ("auto", "off"):
        built(device="cpu", cuda_graphs=choice).train(steps=5, tick_due=lambda step: False)


class Unable:
    """A recorder of a device on which nothing can be recorded."""

    def warm_up(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("not here")


def test_who_insists_on_cuda_graphs_is_stopped_where_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(np.random.default_rng(0).normal(size=(60, 2)))
    told: list[str] = []
    monkeypatch.setattr(building, "_recorder", lambda settings, device: Unable())
    for choice in ("auto", "on"):
        settings = TrainSettings(cuda_graphs=choice, generator_widths=(8,), critic_widths=(8,), batch_size=8)
        resolved = resolve_for(settings, source)
        trainer = build_trainer(resolved, source, log=told.append)
        if choice == "on":
            with pytest.raises(WorkError, match=r"cannot be recorded \(not here\)\. Leave cuda_graphs=\"on\" out"):
                trainer.train(steps=9, tick_due=lambda step: False)
        else:
            trainer.train(steps=9, tick_due=lambda step: False)
    assert told == ["CUDA graphs are off: the steps cannot be recorded (not here)"]


def a_run_with_all_data_settings() -> TrainSettings:
    """Each setting of the data differs from its default, so that one that is forgotten is seen."""
    return TrainSettings(
        data="train.npz",
        size=(9, 7),
        colour="grey",
        skip_unreadable=True,
        key="rain",
        sample_dim="time",
        sheet="May",
        layout="NCHW",
        scale="array",
        missing=(-9999,),
        channels=("u", "v"),
        schema="schema.json",
        condition=("day",),
        completion=True,
        labels="labels.csv",
        condition_array="coarse.npy",
        condition_layout="NCHW",
        weight="w",
        series="patient",
        time="hour",
        window=24,
        stride=3,
        crop=(4, 5, 6),
        heldout=0.25,
        seed=7,
    )


@pytest.mark.parametrize("other", [False, True])
def test_every_setting_of_the_data_reaches_what_opens_them(other: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, asked = a_run_with_all_data_settings(), {}  # type: ignore[var-annotated]
    monkeypatch.setattr(building, "open_source", lambda data, **options: asked.update(options, data=data))
    own = open_source(np.random.default_rng(0).normal(size=(60, 2)))
    building.open_data(settings, log=print, **({"data": "other.npz", "like": own} if other else {}))  # type: ignore[arg-type]
    names = [each.name for each in fields(TrainSettings) if each.metadata.get("group") == "Data"]
    assert len(names) >= 13
    for name in names:
        value = getattr(settings, name)
        assert value != getattr(TrainSettings(), name), f"{name}: give it another value than its default above"
        # Other samples have no labels, no weights and no hidden cells of the run's own.
        unset = {"condition": (), "completion": False, "labels": None, "weight": None}
        unset |= {"condition_array": None, "condition_layout": "auto"}
        expected = unset.get(name, value) if other else value
        assert asked.pop(name) == expected, name
    assert asked == {
        "data": "other.npz" if other else "train.npz",
        "like": own if other else None,
        "seed": 7,
        "log": print,
    }


def test_nothing_else_opens_the_data_of_a_run() -> None:
    package = Path(building.__file__).parents[1]
    users = {"session/build.py", "__init__.py", "cli/info.py", "data/open.py"}
    users |= {"estimator/rows.py"}  # rows in memory
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bopen_source\(", path.read_text(encoding="utf-8"))
    }
    assert found <= users
