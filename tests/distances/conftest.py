from hypothesis import settings

# No deadline: a loaded machine is no failing property.
settings.register_profile("distances", deadline=None, max_examples=40)
settings.load_profile("distances")
