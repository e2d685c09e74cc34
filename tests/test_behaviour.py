"""What a model of sentiment must do, whatever its scores: asked of the default network."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow

PRAISE = [
    ("The film was good.", "The film was not good."),
    ("I liked this movie.", "I did not like this movie."),
    ("The acting is great.", "The acting is not great."),
    ("It is worth seeing.", "It is not worth seeing."),
    ("I would recommend it.", "I would not recommend it."),
    ("I enjoyed it very much.", "I did not enjoy it very much."),
    ("I want to see it again.", "I do not want to see it again."),
    ("It was funny and it works.", "It wasn't funny and it doesn't work."),
    ("The story makes sense.", "The story makes no sense."),
    ("I would watch it again.", "I would never watch it again."),
    ("It is interesting.", "It isn't interesting."),
    ("The jokes are funny.", "The jokes are not funny."),
]
BLAME = [
    ("The film was bad.", "The film was not bad."),
    ("It is a waste of time.", "It is not a waste of time."),
    ("The plot is boring.", "The plot is not boring."),
    ("It disappointed me.", "It did not disappoint me."),
]
NAMES = [
    "Tom Hanks",
    "Meryl Streep",
    "Denzel Washington",
    "Emma Thompson",
    "John Smith",
    "Anthony Hopkins",
]


@pytest.fixture(scope="module")
def probability(finished):
    from serving.classifier import Classifier

    return Classifier.load(finished / "data/model").probability


def test_negation_moves_the_probability_the_right_way(probability):
    """Bounds and not each sentence: a small network does not get every one right."""
    affirmed, negated = (probability([pair[i] for pair in PRAISE + BLAME]) for i in (0, 1))
    wanted = np.array([-1] * len(PRAISE) + [1] * len(BLAME))
    right = (negated - affirmed) * wanted > 0
    assert right.mean() >= 0.8
    assert (negated - affirmed)[: len(PRAISE)].mean() < -0.05


@pytest.mark.parametrize(
    ("sentence", "positive"),
    [
        ("{} gives a moving performance in this wonderful film.", True),
        ("{} is wasted in this dull and predictable mess.", False),
    ],
)
def test_the_name_of_an_actor_changes_next_to_nothing(probability, sentence, positive):
    found = probability([sentence.format(name) for name in NAMES])
    assert np.ptp(found) < 0.1
    assert ((found > 0.5) == positive).all()


@pytest.mark.parametrize(
    ("text", "positive"),
    [
        ("A wonderful, moving film. I loved every minute of it.", True),
        ("One of the best films I have seen.", True),
        ("Terrible. The worst acting ever, and a complete waste of time.", False),
        ("Boring, badly written and far too long. 2/10", False),
    ],
)
def test_what_the_least_of_models_must_get_right(probability, text, positive):
    assert (probability([text])[0] > 0.5) == positive
