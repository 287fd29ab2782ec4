"""The nodes, in menu order; the only room that knows comfy_api."""

from comfy_api.latest import ComfyExtension, io

from .agents.gui_action import Qwen3VLGuiAction
from .agents.zoom import Qwen3VLZoom
from .asking.ask import Qwen3VLAsk
from .asking.caption import Qwen3VLCaption
from .asking.chat import Qwen3VLChat
from .asking.chat_files import Qwen3VLLoadChat, Qwen3VLSaveChat
from .asking.compare import Qwen3VLCompare
from .asking.enhance import Qwen3VLEnhancePrompt
from .asking.wildcards import Qwen3VLWildcards
from .detection.camera import Qwen3VLCamera
from .detection.choose import (
    Qwen3VLFilterBoxes,
    Qwen3VLMergeBoxes,
    Qwen3VLPickBox,
    Qwen3VLScaleBoxes,
    Qwen3VLSelectBoxes,
)
from .detection.convert import (
    Qwen3VLBoxesToMask,
    Qwen3VLBoxesToSAM2,
    Qwen3VLBoxesToSEGS,
    Qwen3VLCoordinatesToPoints,
    Qwen3VLPointsToCoordinates,
)
from .detection.crop import Qwen3VLCropBoxes
from .detection.detect import Qwen3VLDetect
from .detection.detect_3d import Qwen3VLDetect3D
from .detection.draw import Qwen3VLDrawDetections
from .detection.parse import Qwen3VLParseDetections
from .detection.point import Qwen3VLPoint
from .detection.to_text import Qwen3VLBoxesToText
from .examples.example_files import Qwen3VLExampleClip, Qwen3VLExamplePicture
from .folders.caption_folder import Qwen3VLCaptionFolder
from .folders.caption_review import Qwen3VLCaptionReview
from .folders.edit_caption import Qwen3VLEditCaption
from .folders.folder_images import Qwen3VLFolderImages
from .folders.save_captions import Qwen3VLSaveCaptions
from .models.from_clip import Qwen3VLFromClip
from .models.loader import Qwen3VLLoader
from .models.lora import Qwen3VLLora
from .models.options import Qwen3VLOptions
from .models.server import Qwen3VLServer
from .models.unload import Qwen3VLUnload
from .reading.code import Qwen3VLCode
from .reading.document import Qwen3VLDocument
from .reading.document_folder import Qwen3VLDocumentFolder
from .reading.extract import Qwen3VLExtract
from .reading.pdf import Qwen3VLLoadPDF
from .reading.pick_field import Qwen3VLPickField
from .reading.read_text import Qwen3VLReadText
from .video.event_list import Qwen3VLEvents
from .video.video import Qwen3VLVideo

NODES: list[type[io.ComfyNode]] = [
    Qwen3VLLoader,
    Qwen3VLServer,
    Qwen3VLFromClip,
    Qwen3VLLora,
    Qwen3VLUnload,
    Qwen3VLOptions,
    Qwen3VLCaption,
    Qwen3VLAsk,
    Qwen3VLCompare,
    Qwen3VLChat,
    Qwen3VLSaveChat,
    Qwen3VLLoadChat,
    Qwen3VLEnhancePrompt,
    Qwen3VLWildcards,
    Qwen3VLCaptionFolder,
    Qwen3VLFolderImages,
    Qwen3VLSaveCaptions,
    Qwen3VLCaptionReview,
    Qwen3VLEditCaption,
    Qwen3VLDetect,
    Qwen3VLPoint,
    Qwen3VLDetect3D,
    Qwen3VLCamera,
    Qwen3VLParseDetections,
    Qwen3VLDrawDetections,
    Qwen3VLSelectBoxes,
    Qwen3VLPickBox,
    Qwen3VLFilterBoxes,
    Qwen3VLMergeBoxes,
    Qwen3VLScaleBoxes,
    Qwen3VLCropBoxes,
    Qwen3VLBoxesToMask,
    Qwen3VLBoxesToSAM2,
    Qwen3VLBoxesToSEGS,
    Qwen3VLBoxesToText,
    Qwen3VLPointsToCoordinates,
    Qwen3VLCoordinatesToPoints,
    Qwen3VLGuiAction,
    Qwen3VLZoom,
    Qwen3VLVideo,
    Qwen3VLEvents,
    Qwen3VLReadText,
    Qwen3VLDocument,
    Qwen3VLLoadPDF,
    Qwen3VLExtract,
    Qwen3VLPickField,
    Qwen3VLCode,
    Qwen3VLDocumentFolder,
    Qwen3VLExamplePicture,
    Qwen3VLExampleClip,
]


class Qwen3VLExtension(ComfyExtension):
    """What ComfyUI gets from `comfy_entrypoint`."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return NODES
