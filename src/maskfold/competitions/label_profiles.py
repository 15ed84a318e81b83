"""The keys of profiles whose masks are label files."""

from typing import Annotated, Literal

from pydantic import Field

from maskfold.competitions.profile_base import BaseProfile


class PngMasksProfile(BaseProfile):
    """Images and binary masks of the same stem in two folders; the submission is a folder of masks."""

    layout: Literal["png-masks"]
    images: str = Field("images", description="folder of the images")
    masks: str = Field("masks", description="folder of the masks, 0/255 or 0/1")
    split: str = Field("split.csv", description="optional CSV id,split with train, valid and test")
    class_names: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)] = ("foreground",)


class FileListProfile(BaseProfile):
    """Lists with a line per image, ``image [label]``; labels hold classes 0..C-1 and 255 for not scored."""

    layout: Literal["file-list"]
    train: str = Field("train.txt", description="list of the training images")
    valid: str = Field("val.txt", description="optional list of the validation images")
    test: str = Field("test.txt", description="optional list of the test images")
    labels: str = Field("labels.txt", description="optional file with one class name per line")
    separator: str | None = Field(None, description="between image and label; null: blanks")
    class_names: tuple[str, ...] = Field((), description="names of classes 0..C-1; empty: from labels")
