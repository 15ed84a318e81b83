"""YAML that is hostile or mistyped, and YAML that must go on meaning what it did."""

import time

import pytest
import yaml

from maskfold.config import Config, config_yaml
from maskfold.errors import YamlError
from maskfold.yaml_text import DEEPEST, load_yaml

MULTIPLIED = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], y{n}: 2}}\n" for n in range(1, 12)
)
CHAINED = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 300))
HOSTILE = {
    "aliases that multiply": (MULTIPLIED, "means more than 100,000 values"),
    "merges that multiply": (MERGED, "means more than 100,000 values"),
    "an alias of itself": ("a: &a [*a]", "an alias stands inside of what it is an alias of"),
    "aliases in a chain": (CHAINED, f"nested more than {DEEPEST} deep"),
    # libyaml's composer ends the process at this one
    "lists in lists": ("[" * 100_000, f"nested more than {DEEPEST} deep"),
    "mappings in mappings": ("{a: " * 5_000, f"nested more than {DEEPEST} deep"),
    "dashes": ("- " * 5_000, f"nested more than {DEEPEST} deep"),
    "too many": ("[" + "1," * 300_000 + "]", "means more than 100,000 values"),
    "too long": ("# " + "x" * (5 << 20), "expected at most"),
    "5000 digits": ("a: " + "9" * 5000, "line 1, column 4: '99999999999999999999…' is not a number that can be read"),
    "no digits": ("a: 0x_", "'0x_' is not a number"),
    "a tag": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
    "a tag of YAML's": ("a: !!int x", "'x' is not a number"),
    "a set": ("a: !!set {b}", "could not determine a constructor"),
    "a key twice": ("train: {epochs: 3}\nseed: 1\ntrain: {epochs: 5}", "line 3, column 1: the key 'train'"),
    "a number twice": ("1: a\n0x1: b", "stands twice"),
    "a key that is a list": ("? [a]\n: b", "a key is a text or a number"),
    "a control character": ("a: \x1b[2J", "control characters are not allowed"),
    "other bytes": (b"a: \xff", "invalid leading UTF-8 octet"),
    "two documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "an open list": ("a: [1", "line 2, column 1"),
    "half a surrogate": ("a: \ud800", "surrogates not allowed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_refused_in_a_sentence_and_at_once(kind):
    content, text = HOSTILE[kind]
    started = time.perf_counter()
    with pytest.raises(YamlError) as caught:
        load_yaml(content)
    assert time.perf_counter() - started < 5
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_it_means_is_as_before():
    """PyYAML's own safe loader is the reference, but for dates, which stay texts, and 1e-4, which is a number."""
    text = "a: 1\nb: [1.5, .inf, ~, yes, 'x', \"\\e\", 0x1F, 0o7, 1_000, 1:30]\n"
    text += "c: &c {d: 2}\ne: *c\nf: {<<: *c, g: 3}\n'': |\n x\n"
    assert load_yaml(text) == yaml.safe_load(text)
    written = config_yaml(Config(name="x"))
    assert load_yaml(written) == load_yaml(written.encode()) == yaml.safe_load(written)
    assert load_yaml("a: 2024-01-02\nb: 2024-13-45\nc: 1e-4\n") == {"a": "2024-01-02", "b": "2024-13-45", "c": 1e-4}
    assert load_yaml("") is None
    assert load_yaml("{a: 1, b: {a: 1}}") == {"a": 1, "b": {"a": 1}}
