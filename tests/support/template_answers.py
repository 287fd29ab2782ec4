"""What every template answers as it is shipped, with the demo model."""

MOVES = "A white square moves to the left"
# What nodes show, by template and node: parts of it, in their order.
ANSWERS = {
    "caption_folder": {"2": ["written words.png", "written 13, skipped 0, failed 0"]},
    "just_caption": {"3": ["A red square, a yellow star, a pink cross, a blue square and a black"]},
    "caption_image": {"3": ["A blue heart, a white circle and an orange diamond."]},
    "chat": {"4": ["Picture 1."], "5": ["Picture 2."], "6": ["Picture 2."]},
    "compare_pictures": {"4": ["Picture 1."]},
    "detect_and_draw": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "detect_crop_caption": {"6": ["A blue star.", "A purple square."]},
    "detect_mask_inpaint": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "detect_to_sam3_masks": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "document_folder": {"2": ["written two_pages.pdf", "written 1, skipped 0, failed 0"]},
    "document_pdf": {"3": ["# Harbor", "| 913.56 | 4 | 933.32 |", "# Moss Kitten Turtle"]},
    "extract_fields": {
        "3": ['{"time": "23:35", "item": "Robot", "price": "125.28"}'],
        "4": ["125.28"],
    },
    "folder_pieces": {"4": ["skipped 0, failed 0"]},
    "gui_action": {"3": ["Click at (25", ", 4"]},
    "parse_text": {"3": ["3 found"]},
    "picture_to_code": {"3": ["Jungle Silk Kus</h1>", "<td>872.47</td>", "</body></html>"]},
    "point_to_sam3": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "read_text": {"3": ["tree\nWheat Border\nRoyal 995\nSpoon BEST stable"]},
    "video_describe": {"4": [MOVES], "5": ["red cross is visible"]},
    "video_events": {"4": [MOVES, "A red cross"], "6": ["00:00.00", "white square"]},
}
# What the demo cannot do says what it needs, before any weight is read.
NEEDS = {
    "caption_on_server": "The server 'vLLM' cannot be reached",
    "detect_3d_overlay": "Qwen3-VL-4B-Instruct is not on this machine.",
    "prompt_enhancer": "Qwen3-VL-4B-Instruct is not on this machine.",
    "zoom": "Qwen3-VL-4B-Instruct is not on this machine.",
}


def has_in_order(said: str, parts: list[str]) -> bool:
    """Whether a text has all parts, in their order."""
    places = [said.find(part) for part in parts]
    return min(places) >= 0 and places == sorted(places)


def check_answers(name: str, outputs: dict) -> None:
    """Assert that a template's run left in the history what its nodes should say."""
    for node, parts in ANSWERS[name].items():
        said = "\n".join(outputs[node]["text"])
        assert has_in_order(said, parts), (name, node, said)
