"""The processes of a ddp fit, which load data together."""

from __future__ import annotations

import threading
from pathlib import Path

from lifecycle.runtime.team import Team


def test_the_main_process_waits_for_the_others_and_they_do_not_wait_for_it(tmp_path: Path) -> None:
    main, other = Team(0, 2, tmp_path), Team(1, 2, tmp_path)
    other.arrived("opened")  # else it could look for the main process's answer in a folder that is removed
    main.arrived("opened")
    waits = threading.Thread(target=main.arrived, args=("closed",))
    waits.start()
    waits.join(0.2)
    assert waits.is_alive()
    other.arrived("closed")
    waits.join(30)
    assert not waits.is_alive()
