"""3,000 made-up product reviews, with every fault that a CSV of one's own tends to have."""

import csv
import io
import random

ROWS = 3_000
PRODUCTS = 60
THINGS = [
    "battery",
    "screen",
    "handle",
    "lid",
    "cable",
    "charger",
    "case",
    "zipper",
    "strap",
    "button",
    "filter",
    "motor",
    "blade",
    "hinge",
    "speaker",
    "box",
    "manual",
    "colour",
    "size",
    "fabric",
    "sole",
    "pump",
    "nozzle",
    "remote",
    "lamp",
    "shelf",
    "drawer",
    "mattress",
]
VERBS = ["is", "feels", "looks", "seems", "sounds", "was", "became", "stayed", "remained", "turned"]
HOW = [
    "really",
    "very",
    "quite",
    "somewhat",
    "truly",
    "just",
    "always",
    "mostly",
    "rather",
    "fairly",
    "simply",
    "surprisingly",
]
GOOD = [
    "great",
    "sturdy",
    "perfect",
    "excellent",
    "reliable",
    "comfortable",
    "lovely",
    "quiet",
    "bright",
    "solid",
    "smooth",
    "superb",
    "wonderful",
    "fantastic",
    "durable",
    "beautiful",
]
BAD = [
    "flimsy",
    "broken",
    "awful",
    "useless",
    "noisy",
    "terrible",
    "cheap",
    "defective",
    "weak",
    "disappointing",
    "horrible",
    "rough",
    "faulty",
    "poor",
    "dreadful",
    "fragile",
]
PLAIN = [
    "small",
    "large",
    "blue",
    "heavy",
    "light",
    "round",
    "new",
    "simple",
    "plain",
    "long",
    "thick",
    "square",
]
WHEN = ["after", "before", "during", "since", "until", "around"]
SPAN = [
    "days",
    "weeks",
    "months",
    "hours",
    "summer",
    "winter",
    "christmas",
    "holidays",
    "washing",
    "shipping",
]


def _sentence(draw: random.Random, good: bool) -> str:
    about = draw.random()
    words = PLAIN if about < 0.35 else (GOOD if good == (about < 0.9) else BAD)
    sentence = f"the {draw.choice(THINGS)} {draw.choice(VERBS)} {draw.choice(HOW)} "
    sentence += draw.choice(words)
    if draw.random() < 0.5:
        sentence += f" {draw.choice(WHEN)} {draw.choice(['two', 'three', 'some'])}"
        sentence += f" {draw.choice(SPAN)}"
    return sentence.capitalize()


def rows(seed: int = 7) -> list[tuple[str, str, str]]:
    """`(product, review, opinion)` of each review; one in five is bad."""
    draw = random.Random(seed)
    made = []
    for number in range(ROWS):
        good = draw.random() < 0.8
        text = ". ".join(_sentence(draw, good) for _ in range(draw.randint(2, 8))) + "."
        if number % 40 == 3:
            text = text.replace(". ", ".<br />") + ' <a href="x">More</a>'
        if number % 50 == 7:
            text += " 😀👍"
        if number % 60 == 9:
            text = f'They said "{text}"\r\nand, well, it is so.'
        made.append((f"P{draw.randrange(PRODUCTS):03d}", text, "good" if good else "bad"))
    for number in range(20):
        made[100 * number + 11] = (*made[100 * number + 10],)  # a copy, with its label
    for number in range(4):
        product, text, label = made[100 * number + 20]
        made[100 * number + 21] = (product, text, "bad" if label == "good" else "good")
    for number in (500, 1_500, 2_500):
        made[number] = (made[number][0], "  ", made[number][2])
    long = " ".join(_sentence(draw, good=True) for _ in range(1_000))
    made[2_000] = (made[2_000][0], long, "good")
    return made


def text(seed: int = 7) -> str:
    """The CSV file: with CRLF, as a spreadsheet writes it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(["product", "review text", "opinion"])
    writer.writerows(rows(seed))
    return file.getvalue()
