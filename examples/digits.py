"""Train on pictures, resume the run, and draw a grid of samples."""

from pathlib import Path

from wassergan import TrainSettings, open_sampler, resume_run, train_run
from wassergan.modality import modality_of


def main(steps: int = 1000, folder: Path = Path("runs/example-digits")) -> None:
    summary = train_run(TrainSettings("digits", steps=steps, seed=0), folder)
    print(
        f"after {summary['steps']} steps: patch-sliced W1 {summary['patch_sliced_w1']:.4f}, "
        f"floor {summary['patch_sliced_w1_floor']:.4f}"
    )

    summary = resume_run(folder, {"steps": 2 * steps})
    print(f"after {summary['steps']} steps: patch-sliced W1 {summary['patch_sliced_w1']:.4f}")

    sampler = open_sampler(folder)  # needs only the run folder, not the data
    samples = sampler.draw(64, seed=1)
    modality_of(sampler.kind).save_picture(samples, folder / "grid.png", sampler.codec)
    print(f"64 digits of shape {samples.shape[1:]} in {folder / 'grid.png'}")


if __name__ == "__main__":
    main()
