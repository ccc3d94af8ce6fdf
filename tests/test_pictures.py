"""The pictures of docs/decoding.md show what the library says, and what can be derived by hand."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
from xml.etree import ElementTree

import numpy as np
import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"
DESCRIPTION = ".//{http://purl.org/dc/elements/1.1/}description"

pytestmark = pytest.mark.skipif(not (DOCS / "pictures.py").exists(), reason="this copy of the tree has no pictures")


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shares(t, ranks):
    """Probabilities of ranks 1 to 10 at temperature t, when only `ranks` are left."""
    weights = [rank ** (-1 / t) if rank in ranks else 0.0 for rank in range(1, 11)]
    return [weight / sum(weights) for weight in weights]


ALL = range(1, 11)
BY_HAND = {
    "temperature": [[1] + [0] * 9, shares(0.5, ALL), shares(1, ALL), shares(2, ALL), [0.1] * 10],
    "top_k": [shares(0.5, range(1, 5)), shares(2, range(1, 5))],
    "top_p": [shares(0.5, range(1, 3)), shares(2, range(1, 8))],  # sums of 0.807 and 0.800 reach 0.75
    "min_p": [shares(0.5, range(1, 4)), shares(2, ALL)],  # 1/9 >= 0.1 > 1/16; 10 ** -0.5 >= 0.1
    "composition": [shares(1, range(1, last + 1)) for last in (6, 4, 3)],
    "temperature_last": [shares(2, range(1, 8)), shares(2, range(1, 6))],
    "without_replacement": [shares(1, set(ALL) - drawn) for drawn in (set(), {1}, {1, 3})],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(pictures, name):
    picture = pictures.panels()[name]
    np.testing.assert_allclose([panel.after for panel in picture], BY_HAND[name], rtol=1e-12, atol=1e-15)


def test_sums_behind_the_cuts():
    """The sums that the cuts above rest on lie on the right side of p."""
    for t, ranks, p, kept in ((0.5, ALL, 0.75, 2), (2, ALL, 0.75, 7), (1, ALL, 0.75, 5), (1, range(1, 7), 0.8, 4)):
        cumulative = np.cumsum(shares(t, ranks))
        assert cumulative[kept - 2] < p - 1e-3 < p + 1e-4 < cumulative[kept - 1]


def test_entropy_of_the_digits(pictures):
    for panel in pictures.panels()["looking"]:
        p = np.asarray(panel.before, np.float64)
        entropy = -np.sum(p * np.log(p, where=p > 0, out=np.zeros_like(p)))
        kept = np.searchsorted(np.cumsum(np.sort(p)[::-1]), 0.95) + 1
        assert panel.title.split(": ")[1] == f"{entropy:.3f} nats, keeps {kept}"


def test_files_hold_the_numbers(pictures):
    """The pictures in the tree were drawn from the numbers of today; every one is shown, none is missing."""
    shown = re.findall(r"\]\(pictures/(\w+)\.svg\)", (DOCS / "decoding.md").read_text(encoding="utf-8"))
    panels = pictures.panels()
    assert sorted(shown) == sorted(panels) == sorted(path.stem for path in (DOCS / "pictures").glob("*"))
    for name, picture in panels.items():
        description = ElementTree.parse(DOCS / "pictures" / f"{name}.svg").find(DESCRIPTION).text
        assert json.loads(description) == pictures.numbers(picture), f"{name}.svg is old; run docs/pictures.py"


def test_drawn_again(pictures, tmp_path):
    pytest.importorskip("matplotlib")
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
        pictures.draw(folder)
    for name, picture in pictures.panels().items():
        first, second = ((folder / f"{name}.svg").read_bytes() for folder in folders)
        assert first == second
        assert json.loads(ElementTree.fromstring(first).find(DESCRIPTION).text) == pictures.numbers(picture)
