"""Decoders that many threads ask for at once: with msgspec's own way of making them the process dies of SIGSEGV."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

MEETING = """
import sys, threading, msgspec
from redisu_pipeline.common.decoders import decoder_of
sys.setswitchinterval(1e-6)
for number in range(100):
    fields = [(f"f{j}", int | None, None) for j in range(20)]
    inner = [msgspec.defstruct(f"Inner{number}_{k}", fields) for k in range(10)]
    outer = msgspec.defstruct(f"Outer{number}", [(f"g{k}", inner[k] | None, None) for k in range(10)])
    data = msgspec.json.encode([{f"g{k}": {f"f{j}": j for j in range(20)} for k in range(10)}])
    together = threading.Barrier(8)
    right = []
    def first_meeting():
        together.wait()
        right.append(decoder_of(list[outer]).decode(data)[0].g9.f19 == 19)
    threads = [threading.Thread(target=first_meeting) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert right == [True] * 8
"""


def test_threads_that_meet_a_struct_for_the_first_time_together_decode_it() -> None:
    process = subprocess.run([sys.executable, "-c", MEETING], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


def test_no_other_module_makes_a_decoder_of_a_shape() -> None:
    made = re.compile(r"json\.Decoder\((?!float_hook)|json\.decode\([^\n]*type=|msgspec\.convert\(")
    found = [
        str(path.relative_to(ROOT))
        for package in ("redisu_pipeline", "webhook_service")
        for path in (ROOT / package).rglob("*.py")
        if made.search(path.read_text())
    ]
    assert found == ["redisu_pipeline/common/decoders.py"]
