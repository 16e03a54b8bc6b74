"""Judging pictures and fields as pictures: by their patches and by small convolutional networks."""

__all__: list[str] = []
