"""The arithmetic behind thresholds and chances: against brute force, and on rows whose answer is plain."""

import json

import numpy as np
import pytest

from benchmarks.flags import choose
from benchmarks.flags.__main__ import main
from lungseg_monai.segment.uncertainty import Limits

LIMITS = Limits(border=5, dice=0.9, ragged=1.2)


def row(true: float, worse: float, flags: tuple[str, ...] = (), name: str = "chest") -> dict:
    """A case of one lung whose every measure is the worse, the larger `worse` is (0 to 1)."""
    roi = {"true": true, "confidence": 1 - worse, "border_percent": 10 * worse, "flip_percent": 50 * worse}
    roi |= {"dice": 1 - 0.2 * worse, "ragged": 1 + 0.4 * worse}
    return {"name": name, "bad": true < 0.9, "rois": {"lung_right": roi}, "flags": dict.fromkeys(flags, "check")}


ROWS = [row(0.97, at / 40) for at in range(20)] + [row(0.5, 0.9, ("odd",)), row(0.8, 0.45), row(0.99, 0.1, ("odd",))]


@pytest.mark.parametrize("name", choose.HIGHER_IS_WORSE)
def test_a_threshold_costs_what_it_may_and_the_area_is_that_of_all_pairs(name):
    told = choose.of_number(name, ROWS)
    sign = 1 if choose.HIGHER_IS_WORSE[name] else -1
    values = {
        bad: np.array([sign * one[name] for one in choose.lungs(ROWS) if (one["true"] < 0.9) == bad]) for bad in (0, 1)
    }
    assert (told.bad, told.count) == (2, 23)
    assert (values[0] > sign * told.threshold).mean() <= choose.FALSE_ALARMS
    assert told.recall == pytest.approx((values[1] > sign * told.threshold).mean())
    above = values[1][:, None] - values[0][None]
    assert told.auc == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())


def test_flags_follow_the_limits_and_are_counted():
    rows = choose.by_limits([{**one, "flags": {**one["flags"], "uncertain": "check"}} for one in ROWS], LIMITS)
    assert [("uncertain" in one["flags"]) for one in rows] == [
        one["rois"]["lung_right"]["border_percent"] > 5 for one in ROWS
    ]
    counted = {code: (bad, good) for code, bad, good in choose.of_flags(rows)}
    assert counted["odd"] == (1, 1) and counted["uncertain"] == (1, 0) and counted["any of them"] == (1, 1)
    assert choose.chance(0, 0) == 0.5 and choose.chance(8, 0) == 0.9


def test_the_score_tells_more_with_the_uncertainty():
    rows = choose.by_limits([row(0.97, 0.2), row(0.96, 0.3), row(0.4, 0.8), row(0.5, 0.7)], LIMITS)
    assert choose.of_look(rows, uncertainty=True) == 1 and choose.of_look(rows[:2], uncertainty=True) is None


def test_the_command_prints_kept_rows(tmp_path, capsys):
    kept = tmp_path / "rows.jsonl"
    kept.write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    assert main(["chests", "--count", str(len(ROWS)), "--keep", str(kept)]) == 0
    text = capsys.readouterr().out
    assert "23 cases, 2 of them bad." in text and "| odd | 1 of 2 | 1 of 21 | 0.50 |" in text
