"""What linear models answer, one class for each way that scikit-learn has."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed
from models.layouts import Floats, choice, flags, floats, integers, labels, layout, optional
from models.links import logarithm, logistic, softmax, two_columns
from models.parts import Part, frozen, matrix
from models.tables import Features

SMALLEST: Final = np.finfo(np.float64).smallest_normal
NO_CHANCES: Final = "none"


class Scores(Part):
    """`X @ coef.T + intercept`, as scikit-learn multiplies.

    How coefficients lie in memory decides the last bit: `flat` ones are a vector, `turned` ones
    lie column by column.
    """

    LAYOUT = layout(
        coef=floats("outputs", "columns"),
        intercept=floats("outputs"),
        flat=flags(1),
        turned=flags(1),
    )

    def prepare(self) -> None:
        """Lay the coefficients out as the estimator does."""
        self._factors: Floats = self.arrays["coef"].T
        if self.arrays["turned"][0]:
            self._factors = frozen(self._factors)
        self._intercept: Floats = self.arrays["intercept"]
        if self.arrays["flat"][0]:
            if self.lengths["outputs"] != 1:
                raise ArraysMalformed("several rows of coefficients are no vector")
            self._factors, self._intercept = self.arrays["coef"][0], self._intercept[0]

    def scores(self, features: Features) -> Floats:
        """One number for each row, or one for each row and output."""
        answers: Floats = matrix(features) @ self._factors + self._intercept
        return answers


class Regressor(Scores):
    """The scores, or their exponential: linear regression and its generalised kinds."""

    LAYOUT = layout(**Scores.LAYOUT, link=choice("identity", "log"))

    def prepare(self) -> None:
        """Read the link."""
        super().prepare()
        self._raised = self.arrays["link"][0] == "log"

    def predict(self, features: Features) -> Floats:
        """One number for each row, or one row of numbers."""
        scores = self.scores(features)
        return np.exp(scores) if self._raised else scores


class Classifier(Scores):
    """The label whose score is highest; of two labels, by the sign of one score.

    `chances` says how scores become probabilities: by the logistic function, each score alone or
    over the sum of all; by softmax of several; or, for the modified Huber loss, by cutting off.
    """

    LAYOUT = layout(
        **Scores.LAYOUT,
        classes=labels("classes"),
        chances=choice(NO_CHANCES, "logistic", "softmax", "huber", "discriminant"),
    )

    def prepare(self) -> None:
        """Compare the number of labels with that of scores."""
        super().prepare()
        self._classes = self.arrays["classes"]
        self._chances = str(self.arrays["chances"][0])
        outputs = self.lengths["outputs"]
        if self.lengths["classes"] != (2 if outputs == 1 else outputs):
            raise ArraysMalformed("there are not as many labels as scores")

    def withheld(self) -> frozenset[str]:
        """Probabilities, if it has none."""
        if self._chances == NO_CHANCES:
            return frozenset({"predict_proba", "predict_log_proba"})
        return frozenset()

    def decision_function(self, features: Features) -> Floats:
        """The score of each row, or its score for each label."""
        scores = self.scores(features)
        return scores.reshape(-1) if scores.ndim > 1 and scores.shape[1] == 1 else scores

    def predict(self, features: Features) -> NDArray[Any]:
        """One label for each row."""
        scores = self.decision_function(features)
        chosen = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
        answers: NDArray[Any] = self._classes.take(chosen)
        return answers

    def predict_proba(self, features: Features) -> Floats:
        """The probability of each label."""
        scores = self.decision_function(features)
        if self._chances == "huber":
            chances = (np.clip(scores, -1, 1) + 1.0) / 2.0
        elif self._chances == "logistic" or scores.ndim == 1:
            chances = logistic(scores)
        else:
            return softmax(scores)
        return two_columns(chances) if chances.ndim == 1 else _shares(chances)

    def predict_log_proba(self, features: Features) -> Floats:
        """The logarithm of each probability."""
        chances = self.predict_proba(features)
        if self._chances == "discriminant":
            chances[chances == 0] += SMALLEST
        return logarithm(chances)


class Discriminant(Classifier):
    """A linear discriminant that can transform rows as well."""

    LAYOUT = layout(
        **Classifier.LAYOUT,
        centre=optional(floats("columns")),
        scalings=floats("columns", "directions"),
        components=integers(1, least=1),
    )

    def prepare(self) -> None:
        """Read how many directions are given out."""
        super().prepare()
        self._components = int(self.arrays["components"][0])
        self._centre = self.arrays.get("centre")

    def transform(self, features: Features) -> Floats:
        """The rows in the directions that part the labels."""
        rows = matrix(features)
        centred = rows if self._centre is None else rows - self._centre
        turned: Floats = centred @ self.arrays["scalings"]
        return turned[:, : self._components]


class Answers(Scores):
    """Yes or no to several questions."""

    def decision_function(self, features: Features) -> Floats:
        """The score of each question."""
        return self.scores(features)

    def predict(self, features: Features) -> NDArray[np.int64]:
        """1 or 0 for each question."""
        return (self.scores(features) > 0).astype(np.int64)


class OneClass(Part):
    """On which side of a plane a row lies: inliers and outliers."""

    LAYOUT = layout(coef=floats("columns"), offset=floats(1))

    def decision_function(self, features: Features) -> Floats:
        """How far each row is on the side of the inliers."""
        above: Floats = matrix(features) @ self.arrays["coef"] - self.arrays["offset"]
        return above

    def score_samples(self, features: Features) -> Floats:
        """The same without the offset."""
        scores: Floats = self.decision_function(features) + self.arrays["offset"]
        return scores

    def predict(self, features: Features) -> NDArray[np.int64]:
        """1, or -1 for an outlier."""
        return np.where(self.decision_function(features) >= 0, 1, -1)


class Latent(Part):
    """Rows as scores of latent components: partial least squares that only transform."""

    LAYOUT = layout(
        centre=floats("columns"),
        scale=floats("columns"),
        rotations=floats("columns", "components"),
    )

    def transform(self, features: Features) -> Floats:
        """The scores of each row."""
        scaled = (matrix(features) - self.arrays["centre"]) / self.arrays["scale"]
        answers: Floats = np.dot(scaled, self.arrays["rotations"])
        return answers


class PartialLeastSquares(Latent):
    """Partial least squares that predict."""

    LAYOUT = layout(
        **Latent.LAYOUT,
        coef=floats("outputs", "columns"),
        intercept=floats("outputs"),
        flat=flags(1),
    )

    def predict(self, features: Features) -> Floats:
        """One number for each row, or one row of numbers."""
        centred = matrix(features) - self.arrays["centre"]
        answers: Floats = centred @ self.arrays["coef"].T + self.arrays["intercept"]
        return answers.ravel() if self.arrays["flat"][0] else answers


def _shares(chances: Floats) -> Floats:
    """Chances over their sum; equal ones where all are zero."""
    sums = chances.sum(axis=1)
    nothing = sums == 0
    chances[nothing] = 1
    sums[nothing] = chances.shape[1]
    chances /= sums.reshape(-1, 1)
    return chances


KINDS: Final[dict[str, type[Part]]] = {
    "regressor": Regressor,
    "classifier": Classifier,
    "discriminant": Discriminant,
    "answers": Answers,
    "one class": OneClass,
    "latent": Latent,
    "least squares": PartialLeastSquares,
}
