"""What is in a checkpoint, told from its files before anything is built."""
