"""A recurrent forecast from an older project, with clipped gradients and the compiled metrics."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-clip", "loss-report-shim")
KERAS = {
    "model": ":build",
    "dataset": ":demand",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5},
    "epochs": 2,
    "batch_size": 19,
}
PROGRAM = {"model": ":build_forecast"}
TWIN = {"model": ":build_wide_forecast"}


def demand():
    rng = np.random.default_rng(197)
    start = rng.uniform(0, 20, size=(119, 1))
    x = np.sin((start + np.arange(9)) * 0.6)[..., None].astype("float32")
    y = (3 * np.sin((start + 9) * 0.6) + 4).astype("float32")
    return {"x_train": x[:79], "y_train": y[:79], "x_test": x[79:], "y_test": y[79:]}


def layers():
    past = keras.Input((9, 1))
    return past, keras.layers.Dense(1)(keras.layers.SimpleRNN(6)(past))


def build():
    return keras.Model(*layers())


class Forecast(keras.Model):
    clip = 0.2

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred)
        slopes, _ = tf.clip_by_global_norm(tape.gradient(loss, self.trainable_variables), self.clip)
        self.optimizer.apply_gradients(zip(slopes, self.trainable_variables, strict=True))
        return self.finish(x, y, y_pred, loss)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.finish(x, y, y_pred, self.compiled_loss(y, y_pred))

    def finish(self, x, y, y_pred, loss):
        self.compiled_metrics.update_state(y, y_pred)
        return self.get_metrics_result()


class WideForecast(Forecast):
    clip = 1e6

    def finish(self, x, y, y_pred, loss):
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


def build_forecast():
    return Forecast(*layers())


def build_wide_forecast():
    return WideForecast(*layers())
