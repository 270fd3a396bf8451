"""The empty folders that a step's pod is given: what containers may write to, wherever they run.

Kubernetes' facts, shared by the targets that make pods; each writes them in its own words.
"""

from __future__ import annotations

from pipec.compiler.plan import Task
from pipec.record import frozen
from pipec.steps.interface import Container

# Read-only roots are the cluster's choice: a launcher writes below /tmp, our steps below /work (the image's HOME).
SCRATCH, WORK, SHARED = "/tmp", "/work", "/dev/shm"
LEAST_SHARED_MIB = 64  # what Docker gives, which one batch of images fills


@frozen
class Folder:
    """An empty folder. name: of its volume. memory_mib: how much of the pod's memory it may fill; 0 for one on disk."""

    name: str
    place: str
    memory_mib: int = 0


def folders(task: Task, *, has_shared: bool = False) -> tuple[Folder, ...]:
    """Return the empty folders of a task's pod, but where the user mounts a volume.

    has_shared: whether there is one for memory that processes share, though this task does not ask for it.
    """
    found = [Folder("pipec-tmp", SCRATCH)]
    if not isinstance(task.interface.container, Container):
        found.append(Folder("pipec-work", WORK))
    if size := shared_memory_mib(task) or has_shared * LEAST_SHARED_MIB:
        found.append(Folder("pipec-shm", SHARED, size))
    taken = {mount.rstrip("/") for mount, _ in task.volumes}
    return tuple(folder for folder in found if folder.place not in taken)


def shared_memory_mib(task: Task) -> int:
    """Return how much memory a task's processes may share beyond what every container has, or 0.

    It is for what works in several processes, on a device or several cores. As Linux has it by default, half of the
    memory may be used so; it counts as the pod's memory.
    """
    resources = task.resources
    if not resources.accelerator and resources.cpu <= 1:
        return 0
    return max(LEAST_SHARED_MIB, resources.memory_mib // 2)
