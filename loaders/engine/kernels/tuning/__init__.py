"""Which blocks a kernel takes on a card that nobody has measured: tried once, then remembered."""
