"""The commands about images: `image build` and `image inspect`. (`image lock` has a module of its own.)"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipec import output
from pipec.api import UsageError
from pipec.image import inspect
from pipec.image.fault import ImageFault
from pipec.image.variant import EXTRAS
from pipec.targets.base import File

_MIB = 1 << 20


def build(options: argparse.Namespace) -> int:
    """Build an image of the step library, or a team's layer on one."""
    try:
        from pipec.image import build as building  # reads wheels with packages that only an image's maker needs
    except ModuleNotFoundError as fault:
        raise ImageFault(f"building images needs `{fault.name}`: install `pipec[image]`") from fault
    from pipec.image import sbom as bill
    from pipec.image.wheels import Sources, constraints

    is_layer = bool(options.code or options.requirements)
    _check(options, is_layer=is_layer)
    own = building.default_tag(options.variant)
    order = building.Order(
        tag=options.tag or own, variant=options.variant, base=options.base, torch=options.torch,
        wheel=Path(options.wheel) if options.wheel else None, is_fresh=options.no_cache,
        sources=Sources(constraints(), Path(options.wheels) if options.wheels else None, options.index),
    )  # fmt: skip
    if not is_layer:
        built = building.library(order, _say)
    else:
        code, listed = (Path(each) if each else None for each in (options.code, options.requirements))
        built = building.layer(order, options.below or own, code, listed, _say)
    if options.sbom:
        path = Path(options.sbom)
        output.write(path.parent, [File(path.name, bill.text(built.bill))])
    print(f"{built.image.reference} {built.image.id} {built.image.size // _MIB} MiB")
    return 0


def inspect_(options: argparse.Namespace) -> int:
    """Print what an image is and what it holds."""
    image = inspect.of(options.image)
    held = inspect.contents_of(options.image)
    if options.format == "json":
        body = {
            "format_version": "1.0", "image": image.reference, "id": image.id, "digest": image.digest,
            "size": image.size, "platform": image.platform, "user": image.user, "labels": dict(image.labels),
            "layers": list(image.layers), "contents": held.as_json() if held else None,
        }  # fmt: skip
        print(json.dumps(body, indent=2))
        return 0
    lines: list[tuple[str, Any]] = [
        ("image", image.reference), ("id", image.id), ("digest", image.digest or "none: never pushed or pulled"),
        ("size", f"{image.size // _MIB} MiB in {len(image.layers)} layers"), ("platform", image.platform),
        ("user", image.user or "root"),
    ]  # fmt: skip
    if held is None:
        lines.append(("holds", "nothing of pipec"))
    else:
        lines += [
            ("pipec", f"{held.pipec} ({held.variant}), Python {held.python}"),
            ("steps", ", ".join(f"{name}@{held.steps[name].version}" for name in sorted(held.steps))),
            (
                "team",
                f"files: {len(held.files)}, modules among them: {len(held.functions)}" if held.files else "nothing",
            ),
        ]
    for name, told in lines:
        print(f"{name:<9} {told}")
    return 0


def _check(options: argparse.Namespace, *, is_layer: bool) -> None:
    """Refuse options that would have no effect. Raises UsageError."""
    if is_layer and not options.tag:
        raise UsageError("an image with your own code needs a name of its own: say --tag NAME")
    if options.below and not is_layer:
        raise UsageError("--from is for an image with your own code: say --with DIR or --requirements FILE too")
    if options.torch and options.variant != "gpu":
        raise UsageError(f"variant `{options.variant}` has no torch: say --variant gpu too, or leave --torch out")
    for name in ("base", "torch", "wheel"):
        if is_layer and getattr(options, name):
            raise UsageError(f"--{name} is for the image below: build that first, and name it with --from")
    options.base = options.base or f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    options.torch = options.torch or "cuda"
    assert options.variant in EXTRAS, "the parser offers the variants that there are"


def _say(line: str) -> None:
    print(f"pipec: {line}", file=sys.stderr, flush=True)
