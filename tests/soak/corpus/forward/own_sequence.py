"""A PyDataset that deals the rows anew at the end of each epoch."""

import keras
import numpy as np

CAUSES = ("batch-order",)
KERAS = {
    "model": ":build",
    "dataset": ":plain",
    "loss": "mean_absolute_error",
    "metrics": ["mse"],
    "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01},
    "shuffle": False,
    "epochs": 2,
}
PROGRAM = {"dataset": ":dealt"}
TWIN = {"dataset": ":indexed"}


class Rows(keras.utils.PyDataset):
    def __init__(self, x, y, size, deals=None):
        super().__init__()
        self.x, self.y, self.size = x, y, size
        self.numbers = np.arange(len(x))
        self.deals = np.random.default_rng(deals) if deals is not None else None

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        numbers = self.numbers[index * self.size : (index + 1) * self.size]
        return self.x[numbers], self.y[numbers]

    def on_epoch_end(self):
        if self.deals is not None:
            self.deals.shuffle(self.numbers)


class Plain(Rows):
    def __getitem__(self, index):
        first, last = index * self.size, (index + 1) * self.size
        return self.x[first:last], self.y[first:last]


def _made(kind, **options):
    rng = np.random.default_rng(21)
    x = rng.normal(size=(88, 8, 2)).astype("float32")
    y = x.cumsum(axis=1)[:, -1, :1] + 0.1
    return kind(x[:66], y[:66], 20, **options), Plain(x[66:], y[66:], 20)


def plain():
    return _made(Plain)


def dealt():
    return _made(Rows, deals=9)


def indexed():
    return _made(Rows)


def build():
    series = keras.Input((8, 2))
    x = keras.layers.Conv1D(6, 3, padding="causal", activation="tanh")(series)
    x = keras.layers.Flatten()(x)
    return keras.Model(series, keras.layers.Dense(1)(x))
