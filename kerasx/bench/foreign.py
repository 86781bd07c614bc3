"""The article's network in JAX and in PyTorch, without TensorFlow.

Both take the arrays `x_train` `[rows, inputs]`, `y_train` (one-hot), `x_test`, `y_test`, and the initial
`kernel_0`, `bias_0`, `kernel_1` ... They train by the sum of squares over the outputs, averaged over the
batch, with plain gradient descent, and track loss and accuracy in training and in validation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasx.bench.timer import EpochTimer


def jax_scan(arrays: Any, batch_size: int, epochs: int, rate: float, timer: EpochTimer) -> None:
    """A whole epoch in one `lax.scan`."""
    import jax
    import jax.numpy as jnp

    x, y, x_test, y_test = (jnp.asarray(arrays[name]) for name in ("x_train", "y_train", "x_test", "y_test"))
    parameters = [tuple(map(jnp.asarray, layer)) for layer in _layers(arrays)]

    def forward(parameters: Any, x: Any) -> Any:
        for kernel, bias in parameters[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        kernel, bias = parameters[-1]
        return x @ kernel + bias

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        outputs = forward(parameters, x)
        return ((outputs - y) ** 2).sum(axis=1).mean(), outputs

    def counted(outputs: Any, y: Any) -> Any:
        return (outputs.argmax(axis=1) == y.argmax(axis=1)).sum()

    @jax.jit  # type: ignore[untyped-decorator]
    def train(parameters: Any, order: Any) -> Any:
        def step(carry: Any, numbers: Any) -> Any:
            parameters, total, right = carry
            batch = x[numbers], y[numbers]
            (loss, outputs), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, *batch)
            parameters = jax.tree.map(lambda p, g: p - rate * g, parameters, gradients)
            return (parameters, total + loss, right + counted(outputs, batch[1])), None

        return jax.lax.scan(step, (parameters, 0.0, 0), order)[0]

    @jax.jit  # type: ignore[untyped-decorator]
    def test(parameters: Any, order: Any) -> Any:
        def step(carry: Any, numbers: Any) -> Any:
            loss, outputs = loss_of(parameters, x_test[numbers], y_test[numbers])
            return (carry[0] + loss, carry[1] + counted(outputs, y_test[numbers])), None

        return jax.lax.scan(step, (0.0, 0), order)[0]

    for order in _orders(len(x), epochs):
        timer.begin()
        for numbers in _batched(order, batch_size):
            parameters, total, right = train(parameters, jnp.asarray(numbers))
        for numbers in _batched(np.arange(len(x_test)), batch_size):
            total, right = test(parameters, jnp.asarray(numbers))
        float(total), int(right)
        timer.end()


def torch_eager(arrays: Any, batch_size: int, epochs: int, rate: float, timer: EpochTimer) -> None:
    """The loop that PyTorch's own tutorials show."""
    import torch

    x, y, x_test, y_test = (
        torch.from_numpy(arrays[name]) for name in ("x_train", "y_train", "x_test", "y_test")
    )
    modules: list[Any] = []
    for kernel, bias in _layers(arrays):
        linear = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = torch.optim.SGD(model.parameters(), rate)
    for order in _orders(len(x), epochs):
        timer.begin()
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for numbers in torch.from_numpy(order).split(batch_size):
            outputs, target = model(x[numbers]), y[numbers]
            loss = ((outputs - target) ** 2).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            right += (outputs.argmax(dim=1) == target.argmax(dim=1)).sum()
        with torch.no_grad():
            for images, target in zip(x_test.split(batch_size), y_test.split(batch_size), strict=True):
                outputs = model(images)
                total += ((outputs - target) ** 2).sum(dim=1).mean()
                right += (outputs.argmax(dim=1) == target.argmax(dim=1)).sum()
        float(total), int(right)
        timer.end()


def _layers(arrays: Any) -> list[tuple[Any, Any]]:
    count = sum(name.startswith("kernel_") for name in arrays)
    return [(arrays[f"kernel_{number}"], arrays[f"bias_{number}"]) for number in range(count)]


def _orders(rows: int, epochs: int) -> list[Any]:
    random = np.random.default_rng(0)
    return [random.permutation(rows) for _ in range(epochs)]


def _batched(order: Any, size: int) -> list[Any]:
    """The full batches `[steps, size]`, and the short last one."""
    full = len(order) // size * size
    return [order[:full].reshape(-1, size), *([order[None, full:]] if full < len(order) else [])]
