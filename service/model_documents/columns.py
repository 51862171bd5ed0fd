"""The rows that a version takes, as JSON Schema has them: by position, by name, and by column."""

from __future__ import annotations

from typing import Final

from models.requests.binding import INPUT
from service.model_documents.facts import Described, Facts, closed, listed, refer
from service.schemas import PROSE

ROW: Final = "Row"
RECORD: Final = "Record"
COLUMNS: Final = "Columns"
# Where one value is wanted, some dialects take a list that holds one.
LOOSE_RECORD: Final = "LooseRecord"
LOOSE_COLUMNS: Final = "LooseColumns"
SHOWN: Final = 100


def row_schemas(facts: Facts) -> dict[str, Described]:
    """The schemas of rows, by name."""
    cells = _cells(facts)
    loose = {name: _loose(cell) for name, cell in cells.items()}
    return {
        ROW: _row(facts, list(cells.values())),
        RECORD: _object(facts, cells) | {"description": "A row by the names of its columns."},
        COLUMNS: _columns(facts, cells),
        LOOSE_RECORD: _object(facts, loose)
        | {"description": "A row by the names of its columns; a value may be a list of one."},
        LOOSE_COLUMNS: _columns(facts, loose),
    }


def instances(facts: Facts) -> Described:
    """Rows one by one: by position, or by name; of one column also its values."""
    most = facts.bounds.max_rows
    forms = [listed(refer(ROW), most), listed(refer(LOOSE_RECORD), most)]
    if facts.signature.numbers_alone:
        forms.append(listed(closed({INPUT: refer(ROW)}, INPUT), most))
    if facts.signature.columns == 1:
        forms.append(listed(_cell(facts, 0), most))
    return {"description": "Rows.", "anyOf": forms}


def inputs(facts: Facts) -> Described:
    """Rows, or columns by name."""
    forms = [*instances(facts)["anyOf"], refer(LOOSE_COLUMNS)]
    if facts.signature.numbers_alone:
        rows = listed(refer(ROW), facts.bounds.max_rows)
        forms.append(closed({INPUT: rows}, INPUT))
    return {"description": "Rows, or columns by name.", "anyOf": forms}


def _cells(facts: Facts) -> dict[str, Described]:
    return {name: _cell(facts, position) for position, name in enumerate(facts.signature.names)}


def _cell(facts: Facts, position: int) -> Described:
    signature = facts.signature
    name, kind = signature.column(position), signature.column_kinds[position]
    words = [f"The column {name!r}"]
    cell: Described = {"type": "number"}
    if kind == "text":
        cell = {"type": "string", "format": PROSE, "maxLength": facts.bounds.max_bytes}
        known = signature.categories.get(position, ())
        if known:
            cell["examples"] = list(known[:SHOWN])
            words.append(_known(len(known)))
    if signature.missing:
        cell["type"] = [cell["type"], "null"]
        words.append("may be missing")
    return cell | {"description": "; ".join(words) + "."}


def _known(count: int) -> str:
    shown = "" if count <= SHOWN else f", of which the first {SHOWN} are shown"
    return (
        f"the model knows {count} values{shown}, and is asked about others as well: "
        "422 where it refuses them"
    )


def _loose(cell: Described) -> Described:
    return {"anyOf": [cell, {"type": "array", "minItems": 1, "maxItems": 1, "items": cell}]}


def _row(facts: Facts, cells: list[Described]) -> Described:
    count = facts.signature.columns
    row: Described = {
        "description": f"A row: {count} values in the order of the columns.",
        "type": "array",
        "minItems": count,
        "maxItems": count,
    }
    if facts.signature.numbers_alone:
        return row | {"items": {k: v for k, v in cells[0].items() if k != "description"}}
    return row | {"prefixItems": cells, "items": False}


def _object(facts: Facts, cells: dict[str, Described]) -> Described:
    signature = facts.signature
    required = [name for at, name in enumerate(signature.names) if not signature.may_lack(at)]
    return closed(cells, *required)


def _columns(facts: Facts, cells: dict[str, Described]) -> Described:
    lists = {name: listed(cell, facts.bounds.max_rows) for name, cell in cells.items()}
    return _object(facts, lists) | {
        "description": "Values for each column, by its name: of all as many.",
        "minProperties": 1,
    }
