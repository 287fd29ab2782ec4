"""The nouns of the demo world: colours, shapes, sizes, places and printable words."""

from __future__ import annotations

import random

# Anchor colours in sRGB; a scene jitters each channel by at most COLOUR_JITTER.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (248, 222, 40),
    "green": (45, 165, 70),
    "cyan": (60, 208, 218),
    "blue": (40, 80, 215),
    "purple": (140, 55, 180),
    "pink": (246, 145, 195),
    "black": (25, 25, 25),
    "white": (250, 250, 250),
}
COLOUR_JITTER = 10
# A colour is drawn only on backgrounds at least this far away (Euclidean, sRGB).
MIN_CONTRAST = 85.0

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "diamond", "rectangle")

# Longest side of the object as a fraction of the picture's shorter side; the gaps keep names exact.
SIZES: dict[str, tuple[float, float]] = {
    "small": (0.13, 0.17),
    "medium": (0.24, 0.30),
    "large": (0.40, 0.50),
}

_WORDS = """
able above acid actor after again agree ahead alarm album alert alpha amber angle animal apple april
arch area army arrow artist autumn award baby baker ball banana band bank basic basket beach bean
bear beauty bell bench berry best bike bird black blend block bloom blue board boat body bold bone
book border bottle bowl brave bread breeze brick bridge bright brook brown brush bubble bucket
build bunny butter button cabin cable cake camel camera camp candle candy canyon captain carbon
card castle cedar cello center chair chalk charm cherry chess circle city class clay clean clever
cliff clock cloud club coast coffee coin color comet copper coral corner cotton cover crane cream
creek crown cube curve daily daisy dance delta desert desk dish dolphin door double dove dragon
dream drum dust eagle early earth east easy echo edge editor elbow elder ember empty engine equal
event exact extra fabric falcon family farm fast feather field final finch fine fire fish flag
flame flash fleet flint floor flower flute focus forest fork fossil fox frame fresh friend frost
fruit future galaxy game garden gate gentle giant ginger glass globe glove gold grain grand grape
grass green grove guide guitar hammer happy harbor harvest hat hawk hazel heart heavy hero hill
hold honey hope horse hotel house human ice idea inch index iron island ivory jacket jade jazz
jelly jewel join jolly judge juice jump june jungle junior kayak keen kettle key kind king kite
kitten koala label ladder lake lamp large laser laugh layer lead leaf lemon level light lily lime
linen lion liquid little local logic lotus lucky lunar magic magnet major maple marble march market
mask meadow medal melon menu metal middle mild milk mint mirror mixed model moment moon moss motor
mountain mouse music napkin narrow native nature near nest night noble north note novel number
nylon oak oasis ocean olive onion opal open orange orbit orchid otter oval owl oxygen paint palace
panda paper park party pasta path peach pearl pebble pencil pepper piano picnic pilot pine pixel
planet plate plaza plum pocket poem polar pond pony poplar power prime prize puzzle quartz queen
quick quiet quilt rabbit radio rain ranch rapid raven ready rebel red reef rice ridge ring river
robin robot rocket roof rose round royal ruby rustic saddle sail salad salmon salt sand saturn
sauce scarf school scout season second seed shadow sharp shell shine ship shore silent silk silver
simple sketch sky slate smart smile smoke snow soft solar solid song sound soup south space spark
spice spider spiral spoon spring square stable star steam steel stone storm story stream street
strong studio sugar summer sun super swan sweet swift table talent tango tea temple tiger timber
tiny toast tomato torch total tower toy trail train travel treat tree trend tribe trophy tulip
tunnel turtle twin ultra umbrella uncle under unique unit upper urban valley value vanilla velvet
victor video village vine violet violin vista vivid voice volcano wagon walnut water wave wheat
wheel white wild willow wind window wing winter wise wolf wonder wood world yacht year yellow young
zebra zero zone zoom
"""
WORDS: tuple[str, ...] = tuple(dict.fromkeys(_WORDS.split()))

BUTTONS = (
    "OK",
    "Cancel",
    "Save",
    "Open",
    "Close",
    "Next",
    "Back",
    "Send",
    "Search",
    "Help",
    "Login",
    "Start",
    "Stop",
    "Delete",
    "Edit",
    "Share",
    "Settings",
    "Submit",
    "Yes",
    "No",
)

_ONSETS = (
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "cl",
    "dr",
    "fl",
    "gr",
    "pl",
    "sk",
    "st",
    "tr",
    "x",
    "y",
    "qu",
)
_RIMES = ("a", "e", "i", "o", "u", "an", "el", "in", "or", "us", "ax", "ent", "ick", "on", "ar")


def random_word(rng: random.Random) -> str:
    """A lexicon word, or in one case of five a made-up one, so that reading is not guessing."""
    if rng.random() < 0.8:
        return rng.choice(WORDS)
    return "".join(rng.choice(_ONSETS) + rng.choice(_RIMES) for _ in range(rng.randint(1, 3)))


def random_cased_word(rng: random.Random) -> str:
    """A word in lower, Title or UPPER case."""
    word = random_word(rng)
    return rng.choices((word, word.capitalize(), word.upper()), (0.3, 0.45, 0.25))[0]


def random_number(rng: random.Random) -> str:
    """A printed number: integer, decimal, time or code."""
    kind = rng.random()
    if kind < 0.5:
        return str(rng.randint(0, 10 ** rng.randint(1, 4)))
    if kind < 0.75:
        return f"{rng.randint(0, 999)}.{rng.randint(0, 99):02d}"
    if kind < 0.88:
        return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    return f"{rng.choice(letters)}{rng.choice(letters)}-{rng.randint(10, 999)}"


def article(noun_phrase: str) -> str:
    """The phrase with "a" or "an" before it."""
    return ("an " if noun_phrase[0] in "aeiou" else "a ") + noun_phrase
