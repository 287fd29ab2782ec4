"""How a checkpoint will be loaded on this machine, decided and said before any weight is read."""
