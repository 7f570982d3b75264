"""The closed list of metric ids a threshold may name, with the way that is worse and the range of each.

Ids and formulas: distances, data quality and performance of the metrics room. A range lets a threshold that could
never be reached (a missing rate of 5 where 0.05 is meant) be refused when the definition is read.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

LOWER_IS_BETTER = "lower_is_better"
HIGHER_IS_BETTER = "higher_is_better"
TWO_SIDED = "two_sided"


@dataclasses.dataclass(frozen=True, slots=True)
class MetricTerm:
    """One metric id.

    :param direction: ``lower_is_better``, ``higher_is_better`` or ``two_sided`` (the texts of ``metrics.Direction``).
    :param low, high: the range of the metric's value. A two-sided metric's threshold is the distance from
        ``neutral`` that is allowed on either side, so it runs from 0.
    :param neutral: the value of a two-sided metric when nothing is wrong; None when that is the baseline's value.
    :param aimed: the neutral value is the one that the definition aims at (``details["nominal"]``).
    :param test: the statistic of a test: where it decides a column's verdict, its p-value does, and not its size.
    """

    direction: str
    low: float = 0.0
    high: float = math.inf
    neutral: float | None = None
    test: bool = False
    aimed: bool = False


def _lower(*names: str, high: float = math.inf) -> dict[str, MetricTerm]:
    return {name: MetricTerm(LOWER_IS_BETTER, high=high) for name in names}


def _higher(*names: str, low: float = 0.0, high: float = 1.0) -> dict[str, MetricTerm]:
    return {name: MetricTerm(HIGHER_IS_BETTER, low=low, high=high) for name in names}


def _two_sided(*names: str, neutral: float | None = None) -> dict[str, MetricTerm]:
    return {name: MetricTerm(TWO_SIDED, neutral=neutral) for name in names}


def _tests(*names: str, low: float = 0.0, high: float = math.inf) -> dict[str, MetricTerm]:
    return {name: MetricTerm(LOWER_IS_BETTER, low=low, high=high, test=True) for name in names}


OF_WHOLE_ROWS = ("duplicate_rows", "empty_rows")
"""Counted where a definition's ``thresholds`` name one: each value has to be hashed for it."""

_DRIFT = {
    **_lower("psi", "wasserstein", "wasserstein_norm", "energy"),
    # Without renormalising after zero cells are filled, a KL divergence can fall below 0.
    **{name: MetricTerm(LOWER_IS_BETTER, low=-math.inf) for name in ("kl_cr", "kl_rc")},
    **_lower("js_distance", "js_divergence", "hellinger", "tvd", "l_inf", "hellinger_tvd", high=1.0),
    **_tests("ks", "mannwhitney", high=1.0),
    **_tests("chi_square", "g_test", "z_test", "t_test", "epps_singleton"),
    **_tests("cvm", "anderson_k", "mmd2", low=-math.inf),
}

_EMBEDDINGS = {**_lower("centroid_euclidean"), **_lower("centroid_cosine", high=2.0)}

_QUALITY = {
    **_lower("missing_rate", "inf_rate", "new_values_share", "out_of_range_share", "type_mismatch_share", high=1.0),
    **_lower("rejected_rate", "drift_share", "out_of_bounds_share", "not_allowed_share", high=1.0),
    "missing_rate_change": MetricTerm(LOWER_IS_BETTER, low=-1.0, high=1.0),
    **_lower("drift_score", "drifted_features"),
    **_lower("null_timestamps", "missing_columns", "new_columns", "retyped_columns"),
    **_lower("new_values", "vanished_values", "duplicate_keys", "empty_columns", *OF_WHOLE_ROWS),
    **_lower("constant", "almost_constant", "became_constant", "top_share", high=1.0),
    **_lower("freshness", "label_lag_p50", "label_lag_p95"),
    **_higher("label_coverage"),
    **_higher("completeness", high=math.inf),
    **_lower("late_rows"),
    **_two_sided("zero_rate", "negative_rate", "distinct", "unique_rate", "row_count"),
    **_two_sided("row_count_ratio", neutral=1.0),
}

_CLASSIFICATION = {
    **_higher("accuracy", "balanced_accuracy", "precision", "recall", "tpr", "specificity", "tnr", "npv"),
    **_higher("f1", "f0.5", "f2", "roc_auc", "average_precision", "ks_score", "top_k_accuracy"),
    **_higher("mcc", "kappa", "gini", low=-1.0),
    **_higher("lift_top_5", "lift_top_10", high=math.inf),
    **_higher("gain_top_5", "gain_top_10", "rate_top_5", "rate_top_10"),
    **_higher(*(f"{average}_{name}" for average in ("macro", "micro", "weighted") for name in ("precision", "recall"))),
    **_higher("macro_f1", "micro_f1", "weighted_f1", "macro_roc_auc"),
    **_lower("fpr", "fnr", "ece", high=1.0),
    **_lower("brier", high=2.0),  # of two classes at most 1
    **_lower("log_loss"),
    **_two_sided("calibration", neutral=1.0),
    **_two_sided("predicted_share"),
}

_REGRESSION = {
    **_lower("mae", "mse", "rmse", "rmsle", "medae", "max_error", "mape", "wape"),
    **_lower("smape", high=2.0),
    **_lower("poisson_deviance", "gamma_deviance", "tweedie_deviance", "pinball"),
    **_higher("r2", low=-math.inf),
    "mean_error": MetricTerm(TWO_SIDED, low=-math.inf, neutral=0.0),
    "interval_coverage": MetricTerm(TWO_SIDED, high=1.0, aimed=True),
    **_lower("mean_interval_width", "mase"),
}

OF_INTERVALS = ("interval_coverage", "mean_interval_width")
"""Computed where a definition's ``prediction_interval`` names the columns."""

_OF_ROWS = (
    *("rejected_rate", "drift_share", "drift_score", "drifted_features", "null_timestamps", "missing_columns"),
    *("new_columns", "retyped_columns", "duplicate_keys", "empty_columns", *OF_WHOLE_ROWS, "freshness"),
    *("label_lag_p50", "label_lag_p95", "label_coverage", "completeness", "late_rows", "row_count", "row_count_ratio"),
)

_GROUPS = {
    **_higher("group_auc"),
    **_lower("selection_rate_difference", "tpr_difference", "fpr_difference", high=1.0),
    **_higher("selection_rate_ratio"),
}

MOST_K = 100
"""The deepest rank at which a metric of ranking may be asked for."""
OF_RANKINGS = ("ndcg", "map", "recall", "precision")
"""Metrics of ranking that look at the first k rows of a query: ``ndcg_at_5``."""

_RANKINGS = _higher("mrr", *(f"{name}_at_{k}" for name in OF_RANKINGS for k in range(1, MOST_K + 1)))

OF_EMBEDDINGS = tuple(_EMBEDDINGS)
"""Ids whose column is one of a definition's ``embeddings``."""

OF_HISTORY = (
    *OF_EMBEDDINGS,
    *(
        name
        for name in _QUALITY
        if name not in ("drift_share", "drift_score", "drifted_features", "label_coverage")
        and not name.startswith("label_lag")
    ),
)
"""Ids that a definition's ``history`` may name: what neither an evaluation makes nor actuals that come later change."""

DRIFT_METRICS = frozenset(_DRIFT)
"""Ids that a definition's ``drift`` may name; ``metrics.drift_metrics`` computes each."""

OF_GROUPS = frozenset(_GROUPS)
"""Ids whose column is one that ``segments`` make groups of."""

OF_BATCHES = frozenset((*_OF_ROWS, *_CLASSIFICATION, *_REGRESSION, *_RANKINGS)) - {"predicted_share"}
"""Ids of values that no column has."""

METRICS: Mapping[str, MetricTerm] = MappingProxyType(
    {**_DRIFT, **_EMBEDDINGS, **_QUALITY, **_CLASSIFICATION, **_REGRESSION, **_GROUPS, **_RANKINGS}
)
