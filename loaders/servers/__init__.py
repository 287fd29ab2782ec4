"""Models on servers that speak the OpenAI style; no weights here, and no words of a task."""
