"""The folders that may be used (I/O): names, roots, listings, and handles that no link moves."""
