"""Which nodes of a graph can compute in 8-bit integers: layers with weights, and what lies between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

LAYERS = ("Conv", "Gemm", "MatMul")  # with constant weights, for which ONNX Runtime has kernels of integers
# What passes integers on between layers. Nothing else is touched: scales of boxes, exponentials, pixels' normalisation.
BETWEEN = (
    *("Relu", "Clip", "LeakyRelu", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Mul", "Concat"),
    *("Resize", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"),
)
_VALUES_IN = {"Add": 2, "Mul": 2}  # inputs that hold values; of the others the first one, of Concat all


@dataclass(frozen=True)
class Layer:
    """A node with constant weights.

    Attributes:
        name: of the node.
        kind: Conv, Gemm or MatMul.
        source: the tensor that enters it.
        result: the tensor that leaves it, behind its activation.
        weight: the name of its weights.
        first, last: whether no other layer is before it, or after it.
    """

    name: str
    kind: str
    source: str
    result: str
    weight: str
    first: bool
    last: bool


class Graph:
    """The nodes of an ONNX graph in their order, which is topological, and their layers.

    Args:
        graph: an `onnx.GraphProto` whose nodes have different names.
    """

    def __init__(self, graph: Any) -> None:
        self._nodes = list(graph.node)
        self._constants = {one.name for one in graph.initializer}
        self._maker = {name: node.name for node in self._nodes for name in node.output if name}
        self._users: dict[str, list[Any]] = {}
        for node in self._nodes:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        weighted = {node.name for node in self._nodes if self._is_layer(node)}
        above, below = self._above(weighted), self._below(weighted)
        self.layers = [
            Layer(
                node.name,
                node.op_type,
                node.input[0],
                self._result(node),
                node.input[1],
                node.name not in above,
                node.name not in below,
            )
            for node in self._nodes
            if node.name in weighted
        ]

    def quantised_nodes(self, kept: Collection[str]) -> list[str]:
        """Return the names of the nodes that compute in integers, in their order.

        Args:
            kept: names of the layers that stay as they are.
        """
        chosen = {layer.name for layer in self.layers} - set(kept)
        below = self._below(chosen)
        for node in self._nodes:
            sources = self._sources(node) if node.op_type in BETWEEN and node.name in below else []
            if sources and all(self._maker.get(name) in chosen for name in sources):
                chosen.add(node.name)
        return [node.name for node in self._nodes if node.name in chosen]

    def _is_layer(self, node: Any) -> bool:
        return node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in self._constants

    def _sources(self, node: Any) -> Sequence[str]:
        count = len(node.input) if node.op_type == "Concat" else _VALUES_IN.get(node.op_type, 1)
        return list(node.input[:count])

    def _result(self, node: Any) -> str:
        users = self._users.get(node.output[0], [])
        alone = len(users) == 1 and users[0].op_type in ("Relu", "Clip")
        return str(users[0].output[0] if alone else node.output[0])

    def _above(self, marked: Collection[str]) -> set[str]:
        """Return the names of the nodes that come after a marked one."""
        found: set[str] = set()
        for node in self._nodes:
            makers = [self._maker[name] for name in node.input if name in self._maker]
            if any(maker in marked or maker in found for maker in makers):
                found.add(node.name)
        return found

    def _below(self, marked: Collection[str]) -> set[str]:
        """Return the names of the nodes that come before a marked one."""
        found: set[str] = set()
        for node in reversed(self._nodes):
            users = [user.name for name in node.output for user in self._users.get(name, [])]
            if any(user in marked or user in found for user in users):
                found.add(node.name)
        return found


def name_nodes(graph: Any) -> None:
    """Give every node a name of its own, by its kind and place."""
    for place, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{place}"
