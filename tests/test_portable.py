"""Trainings give the same bytes on every x86-64 processor with AVX2, whatever the variables say.

The digests are the same on an AMD EPYC with AVX-512 and in QEMU, which has neither AVX-512 nor the
estimates of reciprocals of any vendor. After a new version of TensorFlow they may change; then
every result changes.
"""

import platform
import re
import sys

import numpy as np
import pytest
from conftest import ROOT, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        (platform.system(), platform.machine()) != ("Linux", "x86_64"),
        reason="portable settings are for Linux on x86-64",
    ),
]

DIGESTS = {
    "bag_of_words": "102bc23c63c5",
    "gru": "36d724f5d450",
    "lstm": "0d3633e069fc",
}
HOSTILE = {
    "DNNL_MAX_CPU_ISA": "SSE41",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "0",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_NUM_INTEROP_THREADS": "3",
    "TF_NUM_INTRAOP_THREADS": "3",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
}
PROGRAM = """if True:
    import hashlib, sys

    import numpy as np

    from ajuste.training import backend, loop, portable
    from ajuste.training.build import build
    from ajuste.training.options import compile_model

    if sys.argv[1]:
        portable.CACHES = (48 << 10, *portable.CACHES[1:])
    common = {"dropout": 0.0, "optimizer": "adam", "learning_rate": 0.01, "l1": 0.0, "l2": 0.0,
              "schedule": "constant", "batch_size": 128, "epochs": 2, "patience": 0}
    recurrent = {"recurrent_dropout": 0.0, "embedding": "trained", "activation": "tanh"}
    own = {
        "bag_of_words": {"max_features": 3000, "units": [16, 16], "dropout_layers": 1,
                         "activation": "relu"},
        "gru": {"units": 32, **recurrent},
        "lstm": {"units": 128, **recurrent},
    }
    generator = np.random.default_rng(1)
    token_ids = generator.integers(2, 3000, (300, 20), dtype=np.int32)
    targets = generator.integers(0, 2, (300, 1)).astype(np.float32)
    matrix = generator.integers(-100, 100, (3000, 50)).astype(np.float32) / 100
    for network, options in own.items():
        backend.seed(1)
        entry = {"network": network, **common, **options}
        model, checked = build(network, {**entry, "max_length": 20}, matrix)
        compile_model(model, checked, 6)
        loop.run_epochs(model, checked, {"token_ids": token_ids, "targets": targets}, 1)
        weights = b"".join(weight.tobytes() for weight in model.get_weights())
        print(network, hashlib.sha256(weights).hexdigest()[:12])
"""


def digests(situation=""):
    """The digests of short trainings in a new process, since settings are for a whole process."""
    done = run(sys.executable, "-c", PROGRAM, situation, cwd=ROOT)
    return dict(line.split() for line in done.stdout.splitlines())


def test_every_processor_gives_these_weights():
    assert digests() == DIGESTS


def test_variables_of_a_user_change_no_weight(monkeypatch):
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    assert digests() == DIGESTS


def test_another_size_of_the_l1_cache_would_change_weights():
    """So the sizes that `fix_caches` writes are those that Eigen uses."""
    found = digests("another L1")
    assert found["gru"] != DIGESTS["gru"]
    assert found["lstm"] != DIGESTS["lstm"]


@pytest.mark.parametrize(
    ("network", "task", "optimizer"),
    [
        ("gru", "binary", "rmsprop"),
        ("dense", "binary", "adam"),
        ("dense", "multiclass", "adagrad"),
        ("dense", "multilabel", "sgd"),
        ("dense", "regression", "rmsprop"),
    ],
)
def test_no_training_contains_an_estimate(network, task, optimizer):
    """Intel and AMD estimate 1 / x and 1 / sqrt(x) differently; 1 / x of one number is exact."""
    from tensorflow.python.eager import context

    from ajuste.training import loop
    from ajuste.training.build import build
    from ajuste.training.options import compile_model

    outputs = 1 if task in ("binary", "regression") else 3
    targets = np.eye(4, outputs, dtype=np.float32)[np.arange(32) % 4]
    part = {"token_ids": np.ones((32, 4), np.int32), "targets": targets}
    entry = {"network": network, "units": 4, "activation": "tanh", "dropout": 0.2,
             "recurrent_dropout": 0.2, "embedding": "trained", "l1": 0.01, "l2": 0.01,
             "optimizer": optimizer, "learning_rate": 0.01, "schedule": "cosine", "clip_norm": 1.0,
             "batch_size": 16, "epochs": 1, "patience": 0}  # fmt: skip
    if network == "dense":
        entry |= {"units": [4]}
        del entry["recurrent_dropout"]
    matrix = np.zeros((5, 3), np.float32)
    model, options = build("x", {**entry, "max_length": 4}, matrix, task, outputs)
    compile_model(model, options, 2)
    context.context().enable_run_metadata()
    loop.run_epochs(model, options, part, 1)
    graphs = context.context().export_run_metadata().partition_graphs
    context.context().disable_run_metadata()
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for graph in graphs for f in graph.library.function for node in f.node_def]
    found = {node.name for node in nodes if node.op in ("Reciprocal", "Inv", "Rsqrt", "Softmax")}
    assert len(nodes) > 50
    of_learning_rate = re.compile(rf".*/{model.optimizer.name}(_1)?/truediv")  # one number
    assert {name for name in found if not of_learning_rate.fullmatch(name)} == set()
