"""The causes by their ids, which are the public vocabulary: where each shows, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """One entry of the catalogue.

    Attributes:
        id: Its name in all output; never reused for another cause.
        stage: The first stage at which it is seen.
        what: What happens, in a few words.
        fix: What to change.
        code: A line of code of the change.
    """

    id: str
    stage: str
    what: str
    fix: str
    code: str


_CAUSES = (
    Cause("batch-order", "data", "the rows come in another order", "Give both sides one shared order.",
          "for data in batches:  # as they come, neither sorted nor shuffled again"),
    Cause("batch-size", "data", "batches have other sizes, or there are other numbers of them",
          "Use the same batches, the short last one included.", "dataset.batch(size, drop_remainder=False)"),
    Cause("label-format", "data", "labels are encoded otherwise", "Use one encoding of labels.",
          "y = keras.ops.one_hot(y, classes)  # or leave y as it is, with a sparse loss"),
    Cause("initial-weights", "initial-state", "training begins with other weights",
          "Copy the weights, or build both models in the same order from one seed.",
          "model.set_weights(other.get_weights())"),
    Cause("trainable-set", "initial-state", "other variables are trained",
          "Take gradients by the model's trainable variables; compile again after freezing.",
          "tape.gradient(loss, model.trainable_variables)"),
    Cause("training-flag", "forward", "the model is called with another training flag",
          "Pass the training flag, and let `call` take it.", "y_pred = model(x, training=True)"),
    Cause("extra-forward", "forward", "the model is called more often than once a step",
          "Use the outputs of the one forward pass for everything.",
          "return model.compute_metrics(x, y, y_pred, sample_weight)  # the y_pred of the loss"),
    Cause("rng-stream", "forward", "random numbers are others",
          "Use the same jit setting, copy seed states, and draw from no generator that layers use.",
          "keras.random.normal(shape, seed=own_seed_generator)"),
    Cause("loss-reduction", "loss", "the loss is reduced over other axes",
          "Reduce as the other side does; with plain SGD another learning rate does the same.",
          "loss = tf.reduce_mean(tf.reduce_sum(row_losses, axis=-1))  # or the mean on both sides"),
    Cause("loss-batch-divisor", "loss", "the loss is divided by a constant, not by the rows there are",
          "Divide by the rows of the batch.",
          "loss = tf.reduce_sum(row_losses) / tf.cast(tf.shape(x)[0], tf.float32)"),
    Cause("loss-extra", "loss", "losses that layers add (regularizers, add_loss) are not added once",
          "Let `compute_loss` add them, once.", "loss = model.compute_loss(x, y, y_pred, sample_weight)"),
    Cause("loss-weights", "loss", "the losses of outputs have other weights",
          "Let `compute_loss` weigh them.", "loss = model.compute_loss(x, y, y_pred, sample_weight)"),
    Cause("sample-weight", "loss", "sample or class weights are not used",
          "Unpack the weights of the batch, and hand them on.",
          "x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)"),
    Cause("weight-normalization", "loss", "the weighted sum is divided by something else",
          "Choose one divisor: Keras's mean divides by the number of values, not by the sum of weights.",
          "loss = tf.reduce_sum(row_losses * sample_weight) / tf.cast(tf.size(row_losses), tf.float32)"),
    Cause("mask", "loss", "padding is counted", "Give a Keras loss the outputs that carry the mask.",
          "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, y_pred)"),
    Cause("shape-broadcast", "loss", "labels and outputs have other ranks: every row meets every other",
          "Bring labels and outputs to one shape.", "y = tf.reshape(y, tf.shape(y_pred))"),
    Cause("from-logits", "loss", "outputs are taken for logits, or for probabilities, and are the other",
          "Say `from_logits` as the last layer has it.",
          "keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # no softmax in the model"),
    Cause("loss-function", "loss", "another loss is used", "Use the same loss.",
          "loss = model.compute_loss(x, y, y_pred, sample_weight)"),
    Cause("loss-dtype", "loss", "the loss is computed in a narrower dtype",
          "Cast before the loss is computed.",
          "y_pred = tf.cast(y_pred, tf.float32)"),
    Cause("replica-scale", "loss", "the loss is not divided by the number of replicas",
          "Let `compute_loss` divide it.", "loss = model.compute_loss(x, y, y_pred, sample_weight)"),
    Cause("loss-scale", "gradient", "the loss is not scaled, and gradients are unscaled all the same",
          "Scale the loss before its gradient is taken.", "loss = model.optimizer.scale_loss(loss)"),
    Cause("gradient-clip", "gradient", "gradients are clipped otherwise",
          "Clip in the optimizer, on both sides.", "keras.optimizers.SGD(0.01, global_clipnorm=1.0)"),
    Cause("gradient-missing", "gradient", "some variables get no gradient",
          "Let the gradient reach them, or freeze them on both sides.",
          "# no tf.stop_gradient, NumPy or argmax between these variables and the loss"),
    Cause("optimizer-config", "update", "the optimizer has other settings", "Use the same settings.",
          "keras.optimizers.get(model.optimizer.get_config())"),
    Cause("optimizer-bypassed", "update", "weights are assigned without the optimizer",
          "Let the optimizer apply gradients.",
          "model.optimizer.apply(gradients, model.trainable_variables)"),
    Cause("multiple-applies", "update", "gradients are applied in several calls a step",
          "Apply all gradients in one call.", "model.optimizer.apply(gradients, model.trainable_variables)"),
    Cause("gradient-accumulation", "update", "gradients of several steps are applied at once",
          "Accumulate on both sides, and stretch schedules by as much.",
          "keras.optimizers.SGD(0.01, gradient_accumulation_steps=4)"),
    Cause("ema-not-finalized", "update", "averaged weights are not copied in at the end",
          "Copy them in when training ends.",
          "model.optimizer.finalize_variable_values(model.trainable_variables)"),
    Cause("state-not-updated", "state", "state that training moves (batch normalization's) stands still",
          "Call the model so that it updates its state.", "y_pred = model(x, training=True)"),
    Cause("metric-resolution", "report", "a metric is of another class", "Name the metric.",
          "metrics=[keras.metrics.SparseCategoricalAccuracy(name='accuracy')]"),
    Cause("metric-label-format", "report", "a metric is given labels or outputs in another form",
          "Give the metric what it is made for: labels as they are, and the model's outputs.",
          "return model.compute_metrics(x, y, y_pred, sample_weight)"),
    Cause("metric-not-reset", "report", "metrics are not reset when an epoch begins, or within one",
          "Reset metrics at the beginning of each epoch, and nowhere else.", "model.reset_metrics()"),
    Cause("metric-after-update", "report", "metrics are of a forward pass after the update",
          "Measure the outputs from before the update.",
          "return model.compute_metrics(x, y, y_pred, sample_weight)  # the y_pred of the loss"),
    Cause("metric-missing", "report", "a metric that the model was compiled with is not measured",
          "Let `compute_metrics` update and return them; a property `metrics` of one's own hides them.",
          "return model.compute_metrics(x, y, y_pred, sample_weight)"),
    Cause("loss-report-last-batch", "report", "the last batch's values are reported, not the epoch's",
          "Return the trackers' names, all of them and no other; keep what is more in a `Mean`.",
          "return model.compute_metrics(x, y, y_pred, sample_weight)"),
    Cause("loss-report-discarded", "report",
          "the batch's own loss is returned under the tracker's name, and Keras throws it away",
          "Update the tracker.",
          "kerasx.track_loss(model, loss, x)  # or model.metrics[0].update_state(...)"),
    Cause("loss-report-unweighted", "report", "the reported loss is a mean over batches, not over rows",
          "Weigh each batch by its rows.", "tracker.update_state(loss, sample_weight=tf.shape(x)[0])"),
    Cause("loss-report-shim", "report",
          "Keras 2's `compiled_loss` and `compiled_metrics` stand in for what they were: the mean of the"
          " outputs is reported as the loss", "Use `compute_loss` and `compute_metrics`.",
          "loss = model.compute_loss(x, y, y_pred, sample_weight)"),
    Cause("loss-report-moving", "report", "the reported loss is not the mean over the epoch's moving weights",
          "Compare results of `evaluate`.", "model.evaluate(x, y)"),
    Cause("rounding", "any", "the same mathematics in another order of operations", "None is needed.", ""),
    Cause("unknown", "any", "none of the catalogue, alone or together", "", ""),
)  # fmt: skip

CAUSES = {each.id: each for each in _CAUSES}
