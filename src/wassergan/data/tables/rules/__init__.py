"""Rules between columns: read, checked against the data, and kept in every row that is drawn."""

__all__: list[str] = []
