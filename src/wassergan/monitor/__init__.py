"""Has my data changed, by how much, and is it sure? Tests and monitors with error rates that hold."""

from wassergan.monitor.batch_report import BatchReport, MovedRow
from wassergan.monitor.by_column import StreamedDrift, streamed_drifts
from wassergan.monitor.columns import ColumnDrift
from wassergan.monitor.correction import corrected
from wassergan.monitor.evidence import Evidence, EvidenceProcess
from wassergan.monitor.monitor import W1Monitor
from wassergan.monitor.seasonal import SeasonalMonitor
from wassergan.monitor.two_sample import STATISTICS, TwoSampleResult, two_sample_test

__all__ = [
    "STATISTICS",
    "BatchReport",
    "ColumnDrift",
    "Evidence",
    "EvidenceProcess",
    "MovedRow",
    "SeasonalMonitor",
    "StreamedDrift",
    "TwoSampleResult",
    "W1Monitor",
    "corrected",
    "streamed_drifts",
    "two_sample_test",
]
