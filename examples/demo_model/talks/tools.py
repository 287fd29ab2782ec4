"""Function signatures as an agent's system prompt carries them, in several lengths."""

# ruff: noqa: E501 (prompts are quoted whole)
from __future__ import annotations

import random

_COMPUTER = (
    "Use a mouse and keyboard to interact with a computer, and take screenshots.",
    "* This is an interface to a desktop GUI. You do not have access to a terminal or applications menu. "
    "You must click on desktop icons to start applications.",
    "* Some applications may take time to start or process actions, so you may need to wait and take "
    "successive screenshots to see the results of your actions.",
    "* The screen's resolution is 1000x1000.",
    "* Whenever you intend to move the cursor to click on an element like an icon, you should consult a "
    "screenshot to determine the coordinates of the element before moving the cursor.",
    "* Make sure to click any buttons, links, icons, etc with the cursor tip in the center of the element.",
)
_MOBILE = (
    "Use a touchscreen to interact with a mobile device, and take screenshots.",
    "* This is an interface to a mobile device with touchscreen. You can perform actions like clicking, "
    "typing, swiping, etc.",
    "* The screen's resolution is 999x999.",
    "* Make sure to click any buttons, links, icons, etc with the cursor tip in the center of the element.",
)
_COMPUTER_ACTIONS = (
    "key",
    "type",
    "mouse_move",
    "left_click",
    "left_click_drag",
    "right_click",
    "middle_click",
    "double_click",
    "triple_click",
    "scroll",
    "hscroll",
    "wait",
    "terminate",
    "answer",
)
_MOBILE_ACTIONS = (
    "click",
    "long_press",
    "swipe",
    "type",
    "answer",
    "system_button",
    "wait",
    "terminate",
)
_ARGUMENTS = {
    "keys": ("array", "Required only by `action=key`."),
    "text": ("string", "Required only by `action=type` and `action=answer`."),
    "coordinate": (
        "array",
        "(x, y): The x (pixels from the left edge) and y (pixels from the top edge) "
        "coordinates to move the mouse to.",
    ),
    "coordinate2": ("array", "(x, y): The end of a swipe."),
    "pixels": ("number", "The amount of scrolling to perform."),
    "time": ("number", "The seconds to wait."),
    "button": ("string", "Back, Home, Menu or Enter."),
    "status": ("string", "The status of the task: success or failure."),
}


def signature(rng: random.Random, mobile: bool) -> dict:
    """A tool description; sentences, actions and arguments drop out at random so none is relied on."""
    name, lines, actions = (
        ("mobile_use", _MOBILE, _MOBILE_ACTIONS)
        if mobile
        else ("computer_use", _COMPUTER, _COMPUTER_ACTIONS)
    )
    keep = rng.choice((0.0, 0.3, 0.7, 1.0))
    needed = "click" if mobile else "left_click"
    shown = [a for a in actions if a == needed or rng.random() < keep]
    arguments = {
        k: {"description": text, "type": kind}
        for k, (kind, text) in _ARGUMENTS.items()
        if k == "coordinate" or rng.random() < keep
    }
    action = {"description": "The action to perform.", "enum": shown, "type": "string"}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": "\n".join([lines[0], *(t for t in lines[1:] if rng.random() < keep)]),
            "parameters": {
                "properties": {"action": action} | arguments,
                "required": ["action"],
                "type": "object",
            },
        },
    }
