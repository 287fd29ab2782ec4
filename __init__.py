"""Qwen3-VL for ComfyUI: captions, questions, boxes, points, documents and video."""

import logging

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI calls this once; it logs failures as one line, so the traceback is logged here."""
    try:
        from .nodes import Qwen3VLExtension

        return Qwen3VLExtension()
    except Exception:
        logging.getLogger(__name__).exception("The Qwen3-VL pack could not be loaded")
        raise
