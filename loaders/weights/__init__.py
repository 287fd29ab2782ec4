"""From files to a module with weights: built empty, filled, adapted."""
