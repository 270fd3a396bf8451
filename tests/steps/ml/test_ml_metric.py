from __future__ import annotations

import numpy as np
import pytest

from pipec.steps.ml import metric
from pipec.steps.ml.fault import AskFault, DataFault

# Four rows, two classes: truth 0 0 1 1, said 0 1 1 1 with these confidences.
TRUTH = np.array([0, 0, 1, 1])
SAID = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])


def test_the_figures_of_a_small_case_are_those_of_a_hand():
    figures = metric.classification(TRUTH, SAID, ("no", "yes"), positive="yes")
    assert figures["accuracy"] == 0.75
    assert figures["balanced_accuracy"] == 0.75  # (1/2 + 2/2) / 2
    assert figures["precision_macro"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["recall_macro"] == 0.75
    assert figures["f1_macro"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert figures["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    assert figures["roc_auc"] == 1.0  # every yes is more confident than every no
    assert (figures["precision"], figures["recall"]) == (pytest.approx(2 / 3), 1.0)


def test_a_curve_over_three_classes_is_the_mean_of_one_against_the_rest():
    scores = np.eye(3)[[0, 1, 2, 0]] * 0.8 + 0.2 / 3
    assert metric.classification(np.array([0, 1, 2, 0]), scores, (0, 1, 2))["roc_auc"] == 1.0


def test_a_class_that_is_not_there_leaves_no_area_under_its_curve():
    assert metric.classification(np.array([0, 0]), SAID[:2], (0, 1))["roc_auc"] is None


def test_confusion_has_the_truth_in_rows():
    assert metric.confusion(TRUTH, SAID) == [[1, 1], [0, 2]]


def test_a_quantity_is_judged_in_its_own_unit():
    figures = metric.regression(np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    assert figures == {"rmse": pytest.approx(0.5**0.5), "mae": 0.5, "r2": pytest.approx(0.5)}


def test_r2_needs_a_spread_and_two_rows():
    assert metric.regression(np.array([2.0, 2.0]), np.array([2.0, 2.0]))["r2"] is None
    with pytest.raises(DataFault, match="fewer than two rows"):
        metric.regression(np.array([2.0]), np.array([2.0]))


def test_booleans_are_named_as_in_yaml():
    assert metric.class_name(True) == "true"
    with pytest.raises(AskFault, match="`positive` is `True`, but the model tells false, true"):
        metric.classification(TRUTH, SAID, (False, True), positive="True")
