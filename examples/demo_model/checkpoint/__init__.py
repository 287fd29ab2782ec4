"""The checkpoint's files: tokenizer, configuration and template, and weights out of a training."""
