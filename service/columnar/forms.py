"""The forms in which rows come and answers go, by media type and by the name of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One form; `read_as` is what the reader of rows calls it, empty if it does not read it."""

    name: str
    media_type: str
    synonyms: tuple[str, ...] = ()
    suffixes: tuple[str, ...]
    read_as: str = ""
    parameters: str = ""  # what an answer's content type says besides

    @property
    def media_types(self) -> tuple[str, ...]:
        """Its own name first, and what else people call it."""
        return (self.media_type, *self.synonyms)

    @property
    def content_type(self) -> str:
        """What an answer says that it is."""
        return self.media_type + self.parameters


JSON: Final = Form(name="json", media_type="application/json", suffixes=(".json",))
CSV: Final = Form(
    name="csv",
    media_type="text/csv",  # RFC 7111
    synonyms=("application/csv", "text/x-csv"),
    suffixes=(".csv",),
    read_as="csv",
    parameters="; charset=utf-8; header=present",
)
ARROW_STREAM: Final = Form(
    name="arrow",
    media_type="application/vnd.apache.arrow.stream",
    synonyms=("application/vnd.apache.arrow", "application/x-apache-arrow-stream"),
    suffixes=(".arrows",),
    read_as="arrow",
)
ARROW_FILE: Final = Form(
    name="arrow-file",
    media_type="application/vnd.apache.arrow.file",
    synonyms=("application/x-apache-arrow-file", "application/x-feather"),
    suffixes=(".arrow", ".feather", ".ipc"),
    read_as="arrow",
)
PARQUET: Final = Form(
    name="parquet",
    media_type="application/vnd.apache.parquet",
    synonyms=("application/x-parquet", "application/parquet"),
    suffixes=(".parquet", ".pq"),
    read_as="parquet",
)
NPY: Final = Form(
    name="npy",
    media_type="application/x-npy",
    synonyms=("application/x-numpy", "application/npy", "application/vnd.numpy"),
    suffixes=(".npy",),
    read_as="npy",
)
COLUMNAR: Final = (CSV, ARROW_STREAM, ARROW_FILE, PARQUET, NPY)
FORMS: Final = (*COLUMNAR, JSON)
BY_MEDIA_TYPE: Final = {name: form for form in FORMS for name in form.media_types}
BY_SUFFIX: Final = {suffix: form for form in FORMS for suffix in form.suffixes}
TAKEN: Final = ", ".join(form.media_type for form in FORMS)


def form_of(content_type: str) -> Form | None:
    """The form that a content type names, whatever its parameters."""
    return BY_MEDIA_TYPE.get(content_type.partition(";")[0].strip().lower())


def is_columnar(content_type: str | None) -> bool:
    """Whether a content type names a form that is read as a file of columns."""
    return form_of(content_type or "") in COLUMNAR


def form_of_file(path: Path) -> Form | None:
    """The form that a file's name stands for."""
    return BY_SUFFIX.get(path.suffix.lower())


def media_types(first: Form) -> Iterable[str]:
    """Every media type that an answer may have, the preferred form's first."""
    forms = (first, *(form for form in FORMS if form is not first))
    return [name for form in forms for name in form.media_types]
