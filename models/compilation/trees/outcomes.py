"""What a method answers from the sums of leaves: one class for each way that libraries have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import Arrays, Ensemble
from models.errors import ArraysMalformed
from models.labels import check_labels
from models.links import logarithm, logistic, softmax, two_columns
from models.signature import METHODS

Sums = NDArray[Any]
# XGBoost's logistic function goes no lower: it bounds what it raises e to.
LEAST_CHANCE: Final = np.float32(1 / (1 + np.exp(np.float64(np.float32(88.7)))))
HALF: Final = np.float32(0.5)
NAMES: Final = ("outcome", "classes", "class_sizes", "numbers", "withheld")


class Outcome:
    """Answers methods, which are its own functions of those names, from sums.

    `EACH` asks for the leaf of every tree instead of their sums. `NUMBERS` is how many numbers
    it takes from the file besides.
    """

    EACH: ClassVar[bool] = False
    NUMBERS: ClassVar[int | None] = 0

    def __init__(self, arrays: Arrays, trees: Ensemble) -> None:
        self.trees, self.width = trees.trees, trees.width
        numbers = arrays.get("numbers", np.zeros(0))
        wanted = self.trees if self.NUMBERS is None else self.NUMBERS
        if numbers.dtype != np.float64 or numbers.shape != (wanted,):
            raise ArraysMalformed(f"there are not {wanted} numbers for the outcome")
        self.numbers = numbers
        self.prepare(arrays)
        # Some estimators lack a method that others of their kind have, or compute it otherwise.
        withheld = arrays.get("withheld", np.zeros(0, "U1"))
        if withheld.dtype.kind != "U" or withheld.ndim != 1:
            raise ArraysMalformed("what is withheld is no list of methods")
        answered = [method for method in METHODS if hasattr(self, method)]
        self.methods = frozenset(answered).difference(withheld.tolist())

    def prepare(self, arrays: Arrays) -> None:
        """Read what this outcome needs."""
        self.refuse(arrays, "classes", "class_sizes")

    def refuse(self, arrays: Arrays, *names: str) -> None:
        """Raise ArraysMalformed for arrays that this outcome does not have."""
        for name in names:
            if name in arrays:
                raise ArraysMalformed(f"this outcome has no {name}")

    def answer(self, method: str, sums: Sums) -> NDArray[Any]:
        """Answer each row of sums by one of its methods."""
        answers: NDArray[Any] = getattr(self, method)(sums)
        return answers


class Classes(Outcome, ABC):
    """The label of the highest score, and probabilities."""

    def prepare(self, arrays: Arrays) -> None:
        """Read as many labels as there are scores, or two for one score."""
        self.refuse(arrays, "class_sizes")
        self.classes = check_labels(arrays.get("classes"), self.labels())

    @abstractmethod
    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""

    def predict_log_proba(self, sums: Sums) -> Sums:
        """The logarithm of each probability."""
        return logarithm(self.predict_proba(sums))

    def labels(self) -> int:
        """How many labels there are."""
        return self.width

    def highest(self, scores: Sums) -> NDArray[Any]:
        """The labels of the highest scores, the first of equals."""
        chosen: NDArray[Any] = self.classes.take(scores.argmax(axis=1))
        return chosen


class Mean(Outcome):
    """The mean of the trees' numbers: forests of regressors."""

    def predict(self, sums: Sums) -> Sums:
        """One number, or one row of numbers, for each row."""
        sums /= self.trees
        return flat(sums)


class Total(Outcome):
    """The sum: boosted regressors whose scores are their answers."""

    def predict(self, sums: Sums) -> Sums:
        """One number, or one row of numbers, for each row."""
        return flat(sums)


class Chance(Outcome):
    """One probability: XGBoost's logistic regression."""

    def predict(self, sums: Sums) -> Sums:
        """One probability for each row."""
        return flat(np.maximum(sums, LEAST_CHANCE))


class Logistic(Outcome):
    """The logistic function of the score multiplied by the number: LightGBM's boosters."""

    NUMBERS = 1

    def predict(self, sums: Sums) -> Sums:
        """One probability for each row."""
        return logistic(sums[:, 0] * self.numbers[0])


class Softmax(Outcome):
    """A probability for each label: LightGBM's boosters."""

    def predict(self, sums: Sums) -> Sums:
        """One row of probabilities for each row."""
        return softmax(sums)


class Odds(Outcome):
    """The probability of the second of two labels: XGBoost's classifiers."""

    def prepare(self, arrays: Arrays) -> None:
        """Read two labels."""
        self.refuse(arrays, "class_sizes")
        self.classes = check_labels(arrays.get("classes"), 2)

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        chosen: NDArray[Any] = self.classes.take(sums[:, 0] > HALF)
        return chosen

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        return two_columns(np.maximum(sums[:, 0], LEAST_CHANCE))


class Exponential(Outcome):
    """The exponential of the sum: boosted regressors of counts and sizes."""

    def predict(self, sums: Sums) -> Sums:
        """One number for each row."""
        return flat(np.exp(sums))


class MeanClasses(Classes):
    """The mean of the trees' probabilities: forests and bags of classifiers."""

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        return self.highest(self.predict_proba(sums))

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        sums /= self.trees
        return sums


class MeanLabels(Outcome):
    """The mean of the trees' probabilities, of several questions at once."""

    def prepare(self, arrays: Arrays) -> None:
        """Read the labels of all questions, one after the other."""
        sizes = arrays.get("class_sizes")
        if sizes is None or sizes.dtype != np.int64 or sizes.ndim != 1 or (sizes < 1).any():
            raise ArraysMalformed("nothing says how many labels each question has")
        if int(sizes.sum()) != self.width:
            raise ArraysMalformed("there are not as many labels as sums")
        self.classes = check_labels(arrays.get("classes"), self.width)
        ends = np.cumsum(sizes).tolist()
        self.parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row and question."""
        means = sums / self.trees
        chosen = [self.classes[p].take(means[:, p].argmax(axis=1)) for p in self.parts]
        return np.stack(chosen, axis=1)


class Binomial(Classes):
    """One score for two labels: boosted classifiers.

    The numbers are what the score is multiplied with before it becomes a probability, and 1 if a
    score of zero means the second label.
    """

    NUMBERS = 2

    def labels(self) -> int:
        """Two for one score."""
        if self.width != 1:
            raise ArraysMalformed("two labels have one score")
        return 2

    def decision_function(self, sums: Sums) -> Sums:
        """The score of each row."""
        return sums[:, 0]

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        second = sums[:, 0] >= 0 if self.numbers[1] else sums[:, 0] > 0
        chosen: NDArray[Any] = self.classes.take(second)
        return chosen

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        return two_columns(logistic(sums[:, 0] * self.numbers[0]))


class Multinomial(Classes):
    """One score for each label: boosted classifiers."""

    def decision_function(self, sums: Sums) -> Sums:
        """The scores of each row."""
        return sums

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        return self.highest(sums)

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        return softmax(sums)


class Shares(Classes):
    """A probability for each label: XGBoost's classifiers."""

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        return self.highest(sums)

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        return sums


class OneAgainstAll(Classes):
    """The logistic function of each score: LightGBM's classifiers of that kind."""

    NUMBERS = 1

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        return self.highest(self.predict_proba(sums))

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        return logistic(sums * self.numbers[0])


class Isolation(Outcome):
    """How deep trees must go to part a row from the others: isolation forests.

    The numbers are the depth to compare with, and the score below which a row is an outlier.
    """

    NUMBERS = 2

    def score_samples(self, sums: Sums) -> Sums:
        """Minus the anomaly score of each row."""
        depths, usual = sums[:, 0], self.numbers[0]
        shares = depths / usual if usual != 0 else np.ones_like(depths)
        scores: Sums = -(np.float64(2.0) ** -shares)
        return scores

    def decision_function(self, sums: Sums) -> Sums:
        """The score above the limit."""
        above: Sums = self.score_samples(sums) - self.numbers[1]
        return above

    def predict(self, sums: Sums) -> NDArray[np.int64]:
        """1, or -1 for an outlier."""
        return np.where(self.decision_function(sums) < 0, -1, 1)


class Votes(Classes):
    """Weighted votes: AdaBoost's classifiers. The number is the sum of the weights."""

    NUMBERS = 1

    def decision_function(self, sums: Sums) -> Sums:
        """The share of votes, of two labels as the second's above the first's."""
        sums /= self.numbers[0]
        if self.width != 2:
            return sums
        sums[:, 0] *= -1
        total: Sums = sums.sum(axis=1)
        return total

    def predict(self, sums: Sums) -> NDArray[Any]:
        """One label for each row."""
        decision = self.decision_function(sums)
        if self.width != 2:
            return self.highest(decision)
        chosen: NDArray[Any] = self.classes.take(decision > 0)
        return chosen

    def predict_proba(self, sums: Sums) -> Sums:
        """One probability for each label."""
        decision = self.decision_function(sums)
        if self.width == 2:
            return softmax(np.vstack([-decision, decision]).T / 2)
        return softmax(decision / (self.width - 1))


class Median(Outcome):
    """The weighted median of the trees' numbers: AdaBoost's regressors."""

    EACH = True
    NUMBERS = None

    def predict(self, sums: Sums) -> Sums:
        """One number for each row."""
        numbers = sums[:, :, 0]
        order = np.argsort(numbers, axis=1)
        weights = np.cumsum(self.numbers[order], axis=1)
        middle = (weights >= 0.5 * weights[:, -1:]).argmax(axis=1)
        rows = np.arange(len(numbers))
        answers: Sums = numbers[rows, order[rows, middle]]
        return answers


def flat(sums: Sums) -> Sums:
    """One number for each row where there is one, else one row of them."""
    return sums[:, 0] if sums.shape[1] == 1 else sums


OUTCOMES: Final[dict[str, Callable[[Arrays, Ensemble], Outcome]]] = {
    "mean": Mean,
    "total": Total,
    "chance": Chance,
    "odds": Odds,
    "logistic": Logistic,
    "softmax": Softmax,
    "shares": Shares,
    "one against all": OneAgainstAll,
    "exponential": Exponential,
    "mean classes": MeanClasses,
    "mean labels": MeanLabels,
    "binomial": Binomial,
    "multinomial": Multinomial,
    "isolation": Isolation,
    "votes": Votes,
    "median": Median,
}


def outcome_of(arrays: Arrays, trees: Ensemble) -> Outcome:
    """Read what methods answer; raises ArraysMalformed."""
    named = arrays["outcome"].tolist() if "outcome" in arrays else None
    match named:
        case [str(name)] if name in OUTCOMES:
            return OUTCOMES[name](arrays, trees)
        case _:
            raise ArraysMalformed("nothing says what is answered")
