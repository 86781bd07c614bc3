"""A small Trainer in the manner of Lightning, for a class that wants averaged weights (use_ema)."""

import keras
import numpy as np

import kerasx

CAUSES = ("ema-not-finalized",)
KERAS = {
    "model": ":dae",
    "dataset": ":profiles",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.02, "use_ema": True, "ema_momentum": 0.9},
    "batch_size": 25,
    "epochs": 2,
}
PROGRAM = {"strategy": ":Trainer"}
TWIN = {"strategy": ":TrainerThatWraps"}


def profiles():
    rng = np.random.default_rng(7)
    base = np.cumsum(rng.normal(size=(107, 10)), axis=1) / 3
    noisy = base + 0.3 * rng.normal(size=base.shape)
    return {
        "x_train": noisy[:82].astype("float32"),
        "y_train": base[:82].astype("float32"),
        "x_test": noisy[82:].astype("float32"),
        "y_test": base[82:].astype("float32"),
    }


def dae():
    return keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.GaussianNoise(0.05, seed=1),
            keras.layers.Dense(10),
        ]
    )


class Trainer(kerasx.StepStrategy):
    capabilities = kerasx.Capabilities(executions=("eager",), jit=False, distribution=False)

    def train(self, task):
        self.module, self.curves = task.model, {}
        self.callbacks = task.callback_list(keras.callbacks.CallbackList)
        self.callbacks.on_train_begin()
        for epoch in range(task.epochs):
            self.callbacks.on_epoch_begin(epoch)
            logs = self.training_epoch(task, epoch)
            logs |= {f"val_{k}": v for k, v in self.validation_epoch(task).items()}
            for name, value in logs.items():
                self.curves.setdefault(name, []).append(value)
            self.callbacks.on_epoch_end(epoch, logs)
        self.on_fit_end()
        self.callbacks.on_train_end(logs)
        return self.curves

    def training_epoch(self, task, epoch):
        self.module.reset_metrics()
        for batch in task.batches.epoch(epoch):
            results = self.module.train_step(batch)
        return {name: float(value) for name, value in results.items()}

    def validation_epoch(self, task):
        return self.module.evaluate(task.validation.dataset, verbose=0, return_dict=True)

    def on_fit_end(self):
        pass


class TrainerThatWraps(Trainer):
    def on_fit_end(self):
        self.module.optimizer.finalize_variable_values(self.module.trainable_variables)
