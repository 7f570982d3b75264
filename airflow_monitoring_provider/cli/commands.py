"""What ``airflow monitoring`` offers; each command's code is loaded when it is called."""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    GroupCommand,
    lazy_load_command,
    positive_int,
)

_ACTIONS = "airflow_monitoring_provider.cli.actions"
_DEPLOYMENTS = "airflow_monitoring_provider.cli.deployments"
_BATCHES = "airflow_monitoring_provider.cli.batches"
_ROWS = "airflow_monitoring_provider.cli.rows"
_CUSTOM = "airflow_monitoring_provider.cli.custom_metrics"
_ROLLUPS = "airflow_monitoring_provider.cli.rollups"
_BASELINES = "airflow_monitoring_provider.cli.baselines"

ARG_STORE = Arg(
    ("--store-conn-id",),
    help="connection id of the monitoring store (default: monitoring_store_default, else the embedded store)",
    default="monitoring_store_default",
)
ARG_PATHS = Arg(("paths",), help="definition files, or folders of them", nargs="+", metavar="PATH")
ARG_JOB = Arg(("job_id",), help="id of a job")
ARG_FOLDER = Arg(("--folder",), help="list the definition files of a folder instead of the store's definitions")
ARG_DEFINITION = Arg(("--definition",), help="only jobs of this definition (id or name)")
ARG_DEPLOYMENT = Arg(("--deployment",), help="only jobs of this deployment")
ARG_STATE = Arg(
    ("--state",),
    help="only jobs in this state",
    choices=("claimed", "running", "completed", "aborted", "failed", "superseded"),
)
ARG_LIMIT = Arg(("--limit",), help="at most this many jobs, newest window first (default 100)", type=int, default=100)
ARG_NAMED_DEFINITION = Arg(("definition",), help="id or name of a definition")
ARG_PROFILED_JOB = Arg(("--job",), help="look at the rows of this job instead of the baseline's")
ARG_ROWS = Arg(
    ("--rows",),
    help="rows of the smallest batch to expect (default: the fewest of the last hundred jobs)",
    type=positive_int(allow_zero=False),
)
ARG_PART_OUTPUT = Arg(
    ("--output", "-o"), help="form of the part (default: yaml)", choices=("yaml", "json"), default="yaml"
)
ARG_LOST_STORE = Arg(("lost_store_id",), help="id of the lost store, as the failed job's message gives it")
ARG_METRIC = Arg(("--metric",), help="only this metric")
ARG_COLUMN = Arg(("--column",), help="only this column")
ARG_SEGMENT = Arg(("--segment",), help="only this segment, as region=EU; '' for all rows")
ARG_STATUS = Arg(
    ("--status",),
    help="only results of this status",
    choices=("irrelevant", "no_detection", "potential_detection", "detected"),
)

ARG_DEPLOYMENT_ID = Arg(("deployment_id",), help="id of a deployment")
ARG_SEARCH = Arg(("--search",), help="only those with this text in label or description, or with this very id")
ARG_MOST = Arg(("--limit",), help="at most this many (default 100)", type=int, default=100)
ARG_SETTINGS = Arg(("--settings",), help='JSON of the settings to change, as {"dailyBatchLimit": "off"}')
ARG_DEPLOYMENT_STATUS = Arg(("--status",), help="its status", choices=("active", "inactive", "archived"))
_DESCRIBED = (
    Arg(("--label",), help="name shown to people"),
    Arg(("--description",), help="what it is for"),
    Arg(("--importance",), help="how much it matters", choices=("LOW", "MODERATE", "HIGH", "CRITICAL")),
    Arg(("--target-type",), help="what it predicts", choices=("Binary", "Multiclass", "Regression")),
    Arg(("--model-id",), help="the model in use; another one ends the time of the one before"),
    Arg(("--model-version",), help="version of the model in use"),
    ARG_SETTINGS,
)
ARG_NUMBER = Arg(("number",), help="number of the entry, as models shows it", type=int)
ARG_START = Arg(("--start-time",), help="ISO 8601; from then on the model was in use")
ARG_END = Arg(("--end-time",), help="ISO 8601; until then")

ARG_BATCH = Arg(("batch_id",), help="id of a batch")
ARG_BATCHES = Arg(("batch_ids",), help="ids of batches", nargs="+", metavar="BATCH_ID")
ARG_BATCH_MODEL = Arg(("--model-id",), help="of the model; leave out where the definition names none")
ARG_YES = Arg(("-y", "--yes"), help="do not ask", action="store_true")
_FILTERS = (
    ARG_SEARCH,
    Arg(("--created-by",), help="only those that this person or DAG made"),
    Arg(("--created-after",), help="only those made from then on (ISO 8601)"),
    Arg(("--created-before",), help="only those made before"),
    Arg(("--start-after",), help="only those whose earliest prediction is from then on"),
    Arg(("--end-before",), help="only those whose latest prediction is before"),
    Arg(("--deleted",), help="deleted ones, too", action="store_true"),
    Arg(("--order",), help="name, created, earliest or latest, with - for descending", default="-created"),
)
_BATCH = (Arg(("--description",), help="what it is"), Arg(("--external-url",), help="where more is said about it"))

ARG_USED = Arg(("--versions",), help="those that its jobs were compared with", action="store_true")
_NAMED_BASELINE = (
    Arg(("name",), help="name of the baseline; one that is taken gets another version"),
    Arg(("--settings",), help='JSON of a definition\'s baseline, as {"type": "moving_window", "length": "14d"}'),
    Arg(("--batch",), help="make it of this batch; may be repeated", action="append", metavar="BATCH_ID"),
    Arg(("--description",), help="what it is for"),
)
_CHOSEN = (
    Arg(("name",), help="name of the baseline", nargs="?"),
    Arg(("--baseline-version",), help="of the name (default: always the newest)", type=positive_int(allow_zero=False)),
    Arg(("--own",), help="go back to the definition's own", action="store_true"),
)
_PAST = (
    Arg(("--start-time",), help="only windows that start from then on (ISO 8601)"),
    Arg(("--end-time",), help="only windows that start before"),
    Arg(("--all",), help="also jobs that have this baseline already", action="store_true"),
    Arg(("--tell-alerts",), help="let the newest window move monitors and tell alerts", action="store_true"),
)

_READ = (ARG_STORE, ARG_OUTPUT, ARG_VERBOSE)


def get_cli_commands() -> list[GroupCommand]:
    """The command group that Airflow adds to its own."""
    return [
        GroupCommand(
            name="monitoring",
            help="Monitoring jobs: definitions, jobs, results, store",
            subcommands=[
                _group(
                    "definitions",
                    "Check and list monitoring job definitions",
                    _action(
                        "validate", "Check definition files", "validate_definitions", ARG_PATHS, ARG_OUTPUT, ARG_VERBOSE
                    ),
                    _action("list", "List definitions", "list_definitions", ARG_FOLDER, *_READ),
                    _action(
                        "suggest-checks",
                        "Print checks and thresholds that fit a definition's baseline, to be added to it",
                        "suggest_checks",
                        ARG_NAMED_DEFINITION,
                        ARG_PROFILED_JOB,
                        ARG_ROWS,
                        ARG_STORE,
                        ARG_PART_OUTPUT,
                        ARG_VERBOSE,
                    ),
                ),
                _group(
                    "jobs",
                    "Look at monitoring jobs",
                    _action(
                        "list", "List jobs", "list_jobs", ARG_DEFINITION, ARG_DEPLOYMENT, ARG_STATE, ARG_LIMIT, *_READ
                    ),
                    _action("show", "Show one job and its log", "show_job", ARG_JOB, *_READ),
                    _action("abort", "Ask a running job to end", "abort_job", ARG_JOB, ARG_STORE, ARG_VERBOSE),
                ),
                _group(
                    "results",
                    "Look at results",
                    _action(
                        "show",
                        "Show a job's results",
                        "show_results",
                        ARG_JOB,
                        ARG_METRIC,
                        ARG_COLUMN,
                        ARG_SEGMENT,
                        ARG_STATUS,
                        *_READ,
                    ),
                ),
                _deployments(),
                _batches(),
                *_rows(),
                _rollups(),
                _custom_metrics(),
                _baselines(),
                _group(
                    "db",
                    "The monitoring store's tables",
                    _action("migrate", "Create or upgrade the store's tables", "migrate_store", ARG_STORE, ARG_VERBOSE),
                    _action(
                        "check",
                        "Say whether the store answers and its tables fit",
                        "check_store",
                        ARG_STORE,
                        ARG_VERBOSE,
                    ),
                    _action(
                        "adopt",
                        "Say that this store continues a lost one, whose outputs it may then write",
                        "adopt_store",
                        ARG_LOST_STORE,
                        ARG_STORE,
                        ARG_VERBOSE,
                    ),
                ),
            ],
        )
    ]


def _deployments() -> GroupCommand:
    one, write = ARG_DEPLOYMENT_ID, (ARG_STORE, ARG_VERBOSE)

    def command(name: str, text: str, function: str, *arguments: Arg) -> ActionCommand:
        return _action(name, text, function, *arguments, module=_DEPLOYMENTS)

    return _group(
        "deployments",
        "What is monitored, and how it is set",
        command("list", "List deployments", "list_deployments", ARG_SEARCH, ARG_MOST, *_READ),
        command("show", "Show one deployment and its settings", "show_deployment", one, *_READ),
        command("create", "Make a deployment known", "create_deployment", one, *_DESCRIBED, *write),
        command("change", "Change a deployment", "change_deployment", one, *_DESCRIBED, ARG_DEPLOYMENT_STATUS, *write),
        command("health", "Show how it does: service, drift, accuracy", "show_health", one, *_READ),
        command("models", "List the models it had in use", "list_models", one, *_READ),
        command("move-model", "Say when a model was in use", "move_model", one, ARG_NUMBER, ARG_START, ARG_END, *write),
    )


def _batches() -> GroupCommand:
    one, of, write = ARG_BATCH, ARG_DEPLOYMENT_ID, (ARG_STORE, ARG_VERBOSE)
    name = "name shown to people"

    def command(word: str, text: str, function: str, *arguments: Arg) -> ActionCommand:
        return _action(word, text, function, *arguments, module=_BATCHES)

    return _group(
        "batches",
        "Predictions that belong together",
        command("list", "List a deployment's batches", "list_batches", of, *_FILTERS, ARG_MOST, *_READ),
        command("show", "Show one batch, its jobs and models", "show_batch", one, *_READ),
        command("create", "Make an empty batch", "create_batch", of, Arg(("name",), help=name), *_BATCH, *write),
        command("change", "Describe a batch anew", "change_batch", one, Arg(("--name",), help=name), *_BATCH, *write),
        command("lock", "Let a batch take no more predictions", "lock_batch", one, *write),
        command("unlock", "Let a batch take predictions again", "unlock_batch", one, *write),
        command("delete", "Remove a batch's predictions for good", "remove_batch", one, ARG_YES, *write),
        command(
            "date",
            "Say what time its predictions are of",
            "date_batch",
            one,
            ARG_BATCH_MODEL,
            ARG_START,
            ARG_END,
            *write,
        ),
        command("results", "Show what several batches say together", "show_results", ARG_BATCHES, *_READ),
        command("limits", "Show how many batches may be made today", "show_limits", of, *_READ),
    )


def _rollups() -> GroupCommand:
    lengths = ("hour", "day", "week", "month", "quarter", "year")
    by = Arg(("--by",), help="how long a period is (default: week)", choices=lengths, default="week")
    start = Arg(("--start",), help="ISO 8601; the first instant", required=True)
    end = Arg(("--end",), help="ISO 8601; the first instant that is no longer looked at", required=True)
    period = Arg(("period",), help="its name, as 2026-03-01, 2026-W10, 2026-03 or 2026-Q1")
    of = ARG_NAMED_DEFINITION
    return _group(
        "rollups",
        "Days, weeks and months, merged of a definition's windows",
        _action("list", "List periods", "list_rollups", of, by, start, end, *_READ, module=_ROLLUPS),
        _action("show", "Show the results of one period", "show_rollup", of, period, *_READ, module=_ROLLUPS),
    )


def _rows() -> tuple[ActionCommand, ActionCommand, GroupCommand]:
    batch = Arg(("--batch",), help="only of these batches", nargs="+", metavar="BATCH_ID")
    deployment = Arg(("--deployment",), help="only of this deployment")
    kinds = ("retained", "predictions", "actuals")
    return (
        _action(
            "purge",
            "Forget rows or results by age, batch or deployment, and remove files that nobody needs",
            "purge_rows",
            deployment,
            batch,
            Arg(("--older-than",), help="only of windows that ended so many days ago", type=float, metavar="DAYS"),
            Arg(("--before",), help="only of windows that ended by then (ISO 8601)"),
            Arg(
                ("--what",),
                help="what goes (default: all rows, no results)",
                nargs="+",
                choices=(*kinds, "results"),
                default=list(kinds),
            ),
            Arg(("--locked",), help="of locked batches, too", action="store_true"),
            Arg(("--dry-run",), help="only say what would go", action="store_true"),
            ARG_YES,
            *_READ,
            module=_ROWS,
        ),
        _action(
            "export",
            "Write rows to a CSV or Parquet file",
            "export_rows",
            Arg(("source",), help="which rows", choices=("predictions", "actuals", "retained", "training")),
            Arg(("url",), help="the file, below the root of its connection", metavar="FILE"),
            Arg(("--file-conn-id",), help="connection of the file", required=True),
            deployment,
            Arg(("--definition",), help="of training data: the definition whose baseline it is (id or name)"),
            batch,
            Arg(("--start",), help="only of windows that begin from then on (ISO 8601)"),
            Arg(("--end",), help="only of windows that begin before"),
            Arg(("--format",), help="instead of what the file's name ends in", choices=("csv", "parquet")),
            Arg(("--exact",), help="leave texts that spreadsheets take for formulas as they are", action="store_true"),
            *_READ,
            module=_ROWS,
        ),
        _group(
            "actuals",
            "What really was of predictions that were made before",
            _action(
                "report",
                "Report the actuals of a CSV, Parquet or JSON lines file; every batch they touch is restated",
                "report_rows",
                Arg(("definition",), help="id or name of the definition of the predictions, or of late actuals"),
                Arg(("url",), help="the file, below the root of its connection", metavar="FILE"),
                Arg(("--file-conn-id",), help="connection of the file", required=True),
                Arg(("--key",), help="your own name of this report; sent again, it replaces what it said before"),
                Arg(("--association-id",), help="its column in the file (default: as in the definition)"),
                Arg(("--value",), help="column of the actual (default: as in the definition)"),
                Arg(("--timestamp",), help="column of when it became known (default: as in the definition, else now)"),
                *_READ,
                module=_ROWS,
            ),
        ),
    )


def _custom_metrics() -> GroupCommand:
    of, metric = ARG_DEPLOYMENT_ID, Arg(("metric_id",), help="id of the metric")
    times = (
        Arg(("--start",), help="ISO 8601; only values from then on"),
        Arg(("--end",), help="ISO 8601; only values before"),
        Arg(("--batch",), help="only values of these batches", nargs="+", metavar="BATCH_ID"),
    )
    by = (
        Arg(("--by",), help="batch (default), hour, day, week, month, quarter or year", default="batch"),
        Arg(("--timezone",), help="whose calendar says where periods begin (default UTC)", default="UTC"),
    )
    reported = (
        Arg(("value",), help="a number; of a categorical metric the category"),
        Arg(("--timestamp",), help="ISO 8601; when it was measured (default: now)"),
        Arg(("--batch",), help="id of its batch"),
        Arg(("--sample-count",), help="samples behind it (default 1)", type=int, default=1),
        Arg(("--association-id",), help="the prediction it belongs to; counts once"),
        Arg(("--key",), help="your own name of this value; sent again, it counts once"),
    )
    said = Arg(("--metric",), help='JSON, as {"type": "sum", "units": "EUR", "critical": 9}', required=True)
    write = (ARG_STORE, ARG_VERBOSE)

    def command(name: str, text: str, function: str, *arguments: Arg) -> ActionCommand:
        return _action(name, text, function, *arguments, module=_CUSTOM)

    return _group(
        "custom-metrics",
        "Metrics of your own, and their values",
        command("list", "List a deployment's custom metrics", "list_metrics", of, *_READ),
        command("create", "Make a metric known whose values are reported", "create_metric", of, metric, said, *write),
        command("show", "Show all its values as one", "show_metric", of, metric, *times, *_READ),
        command("history", "Show its values by batch or period", "show_history", of, metric, *by, *times, *_READ),
        command("report", "Report a value", "report_value", of, metric, *reported, *write),
    )


def _baselines() -> GroupCommand:
    of, write = ARG_NAMED_DEFINITION, (ARG_STORE, ARG_VERBOSE)

    def command(word: str, text: str, function: str, *arguments: Arg) -> ActionCommand:
        return _action(word, text, function, *arguments, module=_BASELINES)

    return _group(
        "baselines",
        "What jobs are compared with",
        command("list", "List what a definition can use, or used", "list_baselines", of, ARG_USED, ARG_MOST, *_READ),
        command("show", "Show what a job was compared with", "show_baseline", ARG_JOB, *_READ),
        command("create", "Keep a baseline under a name", "create_baseline", of, *_NAMED_BASELINE, *write),
        command("use", "Compare a definition's jobs with a named one", "use_baseline", of, *_CHOSEN, *write),
        command(
            "reevaluate",
            "Compare past jobs with the baseline in use; no row is read",
            "reevaluate_baseline",
            of,
            *_PAST,
            *_READ,
        ),
    )


def _group(name: str, text: str, *commands: ActionCommand) -> GroupCommand:
    return GroupCommand(name=name, help=text, subcommands=list(commands))


def _action(name: str, text: str, function: str, *arguments: Arg, module: str = _ACTIONS) -> ActionCommand:
    return ActionCommand(name=name, help=text, func=lazy_load_command(f"{module}.{function}"), args=arguments)
