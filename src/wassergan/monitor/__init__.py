"""Has my data changed, by how much, and is it sure? Tests and monitors with error rates that hold."""

from wassergan.monitor.two_sample import STATISTICS, TwoSampleResult, two_sample_test

__all__ = ["STATISTICS", "TwoSampleResult", "two_sample_test"]
