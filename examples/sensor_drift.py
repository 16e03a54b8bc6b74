"""Industry: has a sensor drifted? Batches of readings against a reference, with an alarm whose error rate holds."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from wassergan.monitor import W1Monitor


def readings(count: int, seed: int, drift: float = 0.0) -> pd.DataFrame:
    """Temperature, pressure and vibration of a pump; the drift is one of the pressure, in bar."""
    rng = np.random.default_rng(seed)
    temperature = rng.normal(70, 3, count)
    pressure = 2 + 0.02 * temperature + rng.normal(0, 0.1, count) + drift
    return pd.DataFrame(
        {"temperature": temperature, "pressure": pressure, "vibration": rng.gamma(3, 0.2, count)}
    ).round(4)


def main(steps: int = 200) -> None:
    monitor = W1Monitor(readings(1000, seed=0), alpha=0.01, permutations=max(99, steps))
    reports = []
    for day in range(8):
        report = monitor.check(readings(300, seed=day + 1, drift=0.0 if day < 4 else 0.04 * (day - 3)))
        reports.append(report)
        moved = ", ".join(f"{each.name} by {each.w1:.3g}" for each in report.moved) or "nothing"
        print(f"day {day + 1}: p {report.p_value:.3f}, alarm {'yes' if report.alarm else 'no '}, moved: {moved}")
    print("alarm of the whole stream on day", monitor.evidence.alarm_at)

    days = np.arange(1, 9)
    figure, axis = plt.subplots(figsize=(8, 3))
    axis.plot(days, [each.w1 for each in reports], marker="o", label="W1 from the reference")
    axis.plot(days, [each.floor for each in reports], marker=".", color="0.6", label="what chance explains")
    for day in (day for day, each in zip(days, reports, strict=True) if each.alarm):
        axis.axvspan(day - 0.5, day + 0.5, color="C3", alpha=0.15)
    axis.set(xlabel="day; alarms shaded", ylabel="W1, scaled columns")
    axis.legend()
    figure.savefig("sensor_drift.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
