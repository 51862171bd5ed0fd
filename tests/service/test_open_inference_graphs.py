"""Graphs whose inputs and outputs have names of their own, by the Open Inference Protocol V2."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import service_pb2 as pb

from service.operations.registration import register
from tests.house import House
from tests.service.grpc_door import open_door
from tests.service.test_open_inference import ask, ask_binary, left, outputs, refused, tensor

FIRST: Final = np.arange(32, dtype=np.int32).reshape(2, 16)
SECOND: Final = np.ones((2, 16), np.int32)
SUM: Final = (FIRST + SECOND).ravel().tolist()
DIFFERENCE: Final = (FIRST - SECOND).ravel().tolist()
GAP: Final = SECOND.astype(object)
GAP[1, 2] = None
BOTH: Final = np.hstack([FIRST, SECOND])
JOINED: Final = np.hstack([FIRST + SECOND, FIRST - SECOND]).ravel().tolist()


def simple() -> bytes:
    """Triton's model of this name: the sum and the difference of two tensors of integers."""

    def told(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.INT32, ["n", 16])

    graph = helper.make_graph(
        [
            helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
            helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
        ],
        "simple",
        [told("INPUT0"), told("INPUT1")],
        [told("OUTPUT0"), told("OUTPUT1")],
    )
    opset = helper.make_opsetid("", 17)
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return data


def mixed() -> bytes:
    """Texts in a row of two, a list of numbers and an image; a list, a truth and the image back."""

    def told(name: str, kind: int, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, kind, ["n", *shape])

    graph = helper.make_graph(
        [
            helper.make_node("Neg", ["height"], ["depth"]),
            helper.make_node("Equal", ["words", "words"], ["equal"]),
            helper.make_node("Identity", ["image"], ["copy"]),
        ],
        "mixed",
        [
            told("words", TensorProto.STRING, 2),
            told("height", TensorProto.FLOAT),
            told("image", TensorProto.FLOAT, 2, 3),
        ],
        [
            told("depth", TensorProto.FLOAT),
            told("equal", TensorProto.BOOL, 2),
            told("copy", TensorProto.FLOAT, 2, 3),
        ],
    )
    opset = helper.make_opsetid("", 19)
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    return data


@pytest.fixture(scope="module")
def graphs(shared_house: House) -> House:
    """Acme with a graph of two tensors alike, and one of tensors that are not."""
    platform = shared_house.platform
    for name, data in (("simple", simple()), ("mixed", mixed())):
        prepared = platform.hosting.intake.run(data, formats={"onnx"})
        register(platform, shared_house.operator("acme"), name, prepared)
    return shared_house


def given(first: Any = FIRST, second: Any = SECOND, datatype: str = "INT32") -> list[Any]:
    """The two inputs, as clients of that model send them."""
    pairs = (("INPUT0", first), ("INPUT1", second))
    return [tensor(array.tolist(), name, datatype) for name, array in pairs]


def wanted(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def test_inputs_and_outputs_are_described_as_the_graph_names_them(graphs: House) -> None:
    shown = graphs.rob.get("/v2/models/simple").get_json()
    assert [(t["name"], t["shape"]) for t in shown["inputs"]] == [
        ("INPUT0", [-1, 16]),
        ("INPUT1", [-1, 16]),
    ]
    assert [(t["name"], t["shape"], t["datatype"]) for t in shown["outputs"]] == [
        ("OUTPUT0", [-1, 16], "INT64"),
        ("OUTPUT1", [-1, 16], "INT64"),
    ]


@pytest.mark.parametrize("datatype", ["INT32", "FP64", "UINT8"])
def test_inputs_of_the_graph_are_answered_by_its_outputs(graphs: House, datatype: str) -> None:
    first, second = (
        array if datatype != "FP64" else array.astype(float) for array in (FIRST, SECOND)
    )
    one, other = given(first, second, datatype)

    answer = outputs(ask(graphs, other, one, model="simple"))

    assert list(answer) == ["OUTPUT0", "OUTPUT1"]
    assert [answer[name]["data"] for name in answer] == [SUM, DIFFERENCE]
    assert [answer[name]["shape"] for name in answer] == [[2, 16], [2, 16]]


def test_outputs_come_in_the_order_asked_and_cost_one_execution(graphs: House) -> None:
    alone = ask(graphs, *given(), model="simple", outputs=wanted("OUTPUT1"))
    every = ask(graphs, *given(), model="simple", outputs=wanted("OUTPUT1", "predict", "OUTPUT0"))

    assert {name: each["data"] for name, each in outputs(alone).items()} == {"OUTPUT1": DIFFERENCE}
    assert [(name, each["data"]) for name, each in outputs(every).items()] == [
        ("OUTPUT1", DIFFERENCE),
        ("predict", JOINED),
        ("OUTPUT0", SUM),
    ]
    assert left(alone.headers["RateLimit"]) - left(every.headers["RateLimit"]) == 2


def test_the_same_is_answered_over_grpc(graphs: House) -> None:
    inputs = [
        pb.ModelInferRequest.InferInputTensor(name=name, datatype="INT32", shape=[2, 16])
        for name in ("INPUT0", "INPUT1")
    ]
    raw = [FIRST.tobytes(), SECOND.tobytes()]
    named = [pb.ModelInferRequest.InferRequestedOutputTensor(name="OUTPUT1")]
    asked = {"model_name": "simple", "inputs": inputs, "raw_input_contents": raw}
    with open_door(graphs) as door:
        every = door.call("ModelInfer", pb.ModelInferRequest(**asked), actor=graphs.rob)
        one = door.call(
            "ModelInfer", pb.ModelInferRequest(outputs=named, **asked), actor=graphs.rob
        )

    assert [(output.name, list(output.shape)) for output in every.outputs] == [
        ("OUTPUT0", [2, 16]),
        ("OUTPUT1", [2, 16]),
    ]
    answered = [np.frombuffer(data, np.int64).tolist() for data in every.raw_output_contents]
    assert answered == [SUM, DIFFERENCE]
    assert list(one.raw_output_contents) == [every.raw_output_contents[1]]


def test_whole_rows_and_single_columns_are_taken_as_before(graphs: House) -> None:
    whole = outputs(ask_binary(graphs, BOTH, "INT32", "simple"))
    names = [f"INPUT{n}_{at}" for n in (0, 1) for at in range(16)]
    columns = [tensor(BOTH[:, at].tolist(), name) for at, name in enumerate(names)]

    single = outputs(ask(graphs, *columns, model="simple"))
    mixed = outputs(ask(graphs, given()[1], *columns[:16], model="simple"))

    assert whole["OUTPUT0"]["data"] == SUM
    assert single == mixed == whole


def test_tensors_of_any_kind_and_shape_find_their_columns(graphs: House) -> None:
    shown = graphs.rob.get("/v2/models/mixed").get_json()
    described = {t["name"]: (t["datatype"], t["shape"]) for t in shown["inputs"]}
    images = np.arange(12.0).reshape(2, 6)
    inputs = [
        tensor([["a", "b"], ["c", "d"]], "words", "BYTES"),
        tensor([1.5, 2.5], "height"),
        tensor(images.tolist(), "image", "FP32"),
    ]

    answer = outputs(ask(graphs, *inputs[::-1], model="mixed"))

    assert described == {
        "words": ("BYTES", [-1, 2]),
        "height": ("FP64", [-1]),
        "image": ("FP64", [-1, 6]),
    }
    assert {name: (each["shape"], each["data"]) for name, each in answer.items()} == {
        "depth": ([2], [-1.5, -2.5]),
        "equal": ([2, 2], [1.0] * 4),
        "copy": ([2, 6], images.ravel().tolist()),
    }


@pytest.mark.parametrize(
    ("inputs", "named", "said"),
    [
        (given()[:1], (), "no tensor for the column 'INPUT1_0'"),
        ([*given(), tensor([1, 1], "INPUT0_3")], (), "/inputs/2/name: the column 'INPUT0_3'"),
        ([given()[0], given()[0]], (), "the input 'INPUT0' is given twice"),
        ([*given(), tensor([1, 1], "INPUT2")], (), "no input of the model, which has INPUT0"),
        (given(FIRST[:, :15]), (), "15 columns, where the input 'INPUT0' has 16"),
        (given(FIRST.ravel(), SECOND.ravel()), (), "1 columns, where the input 'INPUT0' has 16"),
        (given(FIRST + 0.5, SECOND, "FP64"), (), "the model takes no such rows"),
        (given(FIRST, GAP, "FP64"), (), "/inputs/1/data/1/2: not a finite number"),
        (given(), ("OUTPUT2",), "no method 'OUTPUT2'; it has OUTPUT0, OUTPUT1, predict"),
        (given(), ("OUTPUT0", "OUTPUT0"), "the output 'OUTPUT0' is given twice"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    graphs: House, inputs: list[Any], named: tuple[str, ...], said: str
) -> None:
    members = {"outputs": wanted(*named)} if named else {}
    body = ask(graphs, *inputs, model="simple", **members)
    assert said in refused(body)


def test_the_models_own_document_says_so_too(graphs: House) -> None:
    document = graphs.ada.get("/models/simple/openapi.json").get_json()
    infer = document["paths"]["/v2/models/simple/infer"]["post"]
    example = infer["requestBody"]["content"]["application/json"]["example"]
    answer = infer["responses"]["200"]["content"]["application/json"]
    assert graphs.rob.post("/v2/models/simple/infer", json=example).get_json() == answer["example"]
