"""What is asked and answered: messages, options, tasks, official sampling. Runs no model."""
