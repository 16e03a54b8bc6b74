"""What is done with run folders: train, resume, evaluate, compare, visualize, export."""

__all__: list[str] = []
