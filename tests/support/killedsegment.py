"""Run `segment` and kill it in the middle of a step.

Usage: ``python killedsegment.py PLACE OUT CONFIG KILL_AT``. PLACE holds ``data`` (see `learning.coloured_dataset`) and
``teacher`` (masks or probabilities); KILL_AT counts losses from 1, 0 means no kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from learning import coloured_dataset, run_stage

from wsss.losses.region import CrossEntropyDiceLoss
from wsss.stages import segment


def main() -> None:
    place, out, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4])
    torch.set_num_threads(1)
    calls, forward = 0, CrossEntropyDiceLoss.forward

    def counted(self: CrossEntropyDiceLoss, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 * kill_at:  # the second of the network's two outputs
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(self, *arguments)

    CrossEntropyDiceLoss.forward = counted  # type: ignore[method-assign]
    config = json.loads(sys.argv[3])
    run_stage(segment.STAGE, config, out, coloured_dataset(place / "data"), masks=place / "teacher")


if __name__ == "__main__":
    main()
