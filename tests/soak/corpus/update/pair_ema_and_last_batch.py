"""A complete training loop that remembers the loss of each epoch as it last saw it."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("ema-not-finalized", "loss-report-last-batch")
KERAS = {
    "model": ":build",
    "dataset": ":stars",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.03, "use_ema": True, "ema_momentum": 0.85},
    "epochs": 2,
    "batch_size": 23,
}
PROGRAM = {"strategy": ":Loop"}
TWIN = {"strategy": ":LoopTwin"}


def stars():
    rng = np.random.default_rng(109)
    x = rng.normal(size=(109, 6, 6, 1)).astype("float32")
    y = np.argmax([x[:, :2].mean((1, 2, 3)), x[:, 2:4].mean((1, 2, 3)), x[:, 4:].mean((1, 2, 3))], axis=0)
    return {"x_train": x[:87], "y_train": y[:87], "x_test": x[87:], "y_test": y[87:]}


def build():
    image = keras.Input((6, 6, 1))
    maps = keras.layers.AveragePooling2D(2)(keras.layers.Conv2D(4, 3, padding="same")(image))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(maps)))


class Loop(kerasx.StepStrategy):
    capabilities = kerasx.Capabilities(executions=("eager",), jit=False, distribution=False)

    def train(self, task):
        model, variables = task.model, task.model.trainable_variables
        callbacks = task.callback_list(keras.callbacks.CallbackList)
        callbacks.on_train_begin()
        for epoch in range(task.epochs):
            callbacks.on_epoch_begin(epoch)
            model.reset_metrics()
            for x, y in task.batches.epoch(epoch):
                with tf.GradientTape() as tape:
                    scores = model(x, training=True)
                    loss = model.compute_loss(x, y, scores)
                task.optimizer.apply(tape.gradient(loss, variables), variables)
                model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
                results = model.compute_metrics(x, y, scores)
            logs = {"accuracy": float(results["accuracy"]), "loss": self.reported(loss, results)}
            validation = model.evaluate(task.validation.dataset, verbose=0, return_dict=True)
            callbacks.on_epoch_end(epoch, logs | {f"val_{name}": found for name, found in validation.items()})
        self.ended(task)
        callbacks.on_train_end(logs)
        return model.history.history

    def reported(self, loss, results):
        return float(loss)

    def ended(self, task):
        pass


class LoopTwin(Loop):
    def reported(self, loss, results):
        return float(results["loss"])

    def ended(self, task):
        task.optimizer.finalize_variable_values(task.model.trainable_variables)
