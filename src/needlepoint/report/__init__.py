"""Pages made from records alone."""

from needlepoint.report.page import build_report

__all__ = ["build_report"]
