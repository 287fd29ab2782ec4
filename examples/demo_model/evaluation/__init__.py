"""How well the model does: figures and a sheet of its answers. Nothing here is trained on."""
