"""ONNX files of any producer: looked through, then run by ONNX Runtime."""

from __future__ import annotations

from typing import Final

from models.formats import FORMATS
from models.handlers import Kept, Opened
from models.runtimes.onnx_models import OnnxModel
from models.soundness.onnx_graphs import read_graph

FORMAT: Final = FORMATS["onnx"]


class OnnxFile:
    """Files that hold one ModelProto, its data inside."""

    def open(self, data: bytes) -> Opened:
        """Check the graph, then let ONNX Runtime read it."""
        return Opened(OnnxModel(read_graph(data), data), (), Kept(FORMAT.name, data))
