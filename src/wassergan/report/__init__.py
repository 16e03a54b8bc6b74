"""A run folder as one page."""

from wassergan.report.page import verdict, write_report

__all__ = ["verdict", "write_report"]
