"""A caption on disk (I/O): its recipe, wording, place, journal and ledger. Runs nothing."""
