"""Files and folders (I/O): allowed paths, listings, whole writes, locks. Knows no caption."""
