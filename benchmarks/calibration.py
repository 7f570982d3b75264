"""How often the default verdict is wrong, beside the rules that people use instead: a seeded simulation.

    make calibration                        # about 17 minutes on processors; prints the tables of RESULTS.md
    make calibration CALIBRATION_ARGS="--batches 20 --sizes 200x100"
    make calibration CALIBRATION_ARGS="--keep kept.jsonl"    # goes on where it was broken off

A batch is compared and judged by the functions a job uses (``compare``, ``evaluate``, default settings and rules), on
profiles. Small ones are profiled from drawn values; of large ones the buckets of a population's profile are drawn
instead of its rows, which is the same but for the population being the profile of two million draws.

A *false alarm* is a clean batch in which anything is raised: any column, any metric, a warning or worse. *Power* is the
share of drifting columns that are raised, where ten of a batch's columns drift. The peers' rules are computed here from
the same counts, after their documentation: this script measures rules, not libraries. They are computed in the first
fifty batches of a size, which is enough to tell them apart.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import measure
import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

from airflow_monitoring_provider.definitions.terms import ColumnKind, ResultStatus
from airflow_monitoring_provider.metrics import distances, significance
from airflow_monitoring_provider.metrics.binning import BinningRule, Missing
from airflow_monitoring_provider.metrics.cells import compare_cells
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.multiplicity import adjusted
from airflow_monitoring_provider.metrics.precision import shared_buckets, shared_positions
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.monitors.evaluate import evaluate
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

SIZES = (
    (100, 100),
    (200, 100),
    (300, 300),
    (1_000, 100),
    (1_000, 1_000),
    (10_000, 100),
    (10_000, 1_000),
    (200, 10_000),
    (10_000, 10_000),
    (100_000, 100_000),
    (1_000_000, 100),
    (1_000_000, 1_000_000),
)
FEW = ((200, 100), (10_000, 100), (1_000, 1_000))
"""Sizes at which kinds and numbers of columns are told apart."""
DRIFTING = 10
RIVAL_BATCHES = 50
NO_DRIFT = ("constant",)
UNSEEN = ("missing values",)
"""Drift that the peers leave out, so that it is not told apart in batches of all kinds."""
COMPARABLE = "KS or chi2 + BH"
"""The peer whose rate of alarms is comparable."""
DRAWN_ROWS = 20_000
POPULATION = 2_000_000
LEVELS = tuple(f"level {i:02d}" for i in range(12))
LEVEL_SHARES = np.array([0.4, 0.25, 0.12, 0.08, 0.05, 0.03, 0.02, 0.02, 0.01, 0.01, 0.005, 0.005])

Draw = Callable[[np.random.Generator, int, bool], np.ndarray]


def _normal(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return rng.normal(0.5 * moved, 1, rows)


def _lognormal(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return rng.lognormal(0.5 * moved, 1, rows)


def _cauchy(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return rng.standard_cauchy(rows) + 0.8 * moved


def _beta(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return rng.beta(2.9 if moved else 2, 5, rows)


def _zero_inflated(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return rng.exponential(1, rows) * (rng.random(rows) < (0.45 if moved else 0.2))


def _poisson(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return np.minimum(rng.poisson(3.9 if moved else 3.0, rows), 9).astype(np.float64)


def _ties(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return np.round(rng.normal(5 + 0.5 * moved, 1, rows) * 5) / 5


def _wider(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return rng.normal(0, 1.5 if moved else 1, rows)


def _gaps(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    values = rng.normal(0, 1, rows)
    values[rng.random(rows) < (0.4 if moved else 0.15)] = np.nan
    return values


def _constant(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    return np.full(rows, 7.0)


def _levels(rng: np.random.Generator, rows: int, moved: bool) -> np.ndarray:
    shares = LEVEL_SHARES[[1, 2, 0, *range(3, 12)]] if moved else LEVEL_SHARES
    return rng.multinomial(rows, shares)


KINDS: dict[str, Draw] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "Cauchy": _cauchy,
    "beta": _beta,
    "zero-inflated": _zero_inflated,
    "discrete": _poisson,
    "categorical": _levels,
    "heavy ties": _ties,
    "wider normal": _wider,
    "missing values": _gaps,
    "constant": _constant,
}
NAMES = tuple(KINDS)


def column(kind: str, rng: np.random.Generator, rows: int, name: str, *, moved: bool = False) -> ColumnProfile:
    """The profile of ``rows`` rows of one kind of column."""
    if kind == "categorical":
        counts = dict(zip(LEVELS, KINDS[kind](rng, rows, moved).tolist(), strict=True))
        return ColumnProfile(name, ColumnKind.CATEGORICAL, rows=rows, levels=LevelCounts.of(counts))
    if rows <= DRAWN_ROWS:
        return ColumnProfile.of(KINDS[kind](rng, rows, moved), name)
    buckets, shares, moments = _population(kind, moved)
    *counted, missing = rng.multinomial(rows, shares)
    counts = np.array(counted, np.int64)
    used = counts > 0
    histogram = Histogram(buckets.shift, buckets.codes[used], counts[used])
    return ColumnProfile(
        name,
        ColumnKind.NUMERIC,
        rows=rows,
        missing=int(missing),
        minimum=float(histogram.lower_edges()[0]),
        maximum=float(histogram.upper_edges()[-1]),
        moments=moments,
        histogram=histogram,
    )


@functools.cache
def _population(kind: str, moved: bool) -> tuple[Histogram, np.ndarray, Moments]:
    """Buckets, the shares of each and of missing values, and moments.

    Clean and moved buckets are cut at the same precision, or the coarser side would be a second difference.
    """
    place = NAMES.index(kind)
    values = [KINDS[kind](np.random.default_rng([place, state]), POPULATION, state) for state in (False, True)]
    clean, other = (Histogram.of(side[~np.isnan(side)]) for side in values)
    shift = max(clean.shift, other.shift)
    found = (other if moved else clean).coarsen(shift)
    moments = Moments.of_counts(found.representatives(), found.counts)
    return found, np.append(found.counts, POPULATION - found.total) / POPULATION, moments


def batch(rng: np.random.Generator, rows: int, names: Sequence[str], *, moved: bool = False) -> Profile:
    """One batch; a column's name begins with the place of its kind."""
    columns = {name: column(_kind(name), rng, rows, name, moved=moved) for name in names}
    return Profile(ProfilePlan(()), rows, {"monitored": rows}, columns)


def _kind(name: str) -> str:
    return NAMES[int(name.split("_")[1])]


def column_names(columns: int, kinds: Sequence[str] = NAMES) -> list[str]:
    """Names of so many columns, the kinds in turn."""
    return [f"x{i:04d}_{NAMES.index(kinds[i % len(kinds)])}" for i in range(columns)]


@dataclasses.dataclass
class Tally:
    """Of one rule at one size: clean batches, those with an alarm, drifting columns, those that were found."""

    batches: int = 0
    alarms: int = 0
    moved: int = 0
    found: int = 0

    def add(self, other: Tally) -> None:
        self.batches += other.batches
        self.alarms += other.alarms
        self.moved += other.moved
        self.found += other.found

    @property
    def alarm_rate(self) -> float:
        return self.alarms / self.batches if self.batches else math.nan

    @property
    def power(self) -> float:
        return self.found / self.moved if self.moved else math.nan


@dataclasses.dataclass(frozen=True)
class Setting:
    """One cell of the tables: rows of both sides, how many columns of which kinds, and whether rivals are computed in
    the first batches.
    """

    n: int
    m: int
    columns: int = 100
    kinds: tuple[str, ...] = NAMES
    rivals: bool = True


def simulate(setting: Setting, seed: int) -> dict[str, Tally]:
    """One clean batch, and the same batch with ten of its columns drawn anew with drift."""
    rng = np.random.default_rng([seed, setting.n, setting.m, setting.columns, len(setting.kinds)])
    names = column_names(setting.columns, setting.kinds)
    baseline, clean = batch(rng, setting.n, names), batch(rng, setting.m, names)
    able = [name for name in names if _kind(name) not in (*NO_DRIFT, *(UNSEEN if len(setting.kinds) > 1 else ()))]
    drifting = able[: min(DRIFTING, len(able))]
    drifted = batch(rng, setting.m, drifting, moved=True)
    settings = ComparisonSettings(reference_rows=min(setting.n, 200), current_rows=100)
    values = compare(clean, baseline, settings)
    moved = compare(
        drifted, dataclasses.replace(baseline, columns={c: baseline.columns[c] for c in drifting}), settings
    )
    mixed = adjusted([v for v in values if v.column not in drifting] + moved, settings.adjustment)
    judged = [value for value in mixed if value.primary and value.column in drifting]
    found = {"default verdict": _tally(_raised(values), _raised(judged), drifting)}
    if setting.rivals and seed < RIVAL_BATCHES:
        pairs = {name: _compared(baseline.columns[name], clean.columns[name]) for name in names}
        others = {name: _compared(baseline.columns[name], drifted.columns[name]) for name in drifting}
        flags, mixed_flags = rivals(pairs, rng), rivals(pairs | others, rng)
        found |= {rule: _tally(flags[rule], mixed_flags[rule], drifting) for rule in flags}
    return found


def _tally(clean: set[str], mixed: set[str], drifting: list[str]) -> Tally:
    return Tally(1, int(bool(clean)), len(drifting), len(mixed & set(drifting)))


def _raised(values: list[MetricValue]) -> set[str]:
    results = evaluate(values, Rules()).results
    return {result.column or "batch" for result in results if result.status > ResultStatus.NO_DETECTION}


@dataclasses.dataclass(frozen=True)
class Compared:
    """What the rivals look at: one column of both sides."""

    distinct: int
    categorical: bool
    n: int
    m: int
    psi: float
    ks_p: float | None
    cells: tuple[np.ndarray, np.ndarray]
    reference: ColumnProfile
    current: ColumnProfile


def rivals(pairs: dict[str, Compared], rng: np.random.Generator) -> dict[str, set[str]]:
    """Columns that each rule flags."""
    ks = {name: _classic_p(pair) for name, pair in pairs.items()}
    corrected = dict(zip(ks, stats.false_discovery_control(list(ks.values())), strict=True))
    return {
        "psi >= 0.1": {name for name, pair in pairs.items() if pair.psi >= 0.1},
        "psi >= 0.2": {name for name, pair in pairs.items() if pair.psi >= 0.2},
        "KS or chi2, p < 0.05": {name for name, p in ks.items() if p < 0.05},
        "KS or chi2 + BH": {name for name, p in corrected.items() if p < 0.05},
        "Evidently": {name for name, pair in pairs.items() if _evidently(pair)},
        "NannyML": {name for name, pair in pairs.items() if _nannyml(pair, rng)},
    }


def _compared(reference: ColumnProfile, current: ColumnProfile) -> Compared:
    cells = compare_cells(reference, current, BinningRule(missing=Missing.DROP))
    ks_p, distinct = None, cells.used
    if isinstance(reference.histogram, Histogram) and isinstance(current.histogram, Histogram):
        a, b = shared_buckets(reference.histogram, current.histogram)
        distinct = int(np.count_nonzero(a + b))
        ks_p = significance.ks_p_value(distances.binned_ks(a, b), reference.count, current.count)
    psi = distances.psi(cells.reference, cells.current)
    return Compared(
        distinct,
        reference.histogram is None,
        reference.count,
        current.count,
        psi,
        ks_p,
        (cells.reference, cells.current),
        reference,
        current,
    )


def _classic_p(pair: Compared) -> float:
    """Kolmogorov-Smirnov, of discrete columns Pearson's chi-square."""
    if pair.ks_p is not None and pair.distinct > 10:
        return pair.ks_p
    return significance.chi_square(*pair.cells).p_value


def _evidently(pair: Compared) -> bool:
    """Evidently 0.7: tests up to 1000 baseline rows, distances of 0.1 beyond."""
    reference, current = pair.cells
    if pair.n > 1000:
        if pair.categorical or pair.distinct <= 5:
            return bool(jensenshannon(reference / pair.n, current / pair.m) >= 0.1)
        a, b = pair.reference.histogram, pair.current.histogram
        distance = distances.wasserstein(*shared_positions(a, b))  # type: ignore[arg-type]
        spread = pair.reference.moments.std(ddof=0)  # type: ignore[union-attr]
        return bool(distance / max(spread, 0.001) >= 0.1)
    if not pair.categorical and pair.distinct > 5:
        return pair.ks_p is not None and pair.ks_p <= 0.05
    if pair.distinct <= 1:
        return False
    if pair.distinct == 2:
        return significance.two_proportions(int(reference[0]), pair.n, int(current[0]), pair.m).p_value < 0.05
    expected = reference * pair.m / pair.n
    if np.any((expected == 0) & (current > 0)):
        return True
    used = expected > 0
    return bool(stats.chisquare(current[used], expected[used]).pvalue < 0.05)


def _nannyml(pair: Compared, rng: np.random.Generator) -> bool:
    """NannyML 0.13: Jensen-Shannon distance over Doane's bins against mean + 3 sd of the baseline's chunks.

    Chunks as large as the batch, of which a baseline needs at least two.
    """
    chunks = pair.n // pair.m
    if chunks < 2:
        return False
    reference, current = _doane(pair) if not pair.categorical else pair.cells
    left, drawn = reference.astype(np.int64), []
    for _ in range(min(chunks, 30)):
        drawn.append(rng.multivariate_hypergeometric(left, pair.m, method="marginals"))
        left = left - drawn[-1]
    own = jensenshannon((reference / pair.n)[:, None], np.array(drawn).T / pair.m, base=2, axis=0)
    limit = min(float(np.mean(own) + 3 * np.std(own)), 1.0)
    return bool(jensenshannon(reference / pair.n, current / pair.m, base=2) > limit)


def _doane(pair: Compared) -> tuple[np.ndarray, np.ndarray]:
    a, b = pair.reference.histogram, pair.current.histogram
    assert a is not None
    assert b is not None
    assert pair.reference.moments is not None
    low, high = float(a.lower_edges()[0]), float(a.upper_edges()[-1])
    if low == high:
        edges = np.array([low - 0.5, low + 0.5])
    else:
        n = pair.n
        spread = math.sqrt(6 * (n - 2) / ((n + 1) * (n + 3)))
        skew = abs(float(pair.reference.moments.skew))
        edges = np.linspace(low, high, math.ceil(1 + math.log2(n) + math.log2(1 + skew / spread)) + 1)
    counted = []
    for histogram, rows in ((a, pair.n), (b, pair.m)):
        at = histogram.representatives()
        inside = np.histogram(at, edges, weights=histogram.counts)[0]
        counted.append(np.append(inside, rows - inside.sum()).round().astype(np.int64))
    return counted[0], counted[1]


def run(
    settings: Sequence[tuple[Setting, int]], processes: int, kept: Path | None = None
) -> dict[Setting, dict[str, Tally]]:
    """Tallies of so many batches of each setting; the same whatever the number of processes.

    :param kept: a file that every batch's tallies are added to and that those it has are read from, so that a run that
        was broken off goes on. It belongs to one state of the code.
    """
    known = _read(kept)
    most = max(batches for _, batches in settings)
    wanted = [(setting, seed) for seed in range(most) for setting, batches in settings if seed < batches]
    jobs = [job for job in wanted if job not in known]
    with concurrent.futures.ProcessPoolExecutor(processes) as pool, _appended(kept) as lines:
        for job, tallies in zip(jobs, pool.map(_simulate, jobs), strict=True):
            known[job] = tallies
            if lines is not None:
                setting, seed = job
                said = {rule: dataclasses.astuple(tally) for rule, tally in tallies.items()}
                print(json.dumps([dataclasses.astuple(setting), seed, said]), file=lines, flush=True)
    found: dict[Setting, dict[str, Tally]] = {s: collections.defaultdict(Tally) for s, _ in settings}
    for setting, seed in wanted:
        for rule, tally in known[setting, seed].items():
            found[setting][rule].add(tally)
    return found


def _read(kept: Path | None) -> dict[tuple[Setting, int], dict[str, Tally]]:
    if kept is None or not kept.exists():
        return {}
    known = {}
    for line in kept.read_text().splitlines():
        (n, m, columns, kinds, peers), seed, said = json.loads(line)
        setting = Setting(n, m, columns, tuple(kinds), peers)
        known[setting, seed] = {rule: Tally(*counts) for rule, counts in said.items()}
    return known


def _appended(kept: Path | None) -> contextlib.AbstractContextManager[IO[str] | None]:
    return contextlib.nullcontext() if kept is None else kept.open("a")


def _simulate(job: tuple[Setting, int]) -> dict[str, Tally]:
    return simulate(*job)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.3g}"


def _print_sizes(found: dict[Setting, dict[str, Tally]]) -> None:
    rules = list(next(iter(found.values())))
    heads = ["baseline x batch", "batches (peers)", *rules]
    for title, what in (("clean batches with an alarm, %", "alarm_rate"), ("drifting columns found, %", "power")):
        print(f"\n{title}")
        rows = []
        for setting, tallies in found.items():
            shown = [
                "-" if rule == "NannyML" and setting.n < 2 * setting.m else _share(getattr(tallies[rule], what))
                for rule in rules
            ]
            batches = f"{tallies['default verdict'].batches} ({tallies[COMPARABLE].batches})"
            rows.append([f"{setting.n:,} x {setting.m:,}".replace(",", " "), batches, *shown])
        measure.table(heads, rows)
    promised = [t["default verdict"] for s, t in found.items() if s.n >= 200 and s.m >= 100]
    alarms, batches = sum(t.alarms for t in promised), sum(t.batches for t in promised)
    print(f"\ndefault verdict, baselines from 200 and batches from 100: {alarms} of {_known(alarms, batches)}")
    print("95 % intervals of its alarms at each size, which the other rates share:")
    for setting, tallies in found.items():
        tally = tallies["default verdict"]
        print(f"  {setting.n} x {setting.m}: {tally.alarms} of {_known(tally.alarms, tally.batches)}")
    print("A power of 90 % is known to 2 points from 900 drifting columns (90 batches), to 8 from 60.")


def _known(alarms: int, batches: int) -> str:
    """The number of batches, and Clopper and Pearson's 95 % interval of the rate of alarms."""
    low, high = stats.binomtest(alarms, batches).proportion_ci() if batches else (math.nan, math.nan)
    return f"{batches} batches, {_share(low)} to {_share(high)} %"


def _print_kinds(found: dict[Setting, dict[str, Tally]], sizes: Sequence[tuple[int, int]]) -> None:
    print(f"\none kind of column, 100 of them: drifting columns found, %, and beside it those of {COMPARABLE}")
    rows = []
    for kind in NAMES:
        row = [kind]
        for n, m in sizes:
            tallies = next(t for s, t in found.items() if (s.n, s.m, s.kinds) == (n, m, (kind,)))
            row.append(" / ".join(_share(tallies[rule].power) for rule in ("default verdict", COMPARABLE)))
        of_kind = [t["default verdict"] for s, t in found.items() if s.kinds == (kind,)]
        row.append(f"{sum(t.alarms for t in of_kind)} of {sum(t.batches for t in of_kind)}")
        rows.append(row)
    heads = ["columns", *(f"{n:,} x {m:,}".replace(",", " ") for n, m in sizes), "clean batches with an alarm"]
    measure.table(heads, rows)
    ours = [tallies["default verdict"] for tallies in found.values()]
    alarms, batches = sum(t.alarms for t in ours), sum(t.batches for t in ours)
    print(f"default verdict, all kinds and sizes: {alarms} of {_known(alarms, batches)}")


def _print_columns(found: dict[Setting, dict[str, Tally]]) -> None:
    print("\nother numbers of columns: clean batches with an alarm / drifting columns found, %; last, what the")
    print("z test finds that knows of normal columns how they may move, after the same correction at 0.05")
    rows = []
    for setting, tallies in found.items():
        ours, peer = tallies["default verdict"], tallies[COMPARABLE]
        rows.append(
            [
                f"{setting.columns}{f' {setting.kinds[0]}' if len(setting.kinds) == 1 else ''}",
                f"{setting.n:,} x {setting.m:,}".replace(",", " "),
                *(f"{t.alarms} of {t.batches} / {_share(t.power)} of {t.moved}" for t in (ours, peer)),
                _share(best_power(setting.n, setting.m, setting.columns)),
            ]
        )
    measure.table(["columns", "baseline x batch", "default verdict", COMPARABLE, "normal, all known"], rows)


def best_power(n: int, m: int, columns: int, *, shift: float = 0.5, alpha: float = 0.05) -> float:
    """The share of shifted normal columns that the z test with known deviation finds, Benjamini-Hochberg over all."""
    rng = np.random.default_rng([n, m, columns])
    drifting = min(DRIFTING, columns)
    z = rng.normal(size=(4_000, columns))
    z[:, :drifting] += shift / math.sqrt(1 / n + 1 / m)
    found = stats.false_discovery_control(2 * stats.norm.sf(np.abs(z)), axis=1) <= alpha
    return float(found[:, :drifting].mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=90, help="clean batches a size (90); a fifteenth of one kind")
    parser.add_argument("--sizes", nargs="*", default=None, help="baseline x batch rows, as in 200x100")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=("sizes", "kinds", "columns"))
    parser.add_argument("--keep", type=Path, help="a file to go on from when the run is broken off")
    options: Any = parser.parse_args(arguments)
    sizes = SIZES if options.sizes is None else [tuple(map(int, size.split("x"))) for size in options.sizes]
    few = [size for size in FEW if options.sizes is None or size in sizes]
    started, fewer = time.perf_counter(), max(1, options.batches // 15)

    def settled(settings: Sequence[tuple[Setting, int]]) -> dict[Setting, dict[str, Tally]]:
        return run(settings, options.processes, options.keep)

    print(f"{options.batches} batches a setting; {measure.machine()}")
    if options.only in (None, "sizes"):
        _print_sizes(settled([(Setting(n, m), options.batches) for n, m in sizes]))
    if options.only in (None, "kinds") and few:
        _print_kinds(settled([(Setting(n, m, kinds=(k,)), fewer) for k in NAMES for n, m in few]), few)
    if options.only in (None, "columns") and few:
        counts = ((1, options.batches), (10, options.batches), (1000, fewer))
        wide = [(Setting(n, m, columns=k), batches) for k, batches in counts for n, m in few]
        _print_columns(settled([*wide, *((Setting(n, m, 1000, ("normal",)), fewer) for n, m in few[:1])]))
    spent = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(f"\n{time.perf_counter() - started:.0f} s by the clock, {spent:.0f} s on processors")


if __name__ == "__main__":
    main()
