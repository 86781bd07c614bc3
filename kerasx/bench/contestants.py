"""What is measured: the plain programs, and each strategy in each of its executions."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kerasx.errors import UsageError, suggestion

# Executions of which a tenth of the rows is enough to know how long all of them would take.
_SLOW = "eager"
_SHARE = 0.1


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        name: Of the row.
        peer: Which plain program it is; None for kerasx.
        strategy: Which strategy of kerasx.
        execution: In which execution; None for the strategy's default.
        jit: Whether XLA compiles it; None for the default.
        share: The share of the rows that it is given; its times are scaled up.
        same_batches: Whether it sees kerasx's batches, so that its bits can be compared.
    """

    name: str
    peer: str | None = None
    strategy: str | None = None
    execution: str | None = None
    jit: bool | None = False
    share: float = 1.0
    same_batches: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


FIT = Contestant("model.fit", peer="fit", same_batches=False)
PEERS = (
    FIT,
    Contestant("model.fit jit", peer="fit", jit=True, same_batches=False),
    Contestant("eager tape", peer="eager_tape", share=_SHARE, same_batches=False),
    Contestant("XLA epoch loop", peer="xla_loop", jit=True),
)
# Programs without TensorFlow, of the article's network only.
FOREIGN = {
    "jax": Contestant("JAX lax.scan", peer="jax_scan", same_batches=False),
    "torch": Contestant("PyTorch eager", peer="torch_eager", same_batches=False),
}


def contestants(strategies: Iterable[Sequence[Any]], *, has_plain_network: bool) -> list[Contestant]:
    """All there are.

    Args:
        strategies: For each its name, its executions and whether it can be compiled by XLA.
        has_plain_network: Whether the experiment is one that the foreign programs know.
    """
    found = [*PEERS]
    for module, each in FOREIGN.items():
        if has_plain_network and importlib.util.find_spec(module) is not None:
            found.append(each)
    for name, executions, can_jit in strategies:
        found.append(Contestant(name, None, name, None, None))
        for execution in sorted(executions, key=("eager", "graph", "fused").index):
            if execution == _SLOW:
                found.append(Contestant(f"{name} eager", None, name, execution, share=_SHARE))
                continue
            for jit in (False, True) if can_jit else (False,):
                label = f"{name} {execution}{' jit' if jit else ''}"
                found.append(Contestant(label, None, name, execution, jit))
    return found


def chosen(all_of_them: list[Contestant], only: Sequence[str]) -> list[Contestant]:
    """Those with one of these names, or whose names begin so, and `model.fit`, to compare the others with.

    Raises:
        UsageError: None is called so, and none begins so.
    """
    names = [each.name for each in all_of_them]
    wanted = {FIT.name} if only else set(names)
    for name in only:
        found = {name} if name in names else {each for each in names if each.startswith(name)}
        if not found:
            raise UsageError(f"There is no row `{name}`. {suggestion(name, names, what='rows')}")
        wanted |= found
    return [each for each in all_of_them if each.name in wanted]
