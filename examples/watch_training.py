"""Follow a run from your own code: a callback that keeps the best distance and counts ticks without progress."""

from pathlib import Path

from wassergan import Callback, TrainSettings, train_run


class StandsStill(Callback):
    """Counts ticks without a better distance to held-out samples; it does not change the training."""

    def __init__(self, patience: int) -> None:
        self.patience, self.best, self.waited = patience, float("inf"), 0

    def on_tick(self, record):
        better = record["patch_sliced_w1"] < self.best
        self.waited = 0 if better else self.waited + 1
        self.best = min(self.best, record["patch_sliced_w1"])
        print(f"step {record['step']:6}: patch-sliced W1 {record['patch_sliced_w1']:.4f}{' (best)' if better else ''}")


def main(steps: int = 1000, folder: Path = Path("runs/example-watched")) -> None:
    watcher = StandsStill(patience=3)
    settings = TrainSettings("digits", steps=steps, seed=0, tick_steps=max(1, steps // 10))
    train_run(settings, folder, callback=watcher, interrupted=lambda: watcher.waited >= watcher.patience)
    print(f"best: {watcher.best:.4f}; the run can be resumed: wassergan resume {folder} --steps {2 * steps}")


if __name__ == "__main__":
    main()
