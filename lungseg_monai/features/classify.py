"""Classifiers of features, tried on patients they have not seen: Khan et al. (2021). Needs the extra `classify`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError, DatasetError, UsageError

FOLDS = 10
COMPONENTS = 0.95
TABLE = "| classifier | accuracy | of folds | sensitivity | specificity | F1 |\n|---|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Score:
    """One classifier's answers about all cases, each given by the fold that had not seen the case's patient."""

    classifier: str
    true_positives: int
    true_negatives: int
    false_positives: int
    false_negatives: int
    accuracy_of_folds: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        return (self.true_positives + self.true_negatives) / self.cases

    @property
    def sensitivity(self) -> float:
        """Share of the nodules that were called nodules."""
        return self.true_positives / (self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """Share of the rest that was not called a nodule."""
        return self.true_negatives / (self.true_negatives + self.false_positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and of the share of those called nodules that are; 0 where none was found."""
        return 2 * self.true_positives / (2 * self.true_positives + self.false_positives + self.false_negatives)

    @property
    def cases(self) -> int:
        return self.true_positives + self.true_negatives + self.false_positives + self.false_negatives

    @property
    def commonest(self) -> float:
        """The accuracy of always naming the more frequent class."""
        nodules = self.true_positives + self.false_negatives
        return max(nodules, self.cases - nodules) / self.cases

    def as_dict(self) -> dict[str, Any]:
        """Counts and shares, for JSON."""
        shares = {name: getattr(self, name) for name in ("accuracy", "sensitivity", "specificity", "f1", "commonest")}
        return {**asdict(self), **shares}


def classifiers(seed: int = 0) -> dict[str, Callable[[], Any]]:
    """The paper's six by name, each a function that makes a new one. Settings it does not give are scikit-learn's.

    Raises UsageError without scikit-learn.
    """
    sklearn_is_there()
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    return {
        "softmax": lambda: LogisticRegression(max_iter=1000),
        "decision tree": lambda: DecisionTreeClassifier(random_state=seed),
        "random forest": lambda: RandomForestClassifier(random_state=seed),
        "k-NN": lambda: KNeighborsClassifier(),
        "SVM, linear": lambda: SVC(kernel="linear"),
        "SVM, RBF": lambda: SVC(kernel="rbf"),
    }


def cross_validated(
    features: NDArray,
    labels: NDArray,
    groups: Sequence[Any] | NDArray,
    *,
    names: Sequence[str] | None = None,
    folds: int = FOLDS,
    components: int | float | None = COMPONENTS,
    seed: int = 0,
) -> list[Score]:
    """A Score for each of `classifiers`, or those of `names`, by as many folds as asked for, cut by patient.

    features: (cases, values), finite; labels: (cases,), 1 nodule, 0 none; groups: (cases,), whose patient's each is:
    no patient is on two sides of a fold, and each fold has about the share of nodules of all. Each value is brought to
    mean 0 and deviation 1, then principal components keep `components` of the variance (below 1) or so many (from 1;
    None: no such step); both learn from the training side alone. The same seed gives the same scores.
    Raises UsageError without scikit-learn, ConfigError for settings that can't be, DatasetError for arrays that can't
    be or patients too few to cut so many folds.
    """
    there = classifiers(seed)
    chosen = list(there) if names is None else list(names)
    other = [name for name in chosen if name not in there]
    if other or not chosen:
        raise ConfigError(f"there is no classifier {', '.join(other) or 'in names'}; there are: {', '.join(there)}")
    values, truth, patients = checked(features, labels, groups)
    from threadpoolctl import threadpool_limits  # of scikit-learn's own needs

    sides = list(cut(truth, patients, folds, seed))
    with threadpool_limits(1):  # arrays so small are quickest on one thread, and sums the same on any machine
        return [score(name, there[name], values, truth, sides, components) for name in chosen]


def score(
    name: str,
    make: Callable[[], Any],
    values: NDArray[np.float64],
    truth: NDArray[np.int64],
    sides: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    components: int | float | None,
) -> Score:
    said, of_folds = np.full(len(truth), -1), []
    for training, testing in sides:
        model = pipeline(make(), components, values[training].shape)
        said[testing] = model.fit(values[training], truth[training]).predict(values[testing])
        of_folds.append(float((said[testing] == truth[testing]).mean()))
    return Score(
        name,
        true_positives=int(((said == 1) & (truth == 1)).sum()),
        true_negatives=int(((said == 0) & (truth == 0)).sum()),
        false_positives=int(((said == 1) & (truth == 0)).sum()),
        false_negatives=int(((said == 0) & (truth == 1)).sum()),
        accuracy_of_folds=tuple(of_folds),
    )


def pipeline(classifier: Any, components: int | float | None, shape: tuple[int, ...]) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if components is None:
        return make_pipeline(StandardScaler(), classifier)
    whole = isinstance(components, int | np.integer) and not isinstance(components, bool)
    if not (1 <= components <= min(shape) if whole else isinstance(components, float) and 0 < components < 1):
        raise ConfigError(
            f"components is {components!r}; wanted a share of the variance above 0 and below 1, or a whole number from "
            f"1 to {min(shape)}, the lesser of the values and a fold's training cases, or None"
        )
    return make_pipeline(StandardScaler(), PCA(components, svd_solver="full"), classifier)


def cut(
    truth: NDArray[np.int64], patients: NDArray, folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Training and testing cases of each fold. Raises ConfigError below 2 folds, DatasetError for too few patients."""
    from sklearn.model_selection import StratifiedGroupKFold

    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ConfigError(f"folds is {folds!r}; wanted a whole number from 2")
    count = len(np.unique(patients))
    fewest = min(len(np.unique(patients[truth == label])) for label in (0, 1))
    if count < folds or fewest < 2:
        raise DatasetError(
            f"{count} patients, of whom {fewest} have the rarer class, can't be cut into {folds} folds: wanted a "
            "patient for each fold and two of either class; give more patients, or fewer folds"
        )
    with_few = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for training, testing in with_few.split(np.zeros(len(truth)), truth, patients):
        if len(np.unique(truth[training])) < 2 or not len(testing):
            raise DatasetError(
                f"a fold of {folds} is left with one class to learn, or no case to test: give fewer folds"
            )
        yield training, testing


def checked(
    features: NDArray, labels: NDArray, groups: Sequence[Any] | NDArray
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray]:
    values, truth, patients = np.asarray(features, np.float64), np.asarray(labels), np.asarray(groups)
    if values.ndim != 2 or not values.size or truth.shape != values.shape[:1] or patients.shape != values.shape[:1]:
        raise DatasetError(
            f"features of {values.shape}, labels of {truth.shape}, groups of {patients.shape}; wanted (cases, values) "
            "and twice (cases,)"
        )
    if not np.isfinite(values).all():
        raise DatasetError(f"features of {int((~np.isfinite(values)).any(axis=1).sum())} cases are not finite: "
                           "leave those cases out")  # fmt: skip
    if set(np.unique(truth).tolist()) != {0, 1}:
        raise DatasetError(
            f"labels are {', '.join(map(str, np.unique(truth)[:5]))}; wanted both 0 (no nodule) and 1 (nodule)"
        )
    return values, truth.astype(np.int64), patients


def table(scores: Sequence[Score]) -> str:
    """The scores in Markdown, a line each, in percent; "of folds" is the mean and standard deviation of the folds."""
    lines = []
    for one in scores:
        mean, deviation = np.mean(one.accuracy_of_folds), np.std(one.accuracy_of_folds)
        parts = (f"{100 * one.accuracy:.1f}", f"{100 * mean:.1f} +- {100 * deviation:.1f}")
        lines.append(f"| {one.classifier} | {' | '.join(parts)} | {100 * one.sensitivity:.1f} | "
                     f"{100 * one.specificity:.1f} | {100 * one.f1:.1f} |\n")  # fmt: skip
    commonest = f"| always the commoner class | {100 * scores[0].commonest:.1f} | | | | |\n" if scores else ""
    return TABLE + "".join(lines) + commonest


def sklearn_is_there() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "classifying features needs scikit-learn, which is not installed: pip install 'lungseg-monai[classify]'"
        ) from error
