"""`edgeflow coverage`: how much of a suite each runtime takes, and how much of it right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgeflow.converter_errors import converter_errors
from edgeflow.deploy import conversion
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.coverage.case import Ask, Outcome


def coverage_document(
    suite: str,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    workspace: Workspace,
    progress: Progress,
    *,
    bare: bool,
    only: Sequence[str],
    jobs: int,
    limit_s: float,
) -> dict[str, Any]:
    """Asks what was not asked yet, and tells all of it (schema edgeflow.coverage/1).

    Raises UsageError for a suite, runtime or precision that there is not, ToolMissingError as soon as a tool
    is.
    """
    from edgeflow_converters.coverage import exports33, suites
    from edgeflow_converters.coverage.book import Book
    from edgeflow_converters.coverage.case import AGREES, Ask
    from edgeflow_converters.coverage.run import Plan, matching, run
    from edgeflow_converters.coverage.table import rows

    for runtime in runtimes:
        for precision in precisions:
            conversion.check_target(runtime, precision)
    workspace.ensure_home()
    progress.step(f"load the suite {suite}")
    folder = workspace.home / "coverage"
    tools_root = workspace.tools_dir
    with converter_errors():
        if suite == exports33.NAME:
            found = exports33.cases(folder, tools_root, progress.step)
        else:
            found = suites.cases(suite)
    cases = matching(found, only)
    if not cases:
        raise UsageError(
            f"no case of {suite} is called {' or '.join(only)}",
            hint=f"it has {len(found)}, such as {found[0].name}",
        )
    asks = [
        Ask(runtime, precision, each)
        for runtime in runtimes
        for precision in precisions
        for each in ((True, False) if bare else (False,))
    ]
    total = len(cases) * len(asks)

    def told(name: str, ask: Ask, outcome: Outcome, left: int) -> None:
        del outcome
        progress.update(total - left, total)
        if left % 100 == 0:
            progress.step(f"{total - left} of {total}: {ask.runtime} {ask.precision}, {name}")

    with converter_errors():
        book = Book(folder / f"{_file_name(suite)}.jsonl", suite, tools_root)
        results = run(Plan(cases, asks, limit_s, jobs), book, tools_root, folder, told)
        versions = {runtime: book.versions(runtime) for runtime in runtimes}
    return {
        "schema": "edgeflow.coverage/1",
        "suite": suite,
        "cases": len(cases),
        "versions": versions,
        "rows": [row.to_json() for row in rows(results, asks)],
        "outcomes": [
            {
                "case": name,
                "runtime": ask.runtime,
                "precision": ask.precision,
                "bare": ask.bare,
                **outcome.to_json(),
            }
            for (name, ask), outcome in sorted(results.items(), key=lambda item: item[0][0])
            if outcome.state != AGREES
        ],
    }


def _file_name(suite: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in suite).strip("._")
