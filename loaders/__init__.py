"""Where models live: catalog, checkpoints, the model cache and the engines. Knows no node."""
