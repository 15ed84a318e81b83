"""Weights of encoders that smp, timm and torchvision publish: their names, where they are, what files are called."""

import re
from dataclasses import dataclass

import timm
import torchvision
from huggingface_hub import hf_hub_url
from segmentation_models_pytorch.encoders import encoders as SMP_ENCODERS

from maskfold.models.encoders import timm_config

# What a repository of Hugging Face calls its weights, best first.
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Published:
    """Where weights of an encoder are.

    Attributes:
        repository: on Hugging Face; empty where there is none.
        revision: of the repository; None: the newest.
        url: the same weights as one file, in the way torch hub fetches and caches them; empty where there is none.
    """

    repository: str
    revision: str | None
    url: str

    @property
    def address(self) -> str:
        """Where a browser gets the file; at the mirror, where ``HF_ENDPOINT`` names one."""
        return hf_hub_url(self.repository, FILES[0], revision=self.revision) if self.repository else self.url


def pretrained_names(encoder: str) -> list[str]:
    """Names of this encoder's weights that are published: ``imagenet`` (timm's default), timm's tags …"""
    if not encoder.startswith("tu-"):
        return list(SMP_ENCODERS[encoder]["pretrained_settings"]) if encoder in SMP_ENCODERS else []
    default = ["imagenet"] if timm.is_model_pretrained(encoder[3:]) else []
    return default + ([] if "." in encoder else _tags(encoder))


def published(encoder: str, weights: str) -> Published:
    """Where ``weights``, one of `pretrained_names`, of this encoder are."""
    if encoder.startswith("tu-"):
        config = timm_config(f"{encoder}.{weights}") or timm_config(encoder)
        assert config is not None, encoder  # check_encoder lets no other name through
        return Published(config.hf_hub_id or "", None, str(config.url or ""))
    settings = SMP_ENCODERS[encoder]["pretrained_settings"][weights]
    return Published(settings["repo_id"], settings["revision"], _torchvision_url(encoder, weights))


def file_stems(encoder: str, weights: str) -> list[str]:
    """What files of these weights may be called, without suffix, as `plain_stem` writes them; the best name first.

    The model's name and that of the weights (``resnet34_imagenet``, ``convnext_atto.d2_in1k``); for ``imagenet`` the
    model's name alone (``resnet34``) and timm's default tag do as well.
    """
    model, _, tag = encoder.removeprefix("tu-").partition(".")
    names = [f"{model}_{tag}" if tag else f"{model}_{weights}"]
    if weights == "imagenet" and not tag:
        config = timm_config(encoder) if encoder.startswith("tu-") else None
        names += [model, *([f"{model}_{config.tag}"] if config is not None and config.tag else [])]
    return [plain_stem(name) for name in names]


def plain_stem(name: str) -> str:
    """A file's or an encoder's name in small letters, ``_`` for every other sign, without the prefix ``timm-``.

    The eight digits that torch hub adds (``resnet34-b627a593``) are left out.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).removeprefix("timm_")
    return re.sub(r"_(?=[0-9a-f]*\d)[0-9a-f]{8}$", "", plain)


def _tags(encoder: str) -> list[str]:
    return [name.partition(".")[2] for name in timm.list_models(f"{encoder[3:]}.*", pretrained=True)]


def _torchvision_url(encoder: str, weights: str) -> str:
    """smp's ``imagenet`` weights of torchvision's networks are torchvision's first ones."""
    if weights != "imagenet" or encoder not in torchvision.models.list_models(torchvision.models):
        return ""
    return torchvision.models.get_model_weights(encoder)["IMAGENET1K_V1"].url
