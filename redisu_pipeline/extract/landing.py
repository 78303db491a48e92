"""The last step of every resource: its rows land, one resource at a time, and what was done is reported."""

import time
from collections.abc import Callable
from datetime import datetime

from redisu_pipeline.common import clock
from redisu_pipeline.common.reports import TableReport
from redisu_pipeline.extract import memory
from redisu_pipeline.extract.run import Run
from redisu_pipeline.lake.commit import Commit
from redisu_pipeline.lake.manifest import Cursor, RunProof


def land(
    run: Run,
    commit: Commit,
    cursor: Callable[[int], Cursor],
    *,
    minimum: int,
    started: float,
    complete_until: datetime | None,
    note: str = "",
) -> dict[str, TableReport]:
    """Land ``commit`` and return a report for each of its tables.

    ``minimum`` is the least number of requests for all of them; ``started`` is on the monotonic clock. Whoever calls
    must not wait for another resource any more: landings wait for each other.
    """
    names = [table.name for table in commit.resource.table.family()]
    requests = {name: run.reader.requests[name] for name in names}

    def proof(new: int, changed: int) -> RunProof:
        return RunProof(
            id=run.run_id,
            started=run.now.isoformat(),
            finished=clock.now().isoformat(),
            requests=sum(requests.values()),
            minimum=minimum,
            new=new,
            changed=changed,
            deleted=len(commit.gone),
        )

    with run.landing:
        landed = commit.land(cursor, proof)
        memory.give_back()
    follow_ups = sum(requests[name] for name in names[1:])
    least = {names[0]: min(max(0, minimum - follow_ups), requests[names[0]])}
    return {
        name: TableReport(
            new=landed[name].new,
            changed=landed[name].changed + landed[name].removed,
            unchanged=landed[name].rows - landed[name].new - landed[name].changed,
            rows=landed[name].rows,
            requests=requests[name],
            minimum=least.get(name, requests[name]),
            seconds=time.monotonic() - started,
            complete_until=complete_until,
            note=note,
        )
        for name in names
    }
