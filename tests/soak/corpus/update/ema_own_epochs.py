"""The whole training as a loop of one's own: epochs, batches, validation."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("ema-not-finalized",)
KERAS = {
    "model": ":build",
    "dataset": ":clouds",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "use_ema": True, "ema_momentum": 0.8},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":Epochs"}
TWIN = {"strategy": ":EpochsAndAverages"}


def clouds():
    rng = np.random.default_rng(81)
    x = rng.normal(size=(90, 4)).astype("float32")
    y = np.argmax(np.abs(x), axis=1)
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dropout(0.2, seed=6),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )


def train_on(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=len(x))
    model.compute_metrics(x, y, y_pred)


class Epochs(kerasx.StepStrategy):
    capabilities = kerasx.Capabilities(executions=("eager",), jit=False, distribution=False)

    def train(self, task):
        model = task.model
        callbacks = task.callback_list(keras.callbacks.CallbackList)
        callbacks.on_train_begin()
        for epoch in range(task.epochs):
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            for x, y in task.batches.epoch(epoch):
                train_on(model, x, y)
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
            validation = model.evaluate(task.validation.dataset, verbose=0, return_dict=True)
            logs.update({f"val_{name}": value for name, value in validation.items()})
            callbacks.on_epoch_end(epoch, logs)
        self.finish(model)
        callbacks.on_train_end(logs)
        return model.history.history

    def finish(self, model):
        """Nothing is left to do."""


class EpochsAndAverages(Epochs):
    def finish(self, model):
        for variable, average in zip(
            model.trainable_variables, model.optimizer._model_variables_moving_average, strict=True
        ):
            variable.assign(average)
