"""What nodes of several tasks do when they run."""
