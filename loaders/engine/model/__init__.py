"""The forward passes in plain torch: text tower, vision tower, attention."""
