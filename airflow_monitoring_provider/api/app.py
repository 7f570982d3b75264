"""The application that Airflow's API server mounts at ``/monitoring``.

Every route is authenticated by Airflow and authorised by the right to read runs of the job's own DAG. A job that does
not exist and a job that the caller may not see answer alike. The generated documentation is off, because a mounted
application's documentation would be public.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_authenticated
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse

from airflow_monitoring_provider.exceptions import MonitoringError, NotFound, RetryableError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.ui.job_page import STYLE, render_job

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}

MOST_RESULTS = 1000

router = APIRouter(dependencies=[Depends(requires_authenticated())])


def create_app() -> FastAPI:
    """A new application with every route behind Airflow's authentication."""
    app = FastAPI(title="Monitoring", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router)
    app.add_exception_handler(MonitoringError, _unavailable)
    return app


@router.get("/jobs/{job_id}")
def job_page(job_id: str, user: GetUserDep) -> HTMLResponse:
    """One job for people: what it read, what it found, how it went."""
    with MonitoringStoreHook().get_conn() as store:
        try:
            job = store.job(job_id)
        except NotFound:
            raise _not_found() from None
        if not _may_read(user, job.run.dag_id):
            raise _not_found()
        page = render_job(job, store.results(job_id, limit=MOST_RESULTS).items)
    return HTMLResponse(page, headers=HEADERS)


@router.get("/style.css")
def style() -> HTMLResponse:
    """The pages' style sheet; the content policy forbids inline styles."""
    return HTMLResponse(STYLE, headers=HEADERS, media_type="text/css")


def _may_read(user: Any, dag_id: str | None) -> bool:
    """Whether the user may read runs of the DAG; a job without one needs the right to read all DAGs' runs."""
    return bool(
        get_auth_manager().is_authorized_dag(
            method="GET", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
        )
    )


def _not_found() -> HTTPException:
    return HTTPException(status_code=404, detail="There is no such job, or you may not see it.", headers=HEADERS)


def _unavailable(request: Any, error: Exception) -> JSONResponse:
    status = 503 if isinstance(error, RetryableError) else 500
    return JSONResponse({"detail": str(error)}, status_code=status, headers=HEADERS)
