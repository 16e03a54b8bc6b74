from wassergan.session.loop import History
from wassergan.session.state import Best


def test_a_best_in_another_unit_is_beaten_by_the_next_tick() -> None:
    """Runs of before kept sliced W1 of pixels, which is smaller than that of patches."""
    former = Best.of({"sliced_w1": 0.03, "step": 4})
    assert former == Best(0.03, 4, "sliced_w1")
    history = History(former).after({"step": 8, "patch_sliced_w1": 0.2, "patch_sliced_w1_28": 0.3})
    assert history.best == Best(0.2, 8, "patch_sliced_w1") and history.waited == 0
    later = history.after({"step": 9, "patch_sliced_w1": 0.2})
    assert later.best == history.best and later.waited == 1


def test_the_best_of_a_checkpoint_comes_back() -> None:
    best = Best(0.25, 7, "patch_sliced_w1")
    assert Best.of({"distance": 0.25, "step": 7, "metric": "patch_sliced_w1"}) == best
