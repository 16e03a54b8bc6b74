"""Steps of a gradient penalty without autograd: the gradients of a critic in closed form."""

__all__: list[str] = []
