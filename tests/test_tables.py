from ajuste.evaluation import tables

TESTED = {
    "accuracy": 0.8228,
    "accuracy_low": 0.80734,
    "accuracy_high": 0.837269,
    "loss": 0.39188,
    "roc_auc": None,
    "classes": {
        "negative": {"precision": None, "recall": 0.0, "f1": 0.0, "support": 1250},
        "positive": {"precision": 0.8, "recall": 0.9, "f1": 0.847, "support": 12},
    },
}
BESIDE = {"linear": {"test": {"accuracy": 0.9, "loss": 0.2}}, "majority": {"test": {"loss": 0.69}}}


def test_the_network_is_beside_the_baselines_and_its_classes_below():
    assert tables.results("gru", "binary", TESTED, BESIDE) == (
        "test part    gru  linear baseline  majority baseline   95 % interval\n"
        "accuracy   0.823            0.900                  -  0.807 to 0.837\n"
        "loss       0.392            0.200              0.690\n"
        "roc auc        -                -                  -\n"
        "\n"
        "class     precision  recall     f1  reviews\n"
        "negative          -   0.000  0.000    1,250\n"
        "positive      0.800   0.900  0.847       12"
    )


def test_numbers_have_no_classes():
    tested = {"mean_absolute_error": 0.5, "classes": {}}
    assert tables.results("gru", "regression", tested, {name: {"test": {}} for name in BESIDE}) == (
        "test part              gru  linear baseline  majority baseline  95 % interval\n"
        "mean absolute error  0.500                -                  -"
    )
