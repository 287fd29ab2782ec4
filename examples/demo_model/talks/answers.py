"""Answers in the formats the large Qwen3-VL models print."""

from __future__ import annotations

import json

from world.clips import Clip
from world.nouns import article
from world.pages import Block, Page
from world.printed import Print
from world.scenes import Scene, Thing, listing
from world.shapes import Box, Point


def scaled(value: float, extent: float) -> int:
    """A pixel coordinate as 0-1000 of the original picture."""
    return max(0, min(1000, round(value / extent * 1000)))


def scaled_box(box: Box, size_wh: tuple[int, int]) -> list[int]:
    """[x1, y1, x2, y2] in 0-1000."""
    return [scaled(v, size_wh[k % 2]) for k, v in enumerate(box)]


def scaled_point(point: Point, size_wh: tuple[int, int]) -> list[int]:
    """[x, y] in 0-1000."""
    return [scaled(point[0], size_wh[0]), scaled(point[1], size_wh[1])]


def fenced_items(items: list[dict]) -> str:
    """A fenced JSON list, one item a line; `[]` when there is nothing."""
    if not items:
        return "```json\n[]\n```"
    return "```json\n[\n\t" + ",\n\t".join(json.dumps(i) for i in items) + "\n]\n```"


def fenced_fields(fields: dict[str, str]) -> str:
    """A fenced JSON object, one key a line."""
    rows = (f"\t{json.dumps(k)}: {json.dumps(v)}" for k, v in fields.items())
    return "```json\n{\n" + ",\n".join(rows) + "\n}\n```"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def caption(things: tuple[Thing, ...]) -> str:
    """Names from left to right: "A red circle, a blue star and an orange heart."."""
    return capital(listing([article(t.name) for t in things])) + "."


def _placed(scene: Scene, thing: Thing) -> str:
    place = scene.place(thing)
    return f"{article(thing.full_name)} {'in' if place == 'center' else 'at'} the {place}"


def detailed(scene: Scene) -> str:
    """Count, every object with size and place, and the ground."""
    count = len(scene.things)
    head = (
        f"The image shows {count} object{'s' if count > 1 else ''} on a {scene.ground} background."
    )
    return " ".join([head, *(f"There is {_placed(scene, t)}." for t in scene.things)])


def tags(scene: Scene) -> str:
    """Names without repetition, then the ground."""
    names = list(dict.fromkeys(t.name for t in scene.things))
    return ", ".join([*names, f"{scene.ground} background"])


def prompt(scene: Scene) -> str:
    """Objects with sizes and places, as a prompt for an image generator."""
    return (
        capital(listing([_placed(scene, t) for t in scene.things]))
        + f", {scene.ground} background, flat shapes."
    )


def alt_text(scene: Scene) -> str:
    """The caption and the ground in two sentences."""
    return f"{caption(scene.things)} The background is {scene.ground}."


def training(scene: Scene) -> str:
    """One plain statement for each object and for the ground."""
    return (
        " ".join(f"{capital(_placed(scene, t))}." for t in scene.things)
        + f" {capital(scene.ground)} background."
    )


def style(scene: Scene) -> str:
    """The style, which only the ground tells apart."""
    return f"A flat digital drawing with bold colors on a {scene.ground} background."


def count_kinds(scene: Scene) -> str:
    """As in "There are 3 objects: 2 circles, 1 star.", from the left."""
    kinds: dict[str, int] = {}
    for thing in scene.things:
        kinds[thing.shape] = kinds.get(thing.shape, 0) + 1
    parts = ", ".join(f"{n} {plural(shape) if n > 1 else shape}" for shape, n in kinds.items())
    return f"{there_are(len(scene.things), 'object')[:-1]}: {parts}."


def plural(noun: str) -> str:
    """The noun for more than one."""
    return noun + ("es" if noun.endswith(("s", "x", "ch")) else "s")


def there_are(count: int, noun: str) -> str:
    """As in "There is 1 circle." or "There are 3 circles."."""
    return f"There is 1 {noun}." if count == 1 else f"There are {count} {plural(noun)}."


def text_lines(lines) -> str:
    """Printed lines as text lines."""
    return "\n".join(line.text for line in lines)


def print_caption(picture: Print) -> str:
    """Every line in quotes; lines on plates are the buttons of a window."""
    quoted = listing([json.dumps(line.text) for line in picture.lines])
    if not picture.plates:
        return f"The text {quoted}."
    return f"A window with the button{'s' if len(picture.lines) > 1 else ''} {quoted}."


def page_caption(page: Page) -> str:
    """The title in quotes, then the kinds of the other blocks in reading order."""
    title = next((json.dumps(b.text) for b in page.blocks if b.kind == "title"), None)
    parts = [f"the title {title}"] if title else []
    parts += [article(block.kind) for block in page.blocks if block.kind != "title"]
    return f"A page with {listing(parts)}."


def markdown(page: Page) -> str:
    """Blocks in reading order; figures and tables carry their boxes, tables are LaTeX."""
    return "\n\n".join(_markdown_block(b, page.size_wh) for b in page.blocks)


def _markdown_block(block: Block, size_wh) -> str:
    spot = "({}, {}, {}, {})".format(*scaled_box(block.box, size_wh))
    if block.kind == "title":
        return f"# {block.text}"
    if block.kind == "figure":
        return f"<!-- Image {spot} -->"
    if block.kind == "table":
        columns = "|" + "c|" * len(block.cells[0])
        rows = "\n\\hline\n".join(" & ".join(row) + " \\\\" for row in block.cells)
        return (
            f"<!-- Table {spot} -->\n\\begin{{tabular}}{{{columns}}}\n\\hline\n{rows}\n\\hline\n"
            "\\end{tabular}"
        )
    return block.text


def html(page: Page) -> str:
    """Elements in reading order, each with data-bbox."""
    body = "\n".join(_html_block(b, page.size_wh) for b in page.blocks)
    return f"```html\n<html><body>\n{body}\n</body></html>\n```"


def _html_block(block: Block, size_wh) -> str:
    spot = 'data-bbox="{} {} {} {}"'.format(*scaled_box(block.box, size_wh))
    if block.kind == "title":
        return f"<h1 {spot}>{block.text}</h1>"
    if block.kind == "figure":
        return f"<img {spot}/>"
    if block.kind == "table":
        rows = "".join(
            "<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>\n" for row in block.cells
        )
        return f"<table {spot}>\n{rows}</table>"
    return f"<p {spot}>{block.text}</p>"


def clock(seconds: float) -> str:
    """mm:ss.ff"""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def events(clip: Clip) -> str:
    """A fenced object from "start - end" to what happens."""
    return fenced_fields({f"{clock(e.start)} - {clock(e.end)}": e.description for e in clip.events})


def at_second(clip: Clip, time: float) -> str:
    """What is going on at a time, from left to right."""
    going = clip.visible(time)
    if not going:
        return "Nothing is visible."
    return capital(listing([f"{article(e.thing.name)} {e.doing}" for e in going])) + "."


def video_caption(clip: Clip) -> str:
    """Every event with its times in one sentence."""
    parts = [
        f"{article(e.thing.name)} {e.doing} from {e.start:.1f} to {e.end:.1f} seconds"
        for e in clip.events
    ]
    return capital(listing(parts)) + "."


def click(point: Point, size_wh, tool: str = "computer_use", action: str = "left_click") -> str:
    """One tool call in the official wrapping."""
    call = {
        "name": tool,
        "arguments": {"action": action, "coordinate": scaled_point(point, size_wh)},
    }
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
