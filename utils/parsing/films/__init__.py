"""What models say of films: events in time, and things that move."""
