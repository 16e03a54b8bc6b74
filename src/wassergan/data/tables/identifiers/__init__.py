"""Identifiers: which columns are some, the pattern of their values, and fresh values in that pattern."""

__all__: list[str] = []
