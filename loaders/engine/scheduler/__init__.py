"""Which sequence is read, stepped, put back or answered, and when."""
