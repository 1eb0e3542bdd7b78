"""A report's document as one HTML file: template, style, charting library, data; nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARK = b'<meta name="generator" content="edgeflow report">'
"""Near the beginning of every report, so that a report is told from any other file."""

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = (
    "data.js", "page.js", "chart.js", "filters.js", "head.js", "matrix.js", "pareto.js", "spread.js",
    "time.js", "detail.js", "main.js",
)  # fmt: skip
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render(document: Mapping[str, Any]) -> bytes:
    """The HTML of a document (schema edgeflow.report/1), UTF-8.

    Names of models and devices are anybody's: they reach the page as JSON whose every `<` is escaped, and the
    page makes text of them, never HTML. Beside that, its policy lets it run these two scripts and no other,
    and load nothing.
    """
    library = _asset("echarts/echarts.min.js")
    own = "(() => {\n'use strict';\n" + "\n".join(_asset(name) for name in _SCRIPTS) + "\n})();"
    values = {
        "title": html.escape(f"edgeflow: {document['name']}"),
        "csp": _policy(library, own),
        "style": _asset("report.css"),
        "data": _json(document),
        "echarts": library,
        "script": own,
    }
    page = _PLACE.sub(lambda found: values[found[1]], _asset("report.html"))
    return page.encode()


def is_report(path: Path) -> bool:
    """Whether a file is an earlier report."""
    with path.open("rb") as file:
        return MARK in file.read(4096)


def _json(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _policy(*scripts: str) -> str:
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
