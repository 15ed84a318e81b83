"""Names of the same tensor in the files of timm, torchvision, smp, and of training programs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

# What smp's encoders put before the names that timm and torchvision use.
WRAPPERS = ("", "model.", "model.model.", "features.")

# Modules of a block of EfficientNet or MobileNetV2 in the order in which they run, in timm's names and in smp's.
TIMM_BLOCK = ("conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3")
# timm's blocks without expansion have no conv_pwl: their conv_pw is the last.
TIMM_FIRST_BLOCK = ("conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2")
SMP_BLOCK = ("expand_conv", "bn0", "depthwise_conv", "bn1", "se_reduce", "se_expand", "project_conv", "bn2")

BLOCK = re.compile(
    r"(?P<timm>blocks\.\d+\.\d+)\.(?P<timm_module>(?:se\.)?\w+)\."
    r"|_blocks\.(?P<smp>\d+)\._(?P<smp_module>\w+)\."
    r"|features\.(?P<torchvision>\d+(?:\.\d+(?=\.block\.))?)\.(?:block|conv)\.(?P<torchvision_module>\d+(?:\.(?:\d|fc\d))?)\."
)
# The first convolution and its norm, the last ones: as timm, smp and torchvision call them.
ENDS = {
    "stem.0": ("conv_stem", "_conv_stem", "features.0.0"),
    "stem.1": ("bn1", "_bn0", "features.0.1"),
    "head.0": ("conv_head", "_conv_head"),
    "head.1": ("bn2", "_bn1"),
}
END = {name: end for end, names in ENDS.items() for name in names}


def align(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, str]:
    """Encoder name -> file name, in the reading of the file's names that fits the most tensors.

    A reading removes a prefix (``module.``, ``encoder.``, ``backbone.`` …) and replaces it by one of ours, or knows
    the module by its place in the network, where timm, torchvision and smp have different names for it.
    """

    def fitting(names: Mapping[str, str]) -> int:
        return sum(source[key].shape == target[name].shape for name, key in names.items())

    return max(_readings(source, target), key=fitting)


def _readings(source: Iterable[str], target: Iterable[str]) -> Iterator[dict[str, str]]:
    wanted = {_plain(name): name for name in target}
    for prefix in _prefixes(source):
        stripped = {key.removeprefix(prefix): key for key in source if key.startswith(prefix)}
        for wrapper in WRAPPERS:
            yield _matched(wanted, {_plain(wrapper + name): key for name, key in stripped.items()})
    places = {place: name for name, place in by_place(target).items()}
    for prefix in _prefixes(source) if places else ():
        stripped = {key.removeprefix(prefix): key for key in source if key.startswith(prefix)}
        yield _matched(places, {place: stripped[name] for name, place in by_place(stripped).items()})


def _matched(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    return {name: found[plain] for plain, name in wanted.items() if plain in found}


def _plain(name: str) -> str:
    # timm joins some modules' names by underscores when it extracts features: stages.0 becomes stages_0.
    # torchvision's oldest files of DenseNets say norm.1 for norm1.
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name).replace("_", ".")


def by_place(names: Iterable[str]) -> dict[str, str]:
    """Name -> place in the network, the same in all layouts, of EfficientNets, MobileNetV2 and MobileOne.

    Empty where the names are none of these networks'.
    """
    plain = {name: name.removeprefix("model.") for name in names}
    if any("conv_kxk" in name or "rbr_conv" in name for name in plain):
        return {name: _mobileone(words) for name, words in plain.items()}
    blocks = {name: found for name, words in plain.items() if (found := BLOCK.match(words))}
    if not blocks:
        return {}
    return _blocks(blocks) | _ends({name: words for name, words in plain.items() if name not in blocks})


def _mobileone(name: str) -> str:
    """timm's names of MobileOne in smp's words, which are Apple's: stages are counted from the stem on."""
    name = re.sub(r"^stages\.(\d+)\.", lambda found: f"stage{int(found[1]) + 1}.", name.replace("stem.", "stage0."))
    for theirs, ours in (
        ("conv_kxk", "rbr_conv"),
        ("conv_scale", "rbr_scale"),
        ("identity", "rbr_skip"),
        ("attn.fc1", "se.reduce"),
        ("attn.fc2", "se.expand"),
    ):
        name = name.replace(theirs, ours)
    return name


def _blocks(found: Mapping[str, re.Match[str]]) -> dict[str, str]:
    """Names inside blocks by the block's number and the module's, both in the order in which they run."""
    keys = {name: (_number(_one(match, "")), _one(match, "_module")) for name, match in found.items()}
    modules: dict[tuple[int, ...], set[str]] = {}
    for block, module in keys.values():
        modules.setdefault(block, set()).add(module)
    numbers = {block: number for number, block in enumerate(sorted(modules))}
    orders = {block: sorted(inside, key=_order(inside)) for block, inside in modules.items()}
    return {
        name: f"{numbers[block]}.{orders[block].index(module)}.{name[_end(found[name], name) :]}"
        for name, (block, module) in keys.items()
    }


def _one(match: re.Match[str], ending: str) -> str:
    return next(filter(None, (match[layout + ending] for layout in ("timm", "smp", "torchvision"))))


def _end(match: re.Match[str], name: str) -> int:
    """Where in ``name`` the tensor's own name begins; the match may lack what stands before ``blocks``."""
    return len(name) - len(match.string) + match.end()


def _number(block: str) -> tuple[int, ...]:
    return tuple(int(part) for part in block.removeprefix("blocks.").split("."))


def _order(modules: set[str]) -> Callable[[str], Any]:
    for order in (SMP_BLOCK, TIMM_BLOCK if "conv_pwl" in modules else TIMM_FIRST_BLOCK):
        if modules <= set(order):
            return order.index
    return str  # torchvision's are numbers of one digit


def _ends(names: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, plain in names.items():
        module, _, tensor = plain.rpartition(".")
        # torchvision's last convolution has the number of the network's depth.
        last = re.fullmatch(r"features\.[1-9]\d*\.([01])", module)
        if place := f"head.{last[1]}" if last else END.get(module):
            found[name] = f"{place}.{tensor}"
    return found


def _prefixes(keys: Iterable[str]) -> list[str]:
    """Leading parts of the names, up to three deep, shortest first; numbered layers are never a prefix."""
    prefixes = {""}
    for key in keys:
        parts = key.split(".")[:-1]
        for depth in range(1, min(len(parts), 3) + 1):
            if parts[depth - 1].isdigit():
                break
            prefixes.add(".".join(parts[:depth]) + ".")
    return sorted(prefixes, key=lambda prefix: (len(prefix), prefix))
