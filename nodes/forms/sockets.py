"""The pack's sockets. A published string is for ever: append only."""

from comfy_api.latest import io

Model = io.Custom("QWEN3VL_MODEL")
Options = io.Custom("QWEN3VL_OPTIONS")
Chat = io.Custom("QWEN3VL_CHAT")

# Both names, so that it links to other packs' BOX and to core's BOUNDING_BOX.
Box = io.Custom("BOX,BOUNDING_BOX")
Point = io.Custom("POINT")
Box3D = io.Custom("BOX3D")
Camera = io.Custom("QWEN3VL_CAMERA")
# Pages of a document that are read when they are wanted: utils.files.pdf_pages.PdfPages.
Pages = io.Custom("QWEN3VL_PAGES")
# Of other packs: xyxy lists of the SAM2 nodes, segments of the Impact Pack.
Sam2Boxes = io.Custom("BBOX")
Segs = io.Custom("SEGS")

CATEGORY = "Qwen3-VL"
BOXES_CATEGORY = "Qwen3-VL/boxes"
READING_CATEGORY = "Qwen3-VL/reading"
