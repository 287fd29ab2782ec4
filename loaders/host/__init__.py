"""The port to whoever owns memory and folders: ComfyUI, or plain torch in a script."""
