"""What processes have used, as Linux tells."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of one process, and of those of its children that have ended."""
    # proc_pid_stat(5): utime, stime, cutime, cstime are fields 14 to 17; the name before them may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def tree_cpu_seconds(pid: int) -> float:
    """Processor time of a process and all its children, living or ended."""
    return cpu_seconds(pid) + sum(cpu_seconds(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """The living children of a process's main thread."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reset_peak_memory(pid: int) -> None:
    """Let the peak of a process's memory begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc_pid_clear_refs(5)


def peak_memory(pid: int) -> float:
    """The most memory that a process has had resident, in MB (10^6 bytes)."""
    return _status_megabytes(pid, "VmHWM:")


def resident_memory(pid: int) -> float:
    """The memory that a process has resident, in MB (10^6 bytes)."""
    return _status_megabytes(pid, "VmRSS:")


def _status_megabytes(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(f"process {pid} tells no {name}")
