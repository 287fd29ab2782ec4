"""What a run remembers on the device: pages, shared beginnings, rows, samplers."""
