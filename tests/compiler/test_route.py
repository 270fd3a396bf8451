"""The ways that artifacts go through a pipeline, as a note draws them."""

from __future__ import annotations

import pytest

from pipec.compiler.rules.route import drawn


@pytest.mark.parametrize(
    ("n_names", "shown"),
    [
        (1, "`0`"),
        (3, "`0` -> `1` -> `2`"),
        (12, "`0` -> `1` -> `2` -> `3` -> `4` -> `5` -> `6` -> `7` -> `8` -> `9` -> `10` -> `11`"),
        (13, "`0` -> `1` -> ... -> `4` -> `5` -> `6` -> `7` -> `8` -> `9` -> `10` -> `11` -> `12`"),
        (1000, "`0` -> `1` -> ... -> `991` -> `992` -> `993` -> `994` -> `995` -> `996` -> `997` -> `998` -> `999`"),
    ],
)
def test_a_long_way_is_drawn_where_it_begins_and_where_it_ends(n_names: int, shown: str) -> None:
    assert drawn([str(n) for n in range(n_names)]) == shown
