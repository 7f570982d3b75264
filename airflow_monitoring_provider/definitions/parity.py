"""The defaults of other tools, as data: what each compares, in which cells, and from where on it calls that drift.

Releases: Evidently 0.7.23, NannyML 0.13.1, MLRun 1.12, DataRobot's stats-aggregator 11.13.2; Arize's documentation.
None of them asks for significance besides size, and none corrects for the number of columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from airflow_monitoring_provider.definitions.drift import Missing, Parity, Scheme, ZeroCells
from airflow_monitoring_provider.definitions.model_score import ModelRule, ModelScore


@dataclasses.dataclass(frozen=True, slots=True)
class ParityMode:
    """One tool's defaults.

    :param numeric, discrete: metric ids for columns of numbers and of levels, the deciding one first; empty where the
        tool chooses by size (``metrics.choice.by_size``).
    :param limits: metric id -> (warning, critical); a test decides by its p-value at ``alpha``.
    :param model: the rule by which the data set as a whole has drifted, unless the definition's ``model_score`` names
        one; None where each column decides by itself.
    :param gof: chi-square is the one-sample test of the current counts against the baseline's shares.
    """

    numeric: tuple[str, ...]
    discrete: tuple[str, ...]
    binning: Scheme
    zero_cells: ZeroCells
    missing: Missing
    log_base: str | None = None
    limits: Mapping[str, tuple[float | None, float | None]] = dataclasses.field(default_factory=dict)
    alpha: float = 0.05
    model: ModelScore | None = None
    gof: bool = False


PARITY: Mapping[Parity, ParityMode] = MappingProxyType(
    {
        Parity.DATAROBOT: ParityMode(
            numeric=("psi", "kl_cr", "js_divergence", "hellinger", "tvd", "ks"),
            discrete=("psi", "kl_cr", "js_divergence", "hellinger", "tvd"),
            binning=Scheme.UNIFORM,
            zero_cells=ZeroCells.ADD_ONE,
            missing=Missing.IF_INCREASED,
            limits={"psi": (None, 0.15)},
            # Without importances every feature is of low importance, and a drifting one a warning.
            model=ModelScore(rule=ModelRule.IMPORTANCE_COUNTS),
        ),
        # Its thresholds are made from history: mean and two standard deviations. Until then those of PSI's users.
        Parity.ARIZE: ParityMode(
            numeric=("psi", "kl_cr", "js_distance"),
            discrete=("psi", "kl_cr", "js_distance"),
            binning=Scheme.MEDIAN,
            zero_cells=ZeroCells.ADD_ONE,
            missing=Missing.BIN,
        ),
        Parity.EVIDENTLY: ParityMode(
            numeric=(),
            discrete=(),
            binning=Scheme.STURGES_COMBINED,
            zero_cells=ZeroCells.FLOOR,
            missing=Missing.DROP,
            log_base="e",
            limits=dict.fromkeys(("psi", "kl_rc", "js_distance", "hellinger", "wasserstein_norm", "tvd"), (None, 0.1)),
            model=ModelScore(rule=ModelRule.DRIFT_SHARE, critical=0.5),
            gof=True,
        ),
        Parity.MLRUN: ParityMode(
            numeric=("hellinger_tvd", "hellinger", "tvd", "psi"),
            discrete=("hellinger_tvd", "hellinger", "tvd", "psi"),
            binning=Scheme.HIST20,
            zero_cells=ZeroCells.SCALE,
            missing=Missing.DROP,
            limits={"hellinger_tvd": (0.5, 0.7)},
            model=ModelScore(rule=ModelRule.DRIFT_MEAN, warning=0.5, critical=0.7),
        ),
        Parity.NANNYML: ParityMode(
            numeric=("js_distance", "hellinger", "wasserstein", "ks"),
            discrete=("js_distance", "hellinger", "l_inf", "chi_square"),
            binning=Scheme.DOANE,
            zero_cells=ZeroCells.FLOOR,
            missing=Missing.DROP,
            log_base="2",
            limits={"js_distance": (None, 0.1), "hellinger": (None, 0.1), "l_inf": (None, 0.1)},
        ),
    }
)
