"""The asset that stands for a deployment's monitoring results, and the one way to spell its address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from airflow.sdk import Asset

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEME = "monitoring"


def deployment_asset(deployment_id: str) -> Asset:
    """The asset ``monitoring://<deployment id>``; every finished evaluation of the deployment is an event of it.

    :param deployment_id: any non-empty text; it is percent-encoded in the address.
    """
    return Asset(name=f"monitoring:{deployment_id}", uri=f"{SCHEME}://{quote(deployment_id, safe='')}")


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Airflow's check of ``monitoring://`` addresses: one percent-encoded deployment id and nothing else."""
    if not uri.netloc or uri.path.strip("/") or uri.query or uri.fragment:
        raise ValueError("a monitoring asset is spelled monitoring://<deployment id>, percent-encoded, without a path")
    return uri._replace(netloc=quote(unquote(uri.netloc), safe=""), path="")
