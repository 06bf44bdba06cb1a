"""Which pairs there are, and that no two results have one name."""

import itertools
import re
import time
from pathlib import Path

import numpy as np
import pytest

from hsx.errors import HsxError
from hsx.pairs.names import Column, Keys, Names, folded, safe, safe_stem
from hsx.pairs.pairing import product, random_pairs, zipped


def paths(*names: str) -> list[Path]:
    return [Path(f"{i}") / f"{name}.png" for i, name in enumerate(names)]


def test_a_product_is_a_grid_and_a_zip_is_not():
    pairs = product(paths("a", "b"), paths("s", "t", "u"))
    assert len(pairs) == 6 and pairs.grid
    assert [tuple(pairs[i])[:3] for i in range(6)] == [
        ("a__s", 0, 0),
        ("a__t", 0, 1),
        ("a__u", 0, 2),
        ("b__s", 1, 0),
        ("b__t", 1, 1),
        ("b__u", 1, 2),
    ]
    assert [v.tolist() for v in pairs.indices()] == [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]
    with pytest.raises(IndexError):
        pairs[6]
    pairs = zipped(paths("a", "b"), paths("s", "t"))
    assert [pairs.name(i) for i in range(2)] == ["a__s", "b__t"] and not pairs.grid
    with pytest.raises(HsxError, match="data.pairing: expected as many contents as styles to zip, got 2 and 1"):
        zipped(paths("a", "b"), paths("s"))


def test_a_zip_keeps_repeats_and_others_do_not():
    a, b, s, t = paths(*"abst")
    pairs = zipped([a, a, b, a], [s, t, t, s])
    assert pairs.contents == [a, b] and pairs.styles == [s, t]  # each inverted once
    assert [tuple(pairs[i])[1:3] for i in range(4)] == [(0, 0), (0, 1), (1, 1), (0, 0)]
    ending = pairs.name(3).removeprefix("a__s~").removesuffix("-4")
    assert len(ending) == 8 and int(ending, 16)
    assert [pairs.name(i) for i in range(4)] == ["a__s", "a__t", "b__t", f"a__s~{ending}-4"]
    for pairs in (product([a, b, a], [s, t, t]), random_pairs([a, b, a], [s, t, t], 2, 0)):
        assert pairs.contents == [a, b] and pairs.styles == [s, t] and len(pairs) == 4
    with pytest.raises(HsxError, match="got 2 and 1; use product"):
        zipped([a, a], [s])


def test_a_contents_draw_depends_on_the_seed_and_its_number_alone():
    styles = paths(*"stuvwxyz")
    many, few = (random_pairs(paths(*names), styles, 3, 5) for names in ("abcdef", "abc"))
    assert len(many) == 18 and [many[i] for i in range(9)] == [few[i] for i in range(9)]
    content, style = many.indices()
    assert content.tolist() == sorted([*range(6)] * 3)
    assert all(len(set(style[content == i])) == 3 for i in range(6))
    assert random_pairs(paths(*"abcdef"), styles, 3, 6).indices()[1].tolist() != style.tolist()
    with pytest.raises(HsxError, match="data.per_content: expected from 1 to as many as there are styles"):
        random_pairs(paths("a"), styles, 9, 0)


@pytest.mark.parametrize("make", [product, lambda c, s: random_pairs(c, s, len(s), 0)])
def test_no_two_results_have_one_name(make):
    """Also where stems hold the separator, a number, or another case."""
    words = ["a", "A", "a~2", "a~3", "a__b", "b", "b__a", "_", "__", "", "a_", "_a", "a/b", "a:b"]
    for seed in range(200):
        rng = np.random.default_rng(seed)
        contents, styles = (paths(*rng.choice(words, rng.integers(1, 7))) for _ in range(2))
        pairs = make(contents, styles)
        names = [pairs.name(i).lower() for i in range(len(pairs))]
        assert len(set(names)) == len(names) == len(contents) * len(styles)


def test_equal_stems_are_told_apart_by_their_paths():
    contents, styles = paths("a", "a", "A", "b"), paths("s")
    names = [product(contents, styles).name(i) for i in range(4)]
    assert [name[:5] for name in names] == ["a__s", "a__s~", "A__s~", "b__s"]
    assert len({name[4:] for name in names}) == 3 and all(re.fullmatch("~[0-9a-f]{8}", name[4:]) for name in names[1:3])
    again = product([contents[0], contents[2], Path("c.png"), contents[1]], styles)
    assert [again.name(i) for i in range(4)] == ["a__s", names[2], "c__s", names[1]]  # whatever else is in the list
    assert names[1] == "a__s~2b1455bd"  # and in every version


def test_names_that_look_ended_are_ended():
    pairs = product(paths("a", "a"), paths("s"))
    ended = Path(f"{pairs.name(1)[3:]}.png".upper())
    names = [product(paths("a", "a"), [*paths("s"), ended]).name(i) for i in range(4)]
    assert len({name.lower() for name in names}) == 4 and names[0] == pairs.name(0)
    assert re.fullmatch("a__S~[0-9A-F]{8}~[0-9a-f]{8}", names[1])


@pytest.mark.parametrize(
    "given, kept",
    [
        ("a b", "a b"),
        ("été", "été"),
        ("中文", "中文"),
        (" a ", "a"),
        ("", "_"),
        (".hidden", "_hidden"),
        ("a\nb", "a_b"),
        ('a:b*c?d"e<f>g|h\\i', "a_b_c_d_e_f_g_h_i"),
    ],
)
def test_stems_are_safe_file_names(given, kept):
    assert safe(given) == kept


def test_long_stems_are_cut_and_stay_apart():
    long = ["é" * 200 + end for end in "ab"]
    cut = [safe_stem(f"folder/{name}.png") for name in long]
    assert all(len(name.encode()) <= 100 for name in cut) and cut[0] != cut[1] and cut[0].startswith("é" * 40)
    assert safe_stem("x/a.tar.png") == "a.tar" and safe_stem("x/.png") == "_png"


def test_keys_are_of_the_texts_put_together():
    texts = ["", "a", "B", "a~2", "été", "a__b"]
    single = Keys.of(texts, folded)
    for (i, a), (j, b) in itertools.product(enumerate(texts), repeat=2):
        both = Keys.of([a + b], folded)
        assert single.values[[i]] + single.factors[[i]] * single.values[[j]] == both.values[0]
    assert Keys.of(["A"], folded).values[0] == Keys.of(["a"], folded).values[0] != Keys.of(["b"], folded).values[0]


def test_many_equal_names_are_told_apart_quickly():
    begun = time.process_time()
    content = Column([f"{i}/image.png" for i in range(50_000)], np.arange(50_000, dtype=np.int32))
    names = Names(content, Column(["s.png"], np.zeros(50_000, np.int32)))
    assert len({names[i] for i in range(50_000)}) == 50_000 and time.process_time() - begun < 1
