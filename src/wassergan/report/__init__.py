"""A run folder as one page."""

from wassergan.report.page import write_report

__all__ = ["write_report"]
