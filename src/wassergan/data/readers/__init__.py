"""Readers: files and arrays of every kind into samples."""

__all__: list[str] = []
