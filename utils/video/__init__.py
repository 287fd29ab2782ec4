"""Films: which moments a model sees, how their frames are read, and times as text; no model."""
