"""Words of a text, counted and weighted by how rare they are."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from models.compilation.numeric.counting import normalised
from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, text, texts_of
from models.errors import EstimatorNotHeld, RowsRefused
from models.layouts import Floats, choice, flags, floats, layout, texts
from models.parts import Part
from models.tables import Features, Table

MOST_WORDS: Final = 5_000  # each row has a number for each of them
WORD: Final = r"(?u)\b\w\w+\b"  # scikit-learn's own
FINDER: Final = re.compile(WORD)
# How texts are taken apart here, which is how they are unless somebody says otherwise.
USUAL: Final = {
    "analyzer": "word",
    "binary": False,
    "dtype": np.float64,
    "lowercase": True,
    "ngram_range": (1, 1),
    "preprocessor": None,
    "stop_words": None,
    "strip_accents": None,
    "token_pattern": WORD,
    "tokenizer": None,
}


class Words(Part):
    """One column for each word of one column of texts."""

    LAYOUT = layout(
        words=texts("words"),
        weights=floats("words"),
        damped=flags(1),  # 1 + log of each count
        norm=choice("l1", "l2", "none"),
    )

    def prepare(self) -> None:
        self._places = {word: place for place, word in enumerate(self.arrays["words"].tolist())}

    def transform(self, features: Features) -> Floats:
        """The weighted counts, of a length of 1 for each row."""
        if not isinstance(features, Table) or features.kinds != ("text",):
            raise RowsRefused("a number, where a text is taken")
        made = np.zeros((len(features), self.lengths["words"]))
        for row, cell in zip(made, features.columns[0].tolist(), strict=True):
            if not isinstance(cell, str):
                raise RowsRefused("nothing, where a text is taken")
            for word in FINDER.findall(cell.lower()):
                place = self._places.get(word)
                if place is not None:
                    row[place] += 1.0
        if self.arrays["damped"][0]:
            there = made != 0
            made[there] = np.log(made[there]) + 1.0
        made *= self.arrays["weights"]
        return normalised(made, str(self.arrays["norm"][0]))


def words(estimator: Any) -> Taken:
    """A vectorizer's words and weights; raises EstimatorNotHeld for one of another kind."""
    kind = type(estimator).__name__
    if kind != "TfidfVectorizer" or not type(estimator).__module__.startswith("sklearn."):
        raise EstimatorNotHeld(f"a {kind} takes a list, where others take columns")
    own = estimator.get_params()
    unusual = [name for name, usual in USUAL.items() if own[name] != usual]
    if unusual:
        raise EstimatorNotHeld(f"its {unusual[0]} is not the usual one")
    if len(estimator.vocabulary_) > MOST_WORDS:
        raise EstimatorNotHeld(f"it knows more than {MOST_WORDS} words")
    known = sorted(estimator.vocabulary_, key=estimator.vocabulary_.get)
    weights = estimator.idf_ if estimator.use_idf else np.ones(len(known))
    return "words", {
        "words": texts_of(known),
        "weights": floats_of(weights),
        "damped": flag(estimator.sublinear_tf),
        "norm": text(estimator.norm or "none"),
    }


KINDS: Final[dict[str, type[Part]]] = {"words": Words}
TAKERS: Final[dict[str, Taker]] = {}  # alone, a vectorizer takes no columns: see models.chains
