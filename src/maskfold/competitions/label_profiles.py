"""The keys of profiles whose masks are label files."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from maskfold.competitions.label_map import LabelMapEntries
from maskfold.competitions.patterns import Pattern, PatternText
from maskfold.competitions.profile_base import BaseProfile, Section, listed


class LabelSubmission(Section):
    """The files of a submission."""

    file: str = Field(default="{id}.png", description="their names, {id} is the image's id without folders and suffix")

    @model_validator(mode="after")
    def _usable(self) -> "LabelSubmission":
        if self.file.count("{id}") != 1 or not self.file.endswith((".png", ".tif")) or set(self.file) & set("/\\"):
            raise ValueError(f"file is '{self.file}': expected a name with {{id}} that ends in .png or .tif")
        return self


class LabelProfile(BaseProfile):
    """The keys of every profile whose masks are files."""

    label_map: LabelMapEntries = Field(None, description="value or colour in the files -> class, or 255: not scored")
    mat_variable: str | None = Field(None, description="what a .mat file's mask is called, as in GTcls.Segmentation")
    submission: LabelSubmission = Field(LabelSubmission(), description="the files of a submission")


class PngMasksProfile(LabelProfile):
    """Images and binary masks of the same stem in two folders; the submission is a folder of masks."""

    layout: Literal["png-masks"]
    images: str = Field("images", description="folder of the images")
    masks: str = Field("masks", description="folder of the masks, 0/255 or 0/1")
    split: str = Field("split.csv", description="optional CSV id,split with train, valid and test")
    class_names: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)] = ("foreground",)

    @property
    def needs(self) -> list[str]:
        return [*self.needs_to_predict, f"{self.masks}/"]

    @property
    def needs_to_predict(self) -> list[str]:
        return [f"{self.images}/"]


class FileListProfile(LabelProfile):
    """Lists with a line per image, ``image [label]``; labels hold classes 0..C-1 and 255 for not scored."""

    layout: Literal["file-list"]
    train: str = Field("train.txt", description="list of the training images")
    valid: str | None = Field("val.txt", description="optional list of the validation images")
    test: str = Field("test.txt", description="optional list of the test images")
    labels: str = Field("labels.txt", description="optional file with one class name per line")
    separator: str | None = Field(None, description="between image and label; null: blanks")
    class_names: tuple[str, ...] = Field((), description="names of classes 0..C-1; empty: from labels")

    @property
    def needs(self) -> list[str]:
        return [self.train]

    @property
    def needs_to_predict(self) -> list[str]:
        return []  # without its list it has no test images, which who predicts says


class LabelSource(Section):
    """Images and their label files."""

    image: Annotated[tuple[PatternText, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="pattern of the images' paths; a list: files whose channels follow each other"
    )
    label: PatternText | None = Field(None, description="pattern of the labels' paths, with fields of the first image")
    ids: str | None = Field(None, description="file with an id per line, instead of all images that fit the pattern")
    without: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="files with ids that are left out"
    )

    @property
    def needs(self) -> list[str]:
        paths = [*self.image, *([] if self.label is None else [self.label])]
        if self.ids is None:
            return paths
        folders = (Pattern(path).folder for path in paths)
        return [self.ids, *self.without, *(f"{folder}/" for folder in folders if folder)]


Sources = Annotated[tuple[LabelSource, ...], BeforeValidator(listed)]


class LabelFilesProfile(LabelProfile):
    """Images and label files whose paths follow patterns, split by folders, lists or numbers."""

    layout: Literal["label-files"]
    train: Annotated[Sources, Field(min_length=1)] = Field(description="the training images")
    valid: Sources = Field((), description="the competition's own validation images, which have labels, too")
    test: Sources = Field((), description="the test images")
    id: PatternText = Field("{id}", description="an image's id, of the fields of its path")
    class_names: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("foreground",), description="one name: binary; several: names of classes 0..C-1"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "LabelFilesProfile":
        for source in (*self.train, *self.valid, *self.test):
            fields = {"id"} if source.ids else set(Pattern(source.image[0]).fields)
            lacking = set(Pattern(self.id).fields) - fields
            if lacking:
                raise ValueError(f"id is '{self.id}', but the image {source.image[0]} has no {', '.join(lacking)}")
        without = [source.image[0] for source in (*self.train, *self.valid) if source.label is None]
        if without:
            raise ValueError(f"train and valid need a label beside each image, such as {without[0]}")
        return self

    @property
    def needs(self) -> list[str]:
        return _needs_of(self.train)

    @property
    def needs_to_predict(self) -> list[str]:
        return _needs_of(self.test)


class CocoSource(Section):
    """Images that a COCO annotation file lists."""

    annotations: str = Field(description="annotation file in COCO's form")
    image: PatternText = Field(description="path of an image: {file_name} as in the annotation file, or {image_id}")

    @model_validator(mode="after")
    def _known_fields(self) -> "CocoSource":
        pattern = Pattern(self.image)
        if not pattern.fixed or not pattern.fields or set(pattern.fields) - {"file_name", "image_id"}:
            raise ValueError(f"image is '{self.image}': expected {{file_name}} or {{image_id}}, and nothing open")
        return self

    @property
    def needs(self) -> list[str]:
        folder = Pattern(self.image).folder
        return [self.annotations, *([f"{folder}/"] if folder else [])]


CocoSources = Annotated[tuple[CocoSource, ...], BeforeValidator(listed)]


class CocoJsonProfile(LabelProfile):
    """Images, and COCO annotation files with their polygons and run lengths; the submission is label files."""

    layout: Literal["coco-json"]
    train: Annotated[CocoSources, Field(min_length=1)] = Field(description="the training images")
    valid: CocoSources = Field((), description="the competition's own validation images")
    test: CocoSources = Field((), description="the test images; the file needs no annotations")
    class_names: tuple[str, ...] = Field(
        (), description="one category: binary; several: the background's name, then categories; empty: all, by id"
    )

    @property
    def needs(self) -> list[str]:
        return _needs_of(self.train)

    @property
    def needs_to_predict(self) -> list[str]:
        return _needs_of(self.test)


def _needs_of(sources: Sequence[LabelSource] | Sequence[CocoSource]) -> list[str]:
    return list(dict.fromkeys(name for source in sources for name in source.needs))
