"""A network beside all of people's data at once."""
