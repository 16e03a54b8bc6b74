"""What is done with run folders: train, resume, evaluate, compare, visualize."""

__all__: list[str] = []
