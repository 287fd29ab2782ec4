"""The truth about a drawn scene is the truth about its pixels."""

import random

import numpy as np
import pytest
from world import backgrounds, cells, clips, pages, printed, scenes
from world.backgrounds import UNSEEN_KINDS
from world.nouns import COLOURS, SHAPES
from world.shapes import OUTLINES, bounds, outline


def changed_box(picture, ground) -> tuple[int, int, int, int]:
    """The box around all pixels in which two pictures differ clearly."""
    differ = np.abs(np.asarray(picture, int) - np.asarray(ground, int)).sum(-1) > 60
    rows, columns = np.flatnonzero(differ.any(1)), np.flatnonzero(differ.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_is_the_box_of_the_drawn_pixels(shape):
    rng = random.Random(shape)
    for _ in range(8):
        scene = scenes.random_scene(rng, (260, 200), 1, kinds=("plain",))
        thing = scene.things[0]
        points = outline(shape, (130, 100), 60, rng.uniform(-10, 10))
        drawn = scenes.Thing(
            thing.colour, shape, "medium", thing.rgb, tuple(points), bounds(points)
        )
        shown = scenes.Scene(scene.size_wh, "plain", scene.ground_colours, (drawn,), 0).draw()
        bare = scenes.Scene(scene.size_wh, "plain", scene.ground_colours, (), 0).draw()
        found = changed_box(shown, bare)
        assert all(abs(a - b) <= 1.6 for a, b in zip(found, drawn.box, strict=False)), (
            found,
            drawn.box,
        )


@pytest.mark.parametrize("seed", range(12))
def test_things_are_inside_apart_and_in_order(seed):
    scene = scenes.random_scene(random.Random(seed), scenes.random_size(random.Random(seed)))
    assert 1 <= len(scene.things) <= 5
    assert all(scenes.inside(t.box, scene.size_wh) for t in scene.things)
    middles = [t.point[0] for t in scene.things]
    assert middles == sorted(middles)
    for a in scene.things:
        for b in scene.things:
            assert a is b or scenes.iou(a.box, b.box) < 0.12


def test_the_point_of_every_shape_lies_on_the_shape():
    for seed in range(40):
        scene = scenes.random_scene(random.Random(seed), (320, 320), kinds=("plain",))
        pixels = np.asarray(scene.draw(), int)
        for thing in scene.things:
            x, y = (int(v) for v in thing.point)
            overlapped = any(
                t is not thing and scenes.overlap(t.box, thing.box) for t in scene.things
            )
            assert overlapped or np.abs(pixels[y, x] - thing.rgb).max() < 8, thing


def test_a_scene_is_the_same_for_the_same_seed():
    first, second = (scenes.random_scene(random.Random(5), (200, 300)) for _ in range(2))
    assert first == second
    assert first.draw().tobytes() == second.draw().tobytes()


def test_a_frame_is_flat_and_holds_nothing():
    for seed in range(20):
        rng = random.Random(seed)
        frame = scenes.random_frame(rng, (300, 240))
        scene = scenes.random_scene(rng, (300, 240), frame=frame)
        left, top, right, bottom = frame.room
        outside = np.ones((240, 300), bool)
        outside[top:bottom, left:right] = False
        assert (np.asarray(scene.draw())[outside] == frame.rgb).all()
        assert all(scenes.within(thing.box, frame.room) for thing in scene.things)


def test_sizes_and_unseen_grounds():
    rng = random.Random(3)
    for _ in range(50):
        width, height = scenes.random_size(rng)
        assert 160 <= width <= 640 and 160 <= height <= 640 and 0.49 <= width / height <= 2.05
    for kind in UNSEEN_KINDS:
        assert scenes.random_scene(rng, (200, 200), kinds=(kind,)).draw().size == (200, 200)


def test_a_gradient_stays_between_its_colours_and_noise_keeps_the_mean():
    first, second = (200, 180, 160), (160, 190, 150)
    low, high = np.minimum(first, second), np.maximum(first, second)
    for seed in range(20):
        rng = random.Random(seed)
        ramp = np.asarray(backgrounds.draw("gradient", (90, 60), (first, second), rng))
        assert ramp.shape == (60, 90, 3)
        assert (ramp >= low - 1).all() and (ramp <= high + 1).all() and ramp.std((0, 1)).max() > 5
        noise = np.asarray(backgrounds.draw("noisy", (200, 200), (first, second), rng), int)
        assert np.abs(noise.mean((0, 1)) - first).max() < 8 and noise.std() > 5


def test_names_of_the_world():
    assert len(COLOURS) >= 8 and len(SHAPES) >= 6 and set(SHAPES) == set(OUTLINES)


def test_a_printed_line_has_ink_exactly_in_its_box():
    for seed in range(10):
        rng = random.Random(seed)
        one = printed.random_print(rng, (400, 120), count=1)
        plain = printed.Print(one.size_wh, "plain", one.ground_colours, one.lines, 0)
        bare = printed.Print(one.size_wh, "plain", one.ground_colours, (), 0)
        differ = np.abs(np.asarray(plain.draw(), int) - np.asarray(bare.draw(), int)).sum(-1) > 0
        rows, columns = np.flatnonzero(differ.any(1)), np.flatnonzero(differ.any(0))
        found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert all(abs(a - b) <= 2 for a, b in zip(found, one.lines[0].box, strict=False)), (
            one.lines[0].text
        )


def test_page_blocks_stand_one_under_the_other():
    for seed in range(10):
        page = pages.random_page(random.Random(seed), (480, 640))
        assert page.blocks[0].kind == "title" and page.draw().size == (480, 640)
        for above, below in zip(page.blocks, page.blocks[1:], strict=False):
            assert above.box[3] < below.box[1]


def test_a_clip_shows_its_events_at_their_times():
    clip = clips.random_clip(random.Random(8), (160, 160))
    for event in clip.events:
        time = (event.start + event.end) / 2
        shown = clip.frame(round(time * clips.SOURCE_FPS))
        x1, y1, x2, y2 = event.box_at(round(time * clips.SOURCE_FPS) / clips.SOURCE_FPS)
        pixel = np.asarray(shown, int)[int((y1 + y2) / 2), int((x1 + x2) / 2)]
        covered = [
            e
            for e in clip.visible(time)
            if e is not event and scenes.overlap(e.box_at(time), (x1, y1, x2, y2))
        ]
        assert covered or np.abs(pixel - event.thing.rgb).max() < 40
    assert len(clips.sample_indices(clip.total_frames, even=True)) % 2 == 0


def test_cells_tell_what_stands_above_them():
    scene = scenes.random_scene(random.Random(2), (320, 320), 3, kinds=("plain",))
    grid = cells.of_things([(t, t.box) for t in scene.things], scene.size_wh, (320, 320))
    for thing in scene.things:
        cell = grid[int(thing.point[1] / 32), int(thing.point[0] / 32)]
        assert cell[0] == 1 + list(COLOURS).index(thing.colour)
        assert cell[1] == 1 + SHAPES.index(thing.shape)
    one = printed.random_print(random.Random(4), (320, 192), count=1)
    letters = cells.of_lines(list(one.lines), one.size_wh, (320, 192))[..., cells.TEXT]
    read = "".join(cells.LETTERS[v - 1] for v in letters.flatten() if v > 0)
    assert read == one.lines[0].text.replace(" ", "")
