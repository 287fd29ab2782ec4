"""A layer of experts: chosen, multiplied in groups and added up on the device."""
