"""The tensors that a graph names: which of them callers may use beside columns and methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from models.signature import METHODS, Kind, Output, Part, Signature, spans

MOST_INPUTS: Final = 1_000
MOST_OUTPUTS: Final = 100
MOST_NAME: Final = 200


def named(
    signature: Signature, inputs: Sequence[Part], parts: dict[str, tuple[Part, ...]]
) -> Signature:
    """The signature with the tensors of its graph, as far as their names are of use."""
    answering = {
        method: _with_parts(output, parts.get(method, ()))
        for method, output in signature.methods.items()
    }
    found = replace(signature, methods=answering)
    if not outputs_fit(found):
        found = signature
    taking = replace(found, inputs=tuple(inputs))
    return taking if inputs_fit(taking) else found


def inputs_fit(signature: Signature) -> bool:
    """Whether inputs are all of the columns, each of one kind, and none is called like others."""
    inputs = signature.inputs
    if not inputs:
        return True
    if not _fit(inputs, signature.columns, MOST_INPUTS):
        return False
    return _are_uniform(inputs, signature.kinds) and _are_apart(inputs, signature.feature_names)


def outputs_fit(signature: Signature) -> bool:
    """Whether the parts of each method are all of its answer, and each name means one thing."""
    outputs = [output for output in signature.methods.values() if output.parts]
    names = [part.name for output in outputs for part in output.parts]
    return (
        all(_fit(output.parts, output.width or 1, MOST_OUTPUTS) for output in outputs)
        and len(set(names)) == len(names) <= MOST_OUTPUTS
        and not set(names) & set(METHODS)
    )


def _with_parts(output: Output, parts: tuple[Part, ...]) -> Output:
    return replace(output, parts=parts) if _fit(parts, output.width or 1, MOST_OUTPUTS) else output


def _fit(parts: Sequence[Part], columns: int, most: int) -> bool:
    names = {part.name for part in parts}
    return (
        len(names) == len(parts) <= most
        and all(0 < len(name) <= MOST_NAME for name in names)
        and sum(part.columns for part in parts) == columns
    )


def _are_uniform(inputs: Sequence[Part], kinds: Sequence[Kind] | None) -> bool:
    return kinds is None or all(len(set(kinds[span])) == 1 for span in spans(inputs).values())


def _are_apart(inputs: Sequence[Part], columns: Sequence[str] | None) -> bool:
    """Whether an input that is called like a column is that column."""
    if columns is None:
        return True
    places = {name: at for at, name in enumerate(columns)}
    return all(
        name not in places or (span.start, span.stop) == (places[name], places[name] + 1)
        for name, span in spans(inputs).items()
    )
