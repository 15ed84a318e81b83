"""What the sections of a config are made of: their base class, and the types of their values."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, Tag

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
AUTO = 0  # a batch whose size is found on the device before a run's first fold begins: ``auto`` in files


def _batch(value: Any) -> Any:
    if value == "auto":
        return AUTO
    if isinstance(value, int) and value < 1:
        raise ValueError(f"{value} is neither a number of 1 or more nor auto")
    return value


AutoWord = BeforeValidator(_batch)
# A number of images, or `AUTO`.
Batch = Annotated[int, AutoWord, PlainSerializer(lambda size: "auto" if size == AUTO else size)]
# YAML and the command line both write an absent value as `null`; these names mean the same to people.
NoneWord = BeforeValidator(lambda value: None if value in ("none", "None", "null", "") else value)


# A decoding step's value: one for all classes, a list with one for each, or a mapping by class name. Which of the three
# is told first, so that a wrong value is one error and not three; the words in brackets are in no message.
ONE, EACH, NAMED = PER_CLASS_TAGS = ("<one for all>", "<one for each>", "<by name>")


def _form(value: Any) -> str:
    return NAMED if isinstance(value, dict) else EACH if isinstance(value, list | tuple) else ONE


Pixels = Annotated[int, Field(ge=0)]
Shares = Annotated[
    Annotated[Share, Tag(ONE)] | Annotated[tuple[Share, ...], Tag(EACH)] | Annotated[dict[str, Share], Tag(NAMED)],
    Discriminator(_form),
]
Areas = Annotated[
    Annotated[Pixels, Tag(ONE)] | Annotated[tuple[Pixels, ...], Tag(EACH)] | Annotated[dict[str, Pixels], Tag(NAMED)],
    Discriminator(_form),
]


class Section(BaseModel):
    """A part of the tree. Unknown keys are errors, and nothing can be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
