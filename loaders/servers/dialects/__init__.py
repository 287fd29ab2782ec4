"""How each server wants to be asked, a file each: pure, wire JSON in and out, no network."""
