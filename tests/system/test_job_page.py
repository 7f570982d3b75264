"""The page of a job in a real browser, whatever the columns of the rows are called."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import job_world
from airflow_monitoring_provider.api.app import HEADERS, MOST_RESULTS
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.ui.job_page import STYLE, render_job

pytestmark = pytest.mark.system

ROWS = 600
NAMES = (
    "<script>window.struck = 1</script>",
    "<img src=x onerror='window.struck = 1'>",
    "</td></tr></table><h1>all is well</h1>",
    "&lt;b&gt;",
    "שלום",
    "مبلغ (2)",
    "\u202eevil",
    "zero\u200bwidth",
    "zerowidth",
    "line\nbreak",
    "x" * 255,
    "amount",
)
"""Markup, right to left, an override of direction, what is not seen, and longer than a screen is wide."""


class _Handler(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        style = self.path.endswith(".css")
        self.send_response(200)
        for name, value in {**HEADERS, "Content-Type": f"text/{'css' if style else 'html'}; charset=utf-8"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(STYLE.encode() if style else self.page)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def served(page: str) -> Iterator[str]:
    """The address of a page under the headers that Airflow's API server sends with it."""
    handler = type("Handler", (_Handler,), {"page": page.encode()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/monitoring/jobs/one"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """Of the second window of a job, in which every column moved and one is gone."""
    definition = job_world.define(
        timestamp_column=None,
        intake_settings={"type": "file", "data_store_id": "disk", "url": "rows.parquet"},
        monitoring_columns={"predictions_columns": [{"class_name": "yes", "column_name": "score"}]},
        features=None,
        passthrough_columns=None,
        output_settings=None,
        monitoring_output_settings=None,
    )
    url = f"sqlite:///{tmp_path}/"
    with job_world.open_world(url + "data.sqlite", url + "store.sqlite", tmp_path) as world:
        for day, moved in enumerate((0, 1)):
            levels = pa.array([("a", "b", "c", "שלום")[(i + i % 2 * moved) % 4] for i in range(ROWS)])
            columns = dict.fromkeys(NAMES[: len(NAMES) - moved], levels)
            columns["score"] = pa.array([(i % 89) / 89 for i in range(ROWS)])
            pq.write_table(pa.table(columns), world.files / "rows.parquet")
            summary = world.run(definition, day)
            world.evaluate(definition, summary)
        results = world.store.results(summary.job_id, limit=MOST_RESULTS).items
        yield render_job(world.store.job(summary.job_id), results)


TABLE = "[...document.querySelectorAll('table')].at(-1)"
EDGES = """
(() => {
  const cell = [...%s.querySelectorAll('td')].find(c => c.innerText.startsWith(%r));
  const node = cell.firstChild, text = node.data, edges = [];
  for (const part of text.matchAll(/[0-9.]+ %%/g)) {
    const range = document.createRange();
    range.setStart(node, part.index);
    range.setEnd(node, part.index + part[0].length);
    const start = range.getClientRects()[0];
    edges.push([part[0], start.top, start.left]);
  }
  return edges;
})()
"""
"""Where the percentages of a sentence stand."""


def test_whatever_columns_are_called_the_page_shows_them_apart_and_runs_nothing(page: str, browser: Any) -> None:
    if browser is None:
        pytest.skip("needs a browser: install chromium")
    with served(page) as address:
        browser.call("Page.navigate", url=address)
        browser.wait(f"document.readyState === 'complete' && document.styleSheets.length === 1 && !!{TABLE}")
        rows = browser.read(f"[...{TABLE}.rows].slice(1).map(r => [...r.cells].map(c => c.innerText))")

        assert browser.read("window.struck") is None
        assert [] == browser.read("[...document.querySelectorAll('script, img, b, [onerror]')].map(e => e.tagName)")
        assert 1 == browser.read("document.querySelectorAll('h1').length")
        assert 1 == len({len(cells) for cells in rows})
        assert {printable(name, 1000) for name in NAMES} | {"score", ""} == {cells[2] for cells in rows}
        assert browser.read("document.documentElement.scrollWidth <= window.innerWidth")
        assert 200 <= browser.read("Math.min(...[...document.querySelectorAll('.note')].map(c => c.offsetWidth))")
        assert any("1 column is missing: amount." in cells[-1] for cells in rows)
        assert any("0 to 0.00636" == cells[5] for cells in rows if cells[1] == "missing_rate")
        edges = browser.read(EDGES % (TABLE, "שלום: "))
        assert ["25 %", "50 %", "25 %", "0 %"] == [text for text, _, _ in edges]
        assert edges == sorted(edges, key=lambda edge: edge[1:])  # a reader meets them in the order of the sentence
