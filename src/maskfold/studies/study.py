"""A study as its YAML file says it: a config, what all variants have in common, and the variants by name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from maskfold.config import find_config, list_problems, read_yaml
from maskfold.config.section import Section
from maskfold.errors import ConfigError, nearest
from maskfold.runs.pseudo_rules import Rules
from maskfold.studies.space import Range, Search

RUN, EPOCHS = "run", "epochs"  # placeholders, see `Variant.options`
WINNER = "winner"  # the variant that a search finds
PREDICTION = ("tta", "inference", "post")


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"{list(values)} names a value twice")
    return values


Numbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)]


class PseudoRound(Rules):
    """Images without masks, labelled by other variants' runs as `maskfold.pseudo_label` does, to train on too."""

    runs: tuple[str, ...] = Field(min_length=1, description="variants whose networks label, fold by fold")
    images: Path | None = Field(default=None, description="folder of images; null: the competition's test images")

    @property
    def rules(self) -> Rules:
        """Which pixels and which images are sure enough."""
        return Rules(**{name: getattr(self, name) for name in Rules.model_fields})


class Variant(Section):
    """What one variant changes.

    Attributes:
        options: dotted keys of the config and their values. Anywhere in a value ``{run: NAME}`` stands for the run of
            another variant (of the same seed), and ``{epochs: 0.5}`` for this share of the study's epochs.
        pseudo: a round of pseudo-labels before training.
        run: another variant, with whose networks this one predicts; it trains nothing of its own.
        predict: dotted keys of the sections tta, inference and post.
        against: the variant that it is compared with; None: the study's first.
    """

    options: dict[str, Any] = Field(default_factory=dict)
    pseudo: PseudoRound | None = None
    run: str | None = None
    predict: dict[str, Any] = Field(default_factory=dict)
    against: str | None = None

    @model_validator(mode="after")
    def _trains_or_not(self) -> "Variant":
        if self.run is not None and (self.options or self.pseudo):
            raise ValueError(f"run is {self.run}, so nothing is trained: leave out options and pseudo")
        if wrong := [key for key in self.predict if key.split(".")[0] not in PREDICTION]:
            raise ValueError(f"predict has {wrong[0]}: it changes {', '.join(PREDICTION)} only, options the rest")
        return self

    def needs(self) -> set[str]:
        """The variants whose runs this one learns from, or predicts with."""
        found = {value for key, value in placeholders(list(self.options.values())) if key == RUN}
        found |= set() if self.pseudo is None else set(self.pseudo.runs)
        return found | (set() if self.run is None else {self.run})


class Study(Section):
    """A study.

    Attributes:
        about: what it asks, in a sentence or two, for the head of its page.
        config: a YAML file, or the name of a config that comes with maskfold.
        options: dotted keys that all variants share.
        folds: those that are trained and scored; ``all``: all that a variant's folds section makes.
        seeds: of weights, order and augmentation; the folds stay the same.
        columns: further figures beside the competition's score, see `maskfold.studies.columns`.
        truth: the true masks of the test images, a path inside the competition's folder: the variants are then compared
            on these, predicted by all their folds together, and what they score out of fold stands beside it.
        search: for better options than the first variant's; its winner is one more variant.
        variants: by name, the baseline first.
    """

    about: str
    config: str
    options: dict[str, Any] = Field(default_factory=dict)
    folds: Numbers | Literal["all"] = (0,)
    seeds: Numbers = (0,)
    columns: Annotated[tuple[str, ...], AfterValidator(_distinct)] = ()
    truth: str | None = None
    search: Search | None = None
    variants: dict[str, Variant] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> "Study":
        slugs: dict[str, str] = {}
        for name, variant in self.variants.items():
            if not slug(name) or "," in name:
                raise ValueError(f"a variant is called {name!r}: name it with letters or digits, without a comma")
            if (other := slugs.setdefault(slug(name), name)) != name:
                raise ValueError(f"the variants {other!r} and {name!r} would share a folder: rename one")
            for named in sorted(variant.needs() | ({variant.against} if variant.against else set())):
                if named not in self.variants:
                    raise ValueError(f"{name} names the variant {named}: {nearest(named, list(self.variants))}")
        self.levels()
        for name, variant in self.variants.items():
            if variant.run is not None and self.variants[variant.run].run is not None:
                raise ValueError(
                    f"{name} predicts with {variant.run}, which trains nothing itself: name the one that does"
                )
        return self

    @model_validator(mode="after")
    def _search_elsewhere(self) -> "Study":
        if self.search is not None:
            if WINNER in self.variants:
                raise ValueError(f"the search's best trial is called {WINNER}: call the variant something else")
            if self.folds == "all" or set(self.folds) & set(self.search.folds):
                raise ValueError(
                    f"search.folds is {list(self.search.folds)} and folds is {self.folds}: the winner is confirmed on "
                    "folds that it was not chosen on, so let them have none in common"
                )
        return self

    @property
    def first(self) -> str:
        """The baseline of variants that name no other."""
        return next(iter(self.variants))

    def against(self, name: str) -> str | None:
        """The baseline of a variant; None for the first, unless it names one."""
        return self.variants[name].against or (None if name == self.first else self.first)

    def levels(self) -> dict[str, int]:
        """Variant -> 0 where it needs no other, else one more than those that it needs.

        Raises:
            ValueError: variants need each other in a circle.
        """
        found: dict[str, int] = {}
        while len(found) < len(self.variants):
            ready = {
                name: each for name, each in self.variants.items() if name not in found and each.needs() <= found.keys()
            }
            if not ready:
                raise ValueError(f"{', '.join(name for name in self.variants if name not in found)} need each other")
            found |= {
                name: 1 + max((found[other] for other in each.needs()), default=-1) for name, each in ready.items()
            }
        return found

    def asked(self, **changes: Any) -> "Study":
        """The study with other folds, seeds or columns.

        Raises:
            ConfigError: values that do not fit.
        """
        try:
            return Study.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise ConfigError(f"the command line:{list_problems(error, list(changes), 'a study')}") from None

    def with_winner(self, options: dict[str, Any]) -> "Study":
        """The study with the search's winner as one more variant."""
        return self.model_copy(update={"variants": {**self.variants, WINNER: Variant(options=options)}})

    def select(self, names: Sequence[str]) -> "Study":
        """Only these variants, and those that they need or are compared with.

        Raises:
            ConfigError: no such variant.
        """
        wanted: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in self.variants:
                raise ConfigError(f"the study has no variant {name}: {nearest(name, list(self.variants))}")
            wanted.add(name)
            near = self.variants[name].needs() | {self.against(name)}
            todo += [other for other in near if other is not None and other not in wanted]
        kept = {name: variant for name, variant in self.variants.items() if name in wanted}
        return self.model_copy(update={"variants": kept})


def slug(name: str) -> str:
    """A variant's name as part of a folder's name."""
    return re.sub(r"\W+", "_", name).strip("_")


def placeholders(value: Any) -> Iterator[tuple[str, Any]]:
    """``(kind, what stands behind it)`` of every placeholder in an option's value."""
    if isinstance(value, Mapping):
        if len(value) == 1 and (found := next(iter(value.items())))[0] in (RUN, EPOCHS):
            yield found
        else:
            yield from placeholders(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from placeholders(part)


def load_study(path: Path | str) -> Study:
    """Read a study: a YAML file, or the name of one that comes with maskfold.

    Raises:
        ConfigError: no such file, not valid, an unknown key, variants that name each other wrongly.
    """
    file = find_config(path, "studies")
    try:
        return Study.model_validate(read_yaml(file))
    except ValidationError as error:
        known = [
            *Study.model_fields,
            *(f"variants.{name}" for name in (*Variant.model_fields, *PseudoRound.model_fields)),
            *(f"search.{name}" for name in (*Search.model_fields, *Range.model_fields)),
        ]
        raise ConfigError(f"{file}:{list_problems(error, known, 'a study')}") from None
