"""One folder run, from listing to ledger (I/O); generate, interrupt and progress are handed in."""
