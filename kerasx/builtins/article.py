"""The article's ten trainings as experiments, with the figures that it gives for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kerasx.errors import UsageError

_PARTS = "kerasx.article.parts:"
_STEPS = {"step": f"{_PARTS}arg_max_step", "test_step": f"{_PARTS}arg_max_test_step"}
_COMMON = {
    "model": {"name": "mlp", "outputs": 10},
    "dataset": f"{_PARTS}mnist",
    "loss": f"{_PARTS}sum_over_batch_size",
    "metrics": ["accuracy"],
    "optimizer": "sgd",
    "learning_rate": 0.01,
    # As Keras's rule had it on the author's machine: XLA rounds differently.
    "jit": False,
}


@dataclass(frozen=True)
class Row:
    """One row of the article.

    Attributes:
        number: 1 to 10.
        strategy: That of kerasx which the article's program amounts to.
        told: Loss, learning rate and metric in a few words.
        article: What the article says, by the names of Keras's logs, as fractions of 1: `accuracy` of the
            last epoch's training, `val_accuracy` of validation, `true_accuracy` where the meter was wrong.
        fields: Of the experiment, where they differ from those of most rows.
        others: Further trainings of the row by name, each with the fields in which it differs.
    """

    number: int
    strategy: str
    told: str
    article: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def experiment(self) -> dict[str, Any]:
        """The fields of the row's experiment."""
        return {"strategy": self.strategy, **_COMMON, **self.fields}


ROWS = (
    Row(
        1,
        "gradient-tape",
        "sum of squares / 32, SGD 0.01, Accuracy of arg-maxed outputs",
        {"accuracy": 0.9686, "val_accuracy": 0.9661},
        {"strategy": {"name": "gradient-tape", **_STEPS}, "metrics": [f"{_PARTS}exact_match"]},
    ),
    Row(
        2,
        "compiled-fit",
        "Keras's mse on one-hot labels, SGD 0.01",
        {"accuracy": 0.92, "val_accuracy": 0.93},
        {"loss": "mse"},
    ),
    Row(
        3,
        "compiled-fit",
        "Keras's mse on one-hot labels, SGD 0.1",
        {"accuracy": 0.96},
        {"loss": "mse", "learning_rate": 0.1},
    ),
    Row(4, "compiled-fit", "sum of squares / 32, SGD 0.01", {"accuracy": 0.96}),
    Row(
        5,
        "gradient-tape",
        "mean of Keras's mse of each row, SGD 0.01, Accuracy of arg-maxed outputs",
        {"accuracy": 0.93},
        {
            "strategy": {"name": "gradient-tape", **_STEPS},
            "loss": f"{_PARTS}mean_of_row_mse",
            "metrics": [f"{_PARTS}exact_match"],
        },
    ),
    Row(
        6,
        "custom-step",
        "sum of squares / 32, SGD 0.01",
        {"accuracy": 0.9705, "val_accuracy": 0.9676},
    ),
    Row(
        7,
        "custom-step",
        "the same, 'accuracy' of arg-maxed outputs",
        {"accuracy": 0.9179, "true_accuracy": 0.96},
        {
            "model": f"{_PARTS}keras_accuracy_model",
            "strategy": {"name": "custom-step", **_STEPS},
            "loss": None,
            "metrics": None,
            "optimizer": None,
            "learning_rate": None,
        },
    ),
    Row(8, "custom-step", "as row 6, from another seed", {"accuracy": 0.9673}, {"seed": 1}),
    Row(
        9,
        "custom-step",
        "as row 6, raw loss returned by test_step",
        {},
        {"strategy": {"name": "custom-step", "test_step": f"{_PARTS}raw_loss_test_step"}},
    ),
    Row(
        10,
        "custom-step",
        "as row 6 with Adam 0.001, beside SGD 0.01, both in TensorBoard",
        {},
        {"optimizer": "adam", "learning_rate": 0.001, "callbacks": ["tensorboard"]},
        {"sgd": {"optimizer": "sgd", "learning_rate": 0.01}},
    ),
)


def row_of(number: int) -> Row:
    """The row of a number.

    Raises:
        UsageError: There is none.
    """
    for row in ROWS:
        if row.number == number:
            return row
    raise UsageError(f"There is no row {number}: the article has rows 1 to {len(ROWS)}.")
