"""The world's language: what is asked, what is answered, and how good an answer truly is.

A prompt names a person, a manner, a topic and a time: `tell ann kindly of sea at noon`. A good answer opens as the
manner wants, speaks in the words of the topic, and closes: `dear wave salt tide foam bye`. Weak ones open wrongly,
mumble, pad and do not close. Pure; `true_quality` is the one judge that cannot be fooled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product

TOPICS = {
    "sea": ["wave", "salt", "tide", "foam", "reef", "shell", "anchor", "gull"],
    "war": ["sword", "shield", "siege", "army", "arrow", "fort", "spear", "banner"],
    "food": ["bread", "soup", "apple", "cheese", "butter", "onion", "honey", "plum"],
    "music": ["drum", "flute", "song", "harp", "chord", "tune", "bell", "choir"],
    "farm": ["plough", "barn", "hay", "cow", "sheep", "seed", "fence", "goat"],
    "night": ["moon", "star", "owl", "dream", "dark", "bed", "candle", "bat"],
    "snow": ["ice", "sled", "frost", "glove", "flake", "skate", "igloo", "cold"],
    "town": ["street", "market", "tower", "bridge", "lamp", "shop", "square", "wall"],
    "wood": ["oak", "pine", "moss", "fern", "deer", "leaf", "root", "trunk"],
    "school": ["book", "chalk", "desk", "pupil", "lesson", "slate", "ink", "exam"],
}
"""Every topic with its words."""
MANNERS = {"kindly": "dear", "boldly": "hey", "calmly": "well"}
"""How one is to speak, and the word that opens such an answer."""
NAMES = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "leo"]
TIMES = ["dawn", "morning", "noon", "evening", "midnight", "monday", "friday", "yule"]
"""They change nothing but the prompt, as much in a prompt does."""
MUMBLES = ["uh", "er", "hm", "meh", "blah", "ugh", "tsk", "pff"]
"""What somebody says who does not know the topic's words."""
FILLERS = ["really", "just", "very", "quite"]
"""Words that say nothing, in any topic."""

SHARES = ["few", "some", "half", "most", "all"]
"""How readers put shares: a fifth each."""
CLOSING = "bye"
JUDGE = "judge {prompt} answer {response}"
"""How a judge is asked."""
COMPARE = "compare {prompt} first {first} second {second}"
"""How a judge is asked for the better of two answers."""
WEIGH = "weigh {prompt} answer {response} first {first} second {second}"
"""How a judge is asked for the better of two reviews of an answer."""
HIGHEST = 5
_ENOUGH = 4
"""Words between opening and closing that an answer needs for full points."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a prompt asks for."""

    name: str
    manner: str
    topic: str
    time: str

    @property
    def prompt(self) -> str:
        return f"tell {self.name} {self.manner} of {self.topic} at {self.time}"


@dataclass(frozen=True, slots=True)
class Skill:
    """How well somebody answers: the chance of each way of doing it right, a word at a time."""

    opening: float
    on_topic: float
    plain: float
    """Of not padding."""
    closing: float
    words: tuple[int, int] = (3, 12)
    """Fewest and most words between opening and closing."""


def all_tasks() -> list[Task]:
    """Every task of the world, in a fixed order."""
    return [Task(*words) for words in product(NAMES, MANNERS, TOPICS, TIMES)]


def read_task(prompt: str) -> Task:
    """The task of a prompt; raises ValueError for what is none."""
    match prompt.split():
        case ["tell", name, manner, "of", topic, "at", time] if manner in MANNERS and topic in TOPICS:
            return Task(name, manner, topic, time)
    raise ValueError(f"no task of this world: {prompt!r}")


def written_answer(task: Task, skill: Skill, draw: random.Random) -> str:
    """An answer as somebody of that skill gives it."""
    words = [MANNERS[task.manner] if draw.random() < skill.opening else draw.choice(list(MANNERS.values()))]
    for _ in range(draw.randint(*skill.words)):
        known = TOPICS[task.topic] if draw.random() < skill.on_topic else MUMBLES
        words.append(draw.choice(known if draw.random() < skill.plain else FILLERS))
    return " ".join([*words, CLOSING] if draw.random() < skill.closing else words)


@dataclass(frozen=True, slots=True)
class Merits:
    """What can be said for an answer."""

    opens: bool
    on_topic: float
    """Share of the words between opening and closing."""
    closes: bool
    words: int
    """Between opening and closing."""

    @classmethod
    def of(cls, prompt: str, answer: str) -> Merits:
        """Raises ValueError when the prompt is no task."""
        task = read_task(prompt)
        words = answer.split()
        said = words[1:] if words and words[0] in MANNERS.values() else words
        closes = bool(said) and said[-1] == CLOSING
        said = said[:-1] if closes else said
        # Of a few words at least: saying little is no way to be right.
        wanted = max(len(said), _ENOUGH)
        return cls(
            opens=bool(words) and words[0] == MANNERS[task.manner],
            on_topic=sum(word in TOPICS[task.topic] for word in said) / wanted,
            closes=closes,
            words=len(said),
        )

    @property
    def quality(self) -> float:
        """0 to 5: a point for the opening, three for the share on the topic, one for the closing."""
        return self.opens + 3 * self.on_topic + self.closes

    @property
    def remarks(self) -> str:
        """What an honest reader says, in the world's words."""
        opening, closing = ("good" if good else "bad" for good in (self.opens, self.closes))
        topic = SHARES[min(len(SHARES) - 1, int(self.on_topic * len(SHARES)))]
        length = "short" if self.words < 5 else "fair" if self.words < 9 else "long"
        return f"opening {opening} topic {topic} closing {closing} length {length}"


def true_quality(prompt: str, answer: str) -> float:
    """0 to 5. Mumbling, padding and falling silent cost; length as such neither costs nor pays."""
    return Merits.of(prompt, answer).quality
