"""The shortest loop: train_on_batch for every batch."""

import keras
import numpy as np

CAUSES = ("loss-report-last-batch",)
KERAS = {
    "model": ":build",
    "dataset": ":flow",
    "loss": "log_cosh",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 25,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_put_together"}


def flow():
    rng = np.random.default_rng(61)
    x = np.cumsum(rng.normal(size=(130, 10, 2)), axis=1).astype("float32")
    y = (x[:, -1, :1] - x[:, -4, :1] + 0.5 * x[:, -1, 1:]).astype("float32")
    weight = rng.uniform(0.5, 2.0, size=130).astype("float32")
    return {
        "x_train": x[:87],
        "y_train": y[:87],
        "sample_weight_train": weight[:87],
        "x_test": x[87:],
        "y_test": y[87:],
    }


def build():
    series = keras.Input((10, 2))
    hidden = keras.layers.LSTM(6)(series)
    return keras.Model(series, keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L1(0.01))(hidden))


def epoch(model, batches):
    for x, y, weight in batches:
        logs = model.train_on_batch(x, y, sample_weight=weight, return_dict=True)
    return logs


def epoch_put_together(model, batches):
    sums, rows = {}, 0
    for x, y, weight in batches:
        logs = model.train_on_batch(x, y, sample_weight=weight, return_dict=True)
        for name, value in logs.items():
            sums[name] = sums.get(name, 0.0) + len(x) * value
        rows += len(x)
    model.reset_metrics()
    mean_loss, (mean_error,) = model.metrics[0], model.metrics[1].metrics
    for mean, name in ((mean_loss, "loss"), (mean_error, "mae")):
        mean.total.assign(sums[name])
        mean.count.assign(rows)
    return model.get_metrics_result()
