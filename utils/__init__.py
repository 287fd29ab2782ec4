"""Pure rooms: values, prompts, parsing, pictures. No comfy, no transformers."""
