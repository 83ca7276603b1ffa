"""Writes tests/golden/models/NAME.onnx and onnx.npz: what ONNX Runtime says about models with recurrent nodes.

Neither the package nor its tests need ONNX Runtime, only this script does. In an environment apart:

    pip install onnx onnxruntime
    python tests/make_golden_onnx.py

`onnx.npz`: NAME/x (T, B, D), or symbols (T, B), NAME/y (T, B, F), the last node's output with its directions side by
side, and NAME/lengths (B,) of `padded`.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "golden" / "models"
BLOCKS = {"RNN": 1, "LSTM": 4, "GRU": 3}
T, B, D, V = 7, 3, 2, 6


class Graph:
    """Nodes and initializers, as they are added."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.nodes, self.stored, self.value = rng, [], [], "x"

    def store(self, name: str, array: np.ndarray) -> str:
        """An initializer; returns its name."""
        self.stored.append(numpy_helper.from_array(array, name))
        return name

    def random(self, name: str, *shape: int) -> str:
        """One of random numbers."""
        return self.store(name, (0.5 * self.rng.normal(size=shape)).astype("float32"))

    def recurrent(
        self, kind: str, inputs: int, hidden: int, peepholes: bool = False, lengths: str = "", **own
    ) -> "Graph":
        """A node, and those that put its directions side by side, as torch.onnx.export writes them."""
        dirs, rows, k = 1 + (own.get("direction") == "bidirectional"), BLOCKS[kind] * hidden, len(self.nodes)
        arrays = [self.random(f"W{k}", dirs, rows, inputs), self.random(f"R{k}", dirs, rows, hidden)]
        arrays += [self.random(f"B{k}", dirs, 2 * rows), lengths]
        arrays += ["", "", self.random(f"P{k}", dirs, 3 * hidden)] if peepholes else []
        self.nodes.append(helper.make_node(kind, [self.value, *arrays], [f"y{k}"], hidden_size=hidden, **own))
        self.nodes.append(helper.make_node("Transpose", [f"y{k}"], [f"t{k}"], perm=[0, 2, 1, 3]))
        shape = self.store(f"s{k}", np.array([0, 0, -1]))
        self.nodes.append(helper.make_node("Reshape", [f"t{k}", shape], [f"z{k}"]))
        self.value = f"z{k}"
        return self

    def embedding(self) -> "Graph":
        """Rows of a matrix, by symbols."""
        self.nodes.append(helper.make_node("Gather", [self.random("vectors", V, D), "x"], ["e"]))
        self.value = "e"
        return self

    def model(self, symbols: bool, lengths: bool):
        """What is saved."""
        kind, axes = (TensorProto.INT64, ["T", "B"]) if symbols else (TensorProto.FLOAT, ["T", "B", D])
        inputs = [helper.make_tensor_value_info("x", kind, axes)]
        inputs += [helper.make_tensor_value_info("n", TensorProto.INT32, ["B"])] if lengths else []
        outputs = [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def graphs(rng: np.random.Generator) -> dict[str, Graph]:
    """By name."""
    both = {"direction": "bidirectional"}
    return {
        "lstm": Graph(rng).recurrent("LSTM", D, 4).recurrent("LSTM", 4, 3),
        "peepholes": Graph(rng).recurrent("LSTM", D, 4, peepholes=True),
        "gru": Graph(rng).recurrent("GRU", D, 4, linear_before_reset=1),
        "gru_before": Graph(rng).recurrent("GRU", D, 4),
        "relu": Graph(rng).recurrent("RNN", D, 4, activations=["Relu"]),
        "both": Graph(rng).recurrent("GRU", D, 3, **both).recurrent("LSTM", 6, 2, **both),
        "reverse": Graph(rng).recurrent("RNN", D, 4, direction="reverse"),
        "padded": Graph(rng).recurrent("LSTM", D, 4, lengths="n", **both),
        "symbols": Graph(rng).embedding().recurrent("LSTM", D, 3),
    }


def main() -> None:
    """Write everything."""
    rng, golden = np.random.default_rng(0), {}
    for name, graph in graphs(rng).items():
        model = graph.model(symbols := name == "symbols", padded := name == "padded").SerializeToString()
        (FOLDER / f"{name}.onnx").write_bytes(model)
        x = rng.integers(0, V, (T, B)) if symbols else rng.normal(size=(T, B, D)).astype("float32")
        lengths = {"n": np.array([T, 4, 1], "int32")} if padded else {}
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        golden |= {f"{name}/x": x, f"{name}/y": session.run(None, {"x": x, **lengths})[0]}
        golden |= {f"{name}/lengths": n for n in lengths.values()}
    np.savez_compressed(FOLDER / "onnx.npz", **golden)


if __name__ == "__main__":
    main()
