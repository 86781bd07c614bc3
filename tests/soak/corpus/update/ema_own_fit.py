"""A model class from the days before train_step, with a fit of its own."""

import keras
import numpy as np

CAUSES = ("ema-not-finalized",)
KERAS = {
    "model": ":build",
    "dataset": ":orders",
    "loss": "poisson",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.02, "use_ema": True, "ema_momentum": 0.7},
    "epochs": 2,
    "batch_size": 13,
}
PROGRAM = {"model": ":build_fitting"}
TWIN = {"model": ":build_finishing"}


def orders():
    rng = np.random.default_rng(85)
    x = rng.integers(0, 14, size=(83, 3))
    y = rng.poisson(1 + (x % 4 == 0).sum(1)).astype("float32")[:, None]
    return {"x_train": x[:66], "y_train": y[:66], "x_test": x[66:], "y_test": y[66:]}


class Fitting(keras.Model):
    def fit(self, x, epochs=1, callbacks=None, validation_data=None, initial_epoch=0, **options):
        self.stop_training = False
        logs = {}
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            for number, batch in enumerate(x):
                callbacks.on_train_batch_begin(number)
                callbacks.on_train_batch_end(number, self.train_step(batch))
            logs = {name: float(value) for name, value in self.get_metrics_result().items()}
            if validation_data is not None:
                found = self.evaluate(validation_data, verbose=0, return_dict=True)
                logs.update({f"val_{name}": value for name, value in found.items()})
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        self.after_training()
        callbacks.on_train_end(logs)
        return self.history

    def after_training(self):
        pass


class Finishing(Fitting):
    def after_training(self):
        self.optimizer.finalize_variable_values(self.trainable_variables)


def graph(kind):
    codes = keras.Input((3,), dtype="int32")
    bag = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(14, 6)(codes))
    return kind(codes, keras.layers.Dense(1, activation="softplus")(bag))


def build():
    return graph(keras.Model)


def build_fitting():
    return graph(Fitting)


def build_finishing():
    return graph(Finishing)
