"""Make the Spanish example: `resenas.csv`, and vectors of its words, `vectores.txt`.

The reviews are combined from the sentences below. The vectors are computed from the reviews:
positive pointwise mutual information of words in the same review, reduced to 20 dimensions by a
singular value decomposition (Levy and Goldberg, 2014).

Run `python -m data.examples.generate` in the root of the repository.
"""

import csv
import random
from itertools import product
from pathlib import Path

import numpy as np

from ajuste.data.encoder import count_words
from ajuste.data.text import tokens

FOLDER = Path(__file__).parent
REVIEWS = 400
WIDTH = 20

WHAT = [
    "La película", "El guion", "La dirección", "El final", "La música", "La fotografía",
    "El reparto", "La historia", "El montaje", "El diálogo", "La protagonista", "El humor",
]  # fmt: skip
GOOD = [
    "me encantó", "es una maravilla", "resulta conmovedor", "es magnífico", "emociona de verdad",
    "brilla en cada escena", "no decepciona", "sorprende gratamente", "es inolvidable",
    "merece todos los premios",
]  # fmt: skip
BAD = [
    "me aburrió", "es un desastre", "resulta insoportable", "es pésimo", "no emociona a nadie",
    "falla en cada escena", "decepciona mucho", "cansa enseguida", "es olvidable",
    "no merece ningún premio",
]  # fmt: skip
NEUTRAL = [
    "La vi un domingo por la tarde.", "Dura casi dos horas.", "Se rodó en Asturias.",
    "Fui al cine con mi hermana.", "La estrenaron en otoño.", "Es la segunda parte de la saga.",
    "Está basada en una novela.", "La ponían en el cine del barrio.",
]  # fmt: skip
END = {
    "buena": ["¡Qué gusto!", "La recomiendo.", "Volveré a verla.", "Diez sobre diez."],
    "mala": ["¡Qué pena!", "No la recomiendo.", "No volveré a verla.", "Dos sobre diez."],
}


def reviews() -> list[tuple[str, str]]:
    """Different reviews and their labels, the same number of each label, shuffled."""
    chance = random.Random(0)
    made = []
    for label, praise in (("buena", GOOD), ("mala", BAD)):
        opinions = [f"{what} {says}" for what, says in product(WHAT, praise)]
        texts: set[str] = set()
        while len(texts) < REVIEWS // 2:
            first, second = chance.sample(opinions, 2)
            body = f"{first}. {chance.choice(NEUTRAL)}<br /><br />{second}, y no exagero."
            texts.add(f"{body} {chance.choice(END[label])}")
        made += [(text, label) for text in sorted(texts)]
    chance.shuffle(made)
    return made


def vectors(texts: list[str]) -> dict[str, np.ndarray]:
    """A vector of 20 numbers for each word that occurs at least twice."""
    token_lists = [tokens(text) for text in texts]
    words = list(count_words(token_lists, min_count=2))
    holds = np.array([[word in set(review) for word in words] for review in token_lists], float)
    together = holds.T @ holds + 1e-9
    expected = np.outer(together.sum(axis=1), together.sum(axis=0)) / together.sum()
    left, size, _ = np.linalg.svd(np.maximum(np.log(together / expected), 0))
    return dict(zip(words, left[:, :WIDTH] * np.sqrt(size[:WIDTH]), strict=True))


def main() -> None:
    """Write both files."""
    made = reviews()
    with (FOLDER / "resenas.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("reseña", "opinión"), *made])
    lines = [
        " ".join([word, *(f"{number:.4f}" for number in vector)])
        for word, vector in vectors([text for text, _ in made]).items()
    ]
    (FOLDER / "vectores.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
