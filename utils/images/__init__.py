"""Pictures: bytes and tensors in, RGB pixels out. Opens no file."""
