"""Model text into values; every text is hostile data until it is checked here."""
