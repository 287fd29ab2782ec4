"""From lessons to weights: tensors, the network with stock names, optimizers and the loop."""
