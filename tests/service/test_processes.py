"""What a process that is forked to serve takes from its parent."""

from __future__ import annotations

import gc
import os
import select

from service.processes import fork

SECONDS = 10


def test_the_collector_of_a_forked_process_leaves_alone_what_its_parent_made() -> None:
    made: list[object] = []

    def is_visited() -> bool:
        return any(each is made for each in gc.get_objects())

    def tell(ready: int) -> None:
        os.write(ready, b"visited" if is_visited() else b"frozen")

    assert is_visited()
    child = fork(tell, leads_group=False)
    try:
        assert select.select([child.ready], [], [], SECONDS)[0]
        assert os.read(child.ready, 16) == b"frozen"
    finally:
        os.waitpid(child.pid, 0)
        child.bury()
