"""Acting: calls of tools as checked actions, steps of a task, looking closer; nothing is run."""
