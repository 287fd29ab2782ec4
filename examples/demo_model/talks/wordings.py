"""What users ask: several wordings of each task, the first as Qwen writes it."""

# ruff: noqa: E501 (prompts are quoted whole)
from __future__ import annotations

SHORT = (
    "Describe this image in one sentence.",
    "Describe this image.",
    "Describe the picture.",
    "What is in this image?",
    "What is in the picture?",
    "What do you see?",
    "Caption this image.",
    "Write a short caption.",
    "What does the image show?",
    "Give a caption for this picture.",
    "Describe this picture briefly.",
    "What objects are in the image?",
    "Tell me what you see.",
    "Please describe the image.",
    "List the objects.",
    "Name all the objects in the picture.",
)
DETAILED = (
    "Describe this image in detail.",
    "Describe the picture in detail.",
    "Give a detailed description.",
    "Write a long description of this image.",
    "Describe everything you see in detail.",
    "Provide a detailed caption.",
    "Describe this image in detail: objects, sizes, colors and positions.",
)
TAGS = (
    "List tags for this image.",
    "Tags for this picture, separated by commas.",
    "Give me tags.",
    "Write booru tags for this image.",
)
PROMPT = (
    "Write a prompt for this image.",
    "Write a text-to-image prompt for this picture.",
    "Which prompt would make this image?",
    "Turn this image into a prompt.",
)
ALT_TEXT = (
    "Write alt text for this image.",
    "Alt text, please.",
    "Give an alt text for the picture.",
)
TRAINING = (
    "Write a training caption.",
    "Write a caption for training a model.",
    "Caption this image for a LoRA.",
)
STYLE = (
    "Describe the style of this image.",
    "What style is this picture in?",
    "Which style is this?",
)
COUNT_KINDS = (
    "Count the objects by kind.",
    "How many of each kind of object are there?",
    "List each kind of object with its number.",
)
COUNT_ALL = (
    "How many objects are in the picture?",
    "How many objects are there?",
    "Count the objects.",
    "How many things do you see?",
    "How many shapes are in this image?",
    "Count the shapes.",
)
COUNT_SOME = (
    "How many {} are there?",
    "Count the {}.",
    "How many {} are in the picture?",
    "How many {} do you see?",
    "What is the number of {} in the image?",
)
IS_THERE = (
    "Is there {} in the picture?",
    "Is there {}?",
    "Do you see {}?",
    "Does the image show {}?",
    "Is {} in this image?",
    "Can you see {} here?",
)
WHICH_COLOUR = (
    "What color is the {}?",
    "What is the color of the {}?",
    "Which color is the {}?",
    "What colour is the {}?",
)
WHICH_SHAPE = (
    "What shape is the {} object?",
    "What is the shape of the {} object?",
    "Which shape is {}?",
    "What is the {} thing?",
)
WHICH_SIZE = ("How big is the {}?", "What size is the {}?", "Is the {} small, medium or large?")
WHERE = (
    "Where is the {}?",
    "Where in the picture is the {}?",
    "In which part of the image is the {}?",
)
EXTREME = {
    "largest": (
        "What is the largest object?",
        "Which object is the biggest?",
        "Name the largest shape.",
    ),
    "smallest": (
        "What is the smallest object?",
        "Which object is the smallest?",
        "Name the smallest shape.",
    ),
    "left": (
        "What is on the far left?",
        "Which object is furthest left?",
        "Name the leftmost object.",
    ),
    "right": (
        "What is on the far right?",
        "Which object is furthest right?",
        "Name the rightmost object.",
    ),
    "top": (
        "Which object is at the top?",
        "What is the topmost object?",
        "Name the highest object.",
    ),
    "bottom": ("Which object is at the bottom?", "What is the lowest object?"),
}
GROUND = (
    "What is the background like?",
    "Describe the background.",
    "What kind of background is it?",
)

BOXES = (
    'locate every instance that belongs to the following categories: "{}". Report bbox coordinates in JSON format.',
    'Locate every instance that belongs to the following categories: "{}". Report bbox coordinates in JSON format.',
    "Detect all {} in the image and return their locations as bbox JSON.",
    "Detect {}. Output bounding boxes in JSON.",
    "Find every {} and report bbox coordinates in JSON format.",
    "Give the bounding boxes of: {}.",
    "Outline the position of each {} and output all bbox coordinates in JSON format.",
)
ATTRIBUTES = (
    'locate every instance that belongs to the following categories: "{0}". For each {0}, report bbox '
    "coordinates, {1} in JSON format like this: {2}",
    "For each {0}, report bbox coordinates, {1} in JSON format like this: {2}",
    "Locate every {0} and report {1} in JSON format like this: {2}",
)
REFERRING = (
    'Locate every object that matches the description "{}" in the image. Report bbox coordinates in JSON format.',
    'Where is "{}"? Report bbox coordinates in JSON format.',
    'Locate "{}" and output its bbox in JSON.',
    'Find the object that matches "{}" and give its bounding box as JSON.',
)
POINTS = (
    "Locate every {0} with points, report their point coordinates in JSON format like this: "
    '{{"point_2d": [x, y], "label": "{0}"}}',
    "Point to every {0}. Output point coordinates in JSON format.",
    "Point at the {0}, answer in JSON.",
    "Locate {0} with points, report their point coordinates in JSON format.",
)
READ = (
    "Read all the text in the image.",
    "Read the text.",
    "What does the text say?",
    "What is written here?",
    "Please output only the text content from the image without any additional descriptions or formatting.",
    "Transcribe the text in this image.",
    "OCR this image.",
    "Extract the text.",
    "What text is in the picture?",
)
SPOT = (
    "Spotting all the text in the image with line-level, and output in JSON format as "
    "[{{'bbox_2d': [x1, y1, x2, y2], 'text_content': 'text'}}, ...].",
    "Detect all text lines and output bbox and text_content in JSON.",
    "Find every line of text and report its bbox and text_content in JSON format.",
)
KEY_VALUES = (
    "Extract the key-value information in the format: {}",
    "Extract the information as JSON: {}",
    "Fill in this JSON from the image: {}",
)
FIELD = ("What is the {}?", "Which {} is given?", "Read the {}.")
MARKDOWN = (
    "qwenvl markdown",
    "QwenVL Markdown",
    "Convert this page to markdown.",
    "Parse this document to markdown.",
)
HTML = (
    "qwenvl html",
    "QwenVL HTML",
    "Convert this page to HTML.",
    "Parse this document to HTML with boxes.",
)

HOW_MANY_PICTURES = (
    "How many pictures are there?",
    "How many images do you see?",
    "Count the pictures.",
)
WHICH_PICTURE = (
    "Which picture shows {}?",
    "Which image contains {}?",
    "In which picture is there {}?",
    "Which of the pictures has {}?",
)
EACH_PICTURE = (
    "Describe each picture.",
    "Describe each image in one sentence.",
    "What is in each picture?",
    "Describe the pictures one by one.",
    "Caption every image.",
)
ONE_PICTURE = (
    "What is in picture {}?",
    "Describe picture {}.",
    "Describe image {}.",
    "What does picture {} show?",
)
MORE_OBJECTS = (
    "Which picture has more objects?",
    "Which image contains more objects?",
    "In which picture are there more objects?",
)

EVENTS = (
    "Localize a series of activity events in the video, output the start and end timestamp for each event, "
    "and describe each event with sentences. Provide the result in json format with 'mm:ss.ff' format for "
    "time depiction.",
    "List the events of the video with start and end in JSON, times as mm:ss.ff.",
    "When does what happen in the video? Answer in json with 'mm:ss.ff' times.",
    "Find all events in this video and give their start and end timestamps as JSON.",
)
AT_SECOND = (
    "What happens at second {}?",
    "What is visible at {} seconds?",
    "What do you see at second {}?",
    "What is going on at second {} of the video?",
)
VIDEO = (
    "Describe this video.",
    "What happens in the video?",
    "Describe the video in one sentence.",
    "What does this video show?",
    "Caption the video.",
)
GROUNDING = (
    'Given the query "{}", for each frame, detect and localize the visual content described by the given '
    "textual query in JSON format. If the visual content does not exist in a frame, skip that frame. "
    'Output Format: [{{"time": 1.0, "bbox_2d": [x_min, y_min, x_max, y_max], "label": ""}}, …].',
    'Given the query "{}", for each frame, detect and localize the visual content described by the given '
    "textual query in JSON format. If the visual content does not exist in a frame, skip that frame. "
    'Output Format: [{{"time": 1.0, "bbox_2d": [x_min, y_min, x_max, y_max], "label": ""}}, ...].',
)
CLICK = (
    "Click the {}.",
    "Click on the {}.",
    "click {}",
    "Please click the {}.",
    "Press the {}.",
    "Tap the {}.",
    "Select the {}.",
    "Move to the {} and click it.",
    "The user query: Click the {}.",
)
CLICK_BUTTON = (
    "Click the {} button.",
    "Click {}.",
    'Click on "{}".',
    "Press {}.",
    "Press the {} button.",
    'Click the button that says "{}".',
    "The user query: Click the {} button.",
)
SYSTEMS = (
    "You are a helpful assistant.",
    "You are Qwen, a vision language model.",
    "You describe pictures.",
    "Answer briefly and precisely.",
    "You are an image captioner.",
)
