"""GUI Action: the next thing to do on a screen, as checked values; nothing is ever done."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.agents.actions import Action, read_actions
from ...utils.agents.called import take_apart
from ...utils.agents.steps import step_words, with_steps
from ...utils.chat.composition import MAX_SEED
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.messages import Message
from ...utils.chat.requests import Reply, Request
from ...utils.chat.tasks import task
from ...utils.chat.tool_sets import Tool, official_tools, read_tools, system_with_tools
from ...utils.detection.boxes import Detection, Detections
from ...utils.detection.socket_values import to_point_value
from ...utils.drawing.action_marks import draw_actions
from ...utils.errors import InputError
from ...utils.images.picture import Picture
from ...utils.images.tensors import image_from_pictures, pictures_from_tensor
from ...utils.parsing.tool_calls import ToolAnswer
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.grounding import shown
from ..shared.running import answer_all, node_id_of, notes_of, report

# In place of an official tool: the user's own JSON. Stored in workflows.
OWN_TOOLS = "own tools (JSON)"


def tool_choices() -> list[str]:
    """The menu of tools."""
    return [*(tool.title for tool in official_tools().values() if tool.title), OWN_TOOLS]


def tools_of(choice: str, own: str) -> tuple[Tool, ...]:
    """The tools that are offered.

    Raises:
        InputError: an unknown choice, or the user's own that are none.
    """
    if choice == OWN_TOOLS:
        return read_tools(own)
    chosen = [tool for tool in official_tools().values() if tool.title == choice]
    if not chosen:
        raise InputError(f"There is no tool {choice!r}.", "Choose one from the menu.")
    return tuple(chosen)


class Qwen3VLGuiAction(io.ComfyNode):
    """The next thing to do on a screen."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLGuiAction",
            display_name="Qwen3-VL GUI Action",
            category=sockets.CATEGORY,
            description="Says what to do next on a screenshot, a click, a swipe, a text to type, "
            "as checked values in pixels. Nothing is ever done.",
            search_aliases=search_words("Qwen3VLGuiAction"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image", tooltip="The screenshot; each of a batch by itself."),
                io.String.Input(
                    "instruction",
                    multiline=True,
                    default="",
                    tooltip="The whole task, e.g. Search for red shoes and open the first one.",
                ),
                io.Combo.Input("tools", options=tool_choices()),
                io.String.Input(
                    "own_tools",
                    multiline=True,
                    default="",
                    tooltip="With own tools: JSON of one function or a list of them, each with "
                    "name, description and parameters (JSON Schema).",
                ),
                io.Boolean.Input(
                    "explain",
                    default=True,
                    tooltip="Asks for a thought and a sentence before the call.",
                ),
                io.String.Input("system_prompt", multiline=True, default="", advanced=True),
                seed_input(),
                io.String.Input(
                    "history",
                    optional=True,
                    force_input=True,
                    tooltip="What has been done: the history of the step before, or one a line.",
                ),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("actions", display_name="actions", is_output_list=True),
                sockets.Point.Output("points", display_name="points"),
                io.String.Output("thought", display_name="thought", is_output_list=True),
                io.String.Output("sentence", display_name="sentence", is_output_list=True),
                io.Image.Output("overlay", display_name="overlay"),
                io.String.Output("history_out", display_name="history", is_output_list=True),
                io.Boolean.Output("finished", display_name="finished", is_output_list=True),
                io.String.Output("answer", display_name="answer", is_output_list=True),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        image: torch.Tensor,
        instruction: str,
        tools: str,
        own_tools: str,
        explain: bool,
        system_prompt: str,
        seed: int,
        history: str = "",
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """One step for each screenshot."""
        offered = tools_of(tools, own_tools)
        form = task("agent_answer_form").fill() if explain else ""
        screens, chosen = pictures_from_tensor(image), options or GenerationOptions()
        system = Message("system", (system_with_tools(offered, system_prompt, form),))
        words = step_words(instruction, history)
        # The words first, as the model was taught: the screenshot is where they have led to.
        requests = [
            Request((system, Message("user", (words, screen))), chosen, (seed + n) & MAX_SEED)
            for n, screen in enumerate(screens)
        ]
        replies = answer_all(model, requests, node_id_of(cls))
        answers = [take_apart(reply.text) for reply in replies]
        steps = [read_actions(answer, offered) for answer in answers]
        sentences = [
            _sentence(answer, actions, screen)
            for answer, actions, screen in zip(answers, steps, screens, strict=True)
        ]
        how = _step_report(answers, steps, screens, replies)
        drawn = _overlay(screens, steps)
        return io.NodeOutput(
            [_json(actions, screen) for actions, screen in zip(steps, screens, strict=True)],
            [_points(actions, screen) for actions, screen in zip(steps, screens, strict=True)],
            [reply.thinking or a.thought for reply, a in zip(replies, answers, strict=True)],
            sentences,
            drawn,
            [with_steps(history, [sentence]) for sentence in sentences],
            [any(action.finishes for action in actions) for actions in steps],
            [reply.text for reply in replies],
            how,
            ui=shown(sentences, how, drawn, cls),
        )


def _sentence(answer: ToolAnswer, actions: Sequence[Action], screen: Picture) -> str:
    """What to do, for people: the model's own words where it gave them and they hold."""
    valid = [action for action in actions if action.valid]
    if answer.action and valid and len(valid) == len(actions):
        return answer.action
    said = [action.sentence(*screen.size_wh) for action in actions]
    said += [problem[0].upper() + problem[1:] for problem in answer.problems]
    if said:
        return " ".join(said)
    return "The call was cut off." if answer.truncated else "No action."


def _json(actions: Sequence[Action], screen: Picture) -> str:
    values = [action.to_dict(*screen.size_wh) for action in actions]
    return json.dumps(values, ensure_ascii=False)


def _points(actions: Sequence[Action], screen: Picture) -> list[dict]:
    """Where valid actions act, in order; a swipe has two, its start and its end."""
    items = []
    for action in actions:
        for place, name in ((action.start, action.name), (action.end, f"{action.name} end")):
            if place is not None:
                items.append(Detection(name, place))
    return to_point_value(Detections(*screen.size_wh, tuple(items)))


def _overlay(screens: Sequence[Picture], steps: Sequence[Sequence[Action]]) -> torch.Tensor:
    pairs = zip(screens, steps, strict=True)
    return image_from_pictures([draw_actions(screen, actions) for screen, actions in pairs])


def _step_report(
    answers: Sequence[ToolAnswer],
    steps: Sequence[Sequence[Action]],
    screens: Sequence[Picture],
    replies: Sequence[Reply],
) -> str:
    """A line for each screenshot on what was called, its notes below, then how it went."""
    lines = []
    for number, (answer, actions) in enumerate(zip(answers, steps, strict=True), 1):
        valid = sum(action.valid for action in actions)
        line = f"{number}: {valid} of {len(actions) + len(answer.problems)} calls can be done"
        if not actions and not answer.problems:
            line = f"{number}: no call; the answer is words"
        if answer.truncated or replies[number - 1].truncated:
            line += "; the answer was cut off"
        if answer.repaired:
            line += "; a call was not written as its format wants it and was repaired"
        notes = [action.problem for action in actions if action.problem]
        notes += [*answer.problems, *(note for action in actions for note in action.notes)]
        lines += [line, *notes_of(notes)]
    return "\n".join([*lines, report(replies)])
