"""The Pod Security Standard "restricted", as a table of its controls: which of them a pod breaks.

Source: kubernetes.io, Pod Security Standards, as of Kubernetes 1.34; the controls for Windows are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Pod = dict[str, Any]
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
}  # fmt: skip


def containers(pod: Pod) -> Iterator[Pod]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod["spec"].get(kind) or ()


def context(part: Pod) -> Pod:
    return part.get("securityContext") or {}


def capabilities(part: Pod, what: str) -> set[str]:
    return set((context(part).get("capabilities") or {}).get(what) or ())


def each(holds: Callable[[Pod], bool]) -> Callable[[Pod], bool]:
    """Return a control that must hold of every container."""
    return lambda pod: all(holds(container) for container in containers(pod))


def inherited(field: str, holds: Callable[[Any], bool]) -> Callable[[Pod], bool]:
    """Return a control of a field that a container has from its pod, if it says nothing itself."""
    return lambda pod: all(
        holds(context(container).get(field, context(pod["spec"]).get(field))) for container in containers(pod)
    )


CONTROLS: dict[str, Callable[[Pod], bool]] = {
    "host namespaces": lambda pod: not any(pod["spec"].get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
    "privileged containers": each(lambda one: not context(one).get("privileged")),
    "capabilities dropped": each(lambda one: "ALL" in capabilities(one, "drop")),
    "capabilities added": each(lambda one: capabilities(one, "add") <= {"NET_BIND_SERVICE"}),
    "volume types": lambda pod: all(set(one) - {"name"} <= VOLUMES for one in pod["spec"].get("volumes") or ()),
    "host ports": each(lambda one: not any(port.get("hostPort") for port in one.get("ports") or ())),
    "AppArmor": inherited("appArmorProfile", lambda said: (said or {}).get("type") != "Unconfined"),
    "SELinux": inherited("seLinuxOptions", lambda said: not said),
    "proc mount": each(lambda one: context(one).get("procMount") in (None, "Default")),
    "seccomp": inherited("seccompProfile", lambda said: (said or {}).get("type") in ("RuntimeDefault", "Localhost")),
    "sysctls": lambda pod: {one["name"] for one in context(pod["spec"]).get("sysctls") or ()} <= SYSCTLS,
    "privilege escalation": each(lambda one: context(one).get("allowPrivilegeEscalation") is False),
    "running as non-root": inherited("runAsNonRoot", lambda said: said is True),
    "running as user 0": inherited("runAsUser", lambda said: said != 0),
}


def broken(pod: Pod) -> list[str]:
    """Return the controls that a pod breaks."""
    return [name for name, holds in CONTROLS.items() if not holds(pod)]
