"""Which checkpoints there are, here and on the hubs, and how they come here."""
