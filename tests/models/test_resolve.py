"""Which file `model.encoder_weights` means: paths, folders, caches, and how soon a machine without network says so."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from huggingface_hub.constants import ENDPOINT
from segmentation_models_pytorch.encoders import encoders as smp_encoders

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.models import build_model
from maskfold.models.published import Published, file_stems, plain_stem, pretrained_names, published
from maskfold.models.resolve import resolve_weights

REVISION = smp_encoders["resnet18"]["pretrained_settings"]["imagenet"]["revision"]


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine without folders of weights, caches or network."""
    monkeypatch.delenv("MASKFOLD_WEIGHTS", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def cached(folder, repository, revision, name):
    """A file in Hugging Face's cache, as its documentation lays it out."""
    place = folder / "hub" / f"models--{repository.replace('/', '--')}"
    if revision is None:
        revision = "a" * 40
        write(place / "refs" / "main").write_text(revision)
    return write(place / "snapshots" / revision / name)


@pytest.mark.parametrize(
    ("encoder", "weights", "name"),
    [
        ("resnet34", "imagenet", "resnet34.safetensors"),
        ("resnet34", "imagenet", "resnet34-b627a593.pth"),
        ("resnet34", "imagenet", "ResNet34_imagenet.pt"),
        ("resnet34", "imagenet", "resnet34.imagenet.bin"),
        ("resnext50_32x4d", "swsl", "resnext50_32x4d-swsl.pth"),
        ("tu-tf_efficientnet_lite0", "imagenet", "tf_efficientnet_lite0_imagenet.safetensors"),
        ("timm-tf_efficientnet_lite0", "imagenet", "tf_efficientnet_lite0_imagenet.safetensors"),
        ("timm-efficientnet-b0", "noisy-student", "timm-efficientnet-b0.noisy-student.safetensors"),
        ("efficientnet-b0", "imagenet", "efficientnet_b0-7f5810bc.pth"),
        ("tu-convnext_atto", "imagenet", "convnext_atto.d2_in1k.safetensors"),
        ("tu-convnext_atto.d2_in1k", "imagenet", "convnext_atto.d2_in1k.safetensors"),
        ("tu-resnet18", "fb_swsl_ig1b_ft_in1k", "resnet18.fb_swsl_ig1b_ft_in1k.safetensors"),
        ("tu-convnext_atto", "mine", "convnext_atto_mine.pth"),
        ("resnet18", "resnet18-of-mine.pth", "resnet18-of-mine.pth"),
        ("resnet18", "resnet18-of-mine", "resnet18-of-mine.pth"),
    ],
)
def test_a_folder_has_a_file_by_the_encoders_name(encoder, weights, name, tmp_path, monkeypatch):
    for other in ("resnet34_ssl.pth", "resnet3.pth", "resnet340.pth", "convnext_tiny.pth", "resnet34.txt"):
        write(tmp_path / "first" / other)
    wanted = write(tmp_path / "second" / name)
    monkeypatch.setenv("MASKFOLD_WEIGHTS", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert resolve_weights(weights, encoder) == wanted


@pytest.mark.parametrize(
    ("encoder", "weights", "name"),
    [
        ("resnet34", "imagenet", "resnet34_ssl.pth"),
        ("resnet34", "imagenet", "resnet34_mine.pth"),
        ("resnext50_32x4d", "ssl", "resnext50_32x4d.pth"),
        ("tu-resnet18.a1_in1k", "imagenet", "resnet18.pth"),
        ("tu-resnet18.a1_in1k", "imagenet", "resnet18.tv_in1k.pth"),
    ],
)
def test_files_of_other_weights_are_left_alone(encoder, weights, name, tmp_path, monkeypatch):
    write(tmp_path / "weights" / name)
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(ModelError, match="could not be downloaded"):
        resolve_weights(weights, encoder)


def test_two_files_that_fit_are_listed(tmp_path, monkeypatch):
    for name in ("resnet34.pth", "resnet34-b627a593.pth"):
        write(tmp_path / "weights" / name)
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(ModelError, match=r"2 files in .*weights/resnet34-b627a593\.pth, .*weights/resnet34\.pth; set"):
        resolve_weights("imagenet", "resnet34")
    path = tmp_path / "weights" / "resnet34.pth"
    assert resolve_weights(str(path), "resnet34") == path


def test_a_folder_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"MASKFOLD_WEIGHTS names .*nowhere, where there is no folder"):
        resolve_weights("imagenet", "resnet34")


def test_paths_come_first_with_or_without_their_suffix(tmp_path, monkeypatch):
    write(tmp_path / "weights" / "resnet34.pth")
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path / "weights"))
    file = write(tmp_path / "runs/A/fold_0/best.safetensors")
    assert resolve_weights("runs/A/fold_0/best", "resnet34").samefile(file)
    assert resolve_weights(str(file), "resnet34") == file


def test_folders_come_before_caches_and_hugging_faces_cache_before_torch_hubs(tmp_path, monkeypatch):
    name = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    third = write(tmp_path / "torch" / "checkpoints" / name)
    assert resolve_weights("imagenet", "resnet18") == third
    second = cached(tmp_path, "smp-hub/resnet18.imagenet", REVISION, "model.safetensors")
    assert resolve_weights("imagenet", "resnet18") == second
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path / "weights"))
    first = write(tmp_path / "weights" / "resnet18.pth")
    assert resolve_weights("imagenet", "resnet18") == first


@pytest.mark.parametrize(
    ("encoder", "weights", "repository"),
    [
        ("tu-convnext_atto", "imagenet", "timm/convnext_atto.d2_in1k"),
        ("tu-resnet18", "tv_in1k", "timm/resnet18.tv_in1k"),
        ("tu-resnet18.tv_in1k", "imagenet", "timm/resnet18.tv_in1k"),
        ("tu-vit_small_patch16_dinov3", "imagenet", "timm/vit_small_patch16_dinov3.lvd1689m"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_timms_weights_in_the_cache(encoder, weights, repository, name, tmp_path):
    wanted = cached(tmp_path, repository, None, name)
    assert resolve_weights(weights, encoder) == wanted


def test_what_is_neither_file_nor_published_is_said_with_what_is():
    with pytest.raises(ModelError, match=r"no weights imagenette for encoder resnet18: .*published are: imagenet, ssl"):
        resolve_weights("imagenette", "resnet18")
    with pytest.raises(ModelError, match="the folder of MASKFOLD_WEIGHTS, which is not set"):
        resolve_weights("weights/none.pth", "tu-test_vit")


def test_the_message_names_a_file_that_is_found_where_it_says(tmp_path, monkeypatch):
    """Follow the advice, and it works."""
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    for encoder in ("resnet18", "timm-efficientnet-b0", "tu-convnext_atto", "tu-resnet18.tv_in1k"):
        with pytest.raises(ModelError) as caught:
            resolve_weights("imagenet", encoder)
        name = str(caught.value).partition("), as ")[2].partition(",")[0]
        path = write(tmp_path / "weights" / name)
        assert resolve_weights("imagenet", encoder) == path
        path.unlink()
    assert f"{ENDPOINT}/timm/resnet18.tv_in1k/resolve/main/model.safetensors" in str(caught.value)


def seconds_until_refused():
    started = time.monotonic()
    with pytest.raises(ModelError, match="could not be downloaded") as caught:
        resolve_weights("imagenet", "resnet18")
    return time.monotonic() - started, str(caught.value)


@pytest.fixture
def online(monkeypatch):
    """The client of Hugging Face as it is made where nothing forbids the network; without the proxies of this one."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


def test_offline_mode_is_refused_at_once():
    seconds, text = seconds_until_refused()
    assert seconds < 1
    assert f"{ENDPOINT}/smp-hub/resnet18.imagenet/resolve/{REVISION}/model.safetensors" in text


def test_a_machine_without_network_is_told_within_three_seconds(online, monkeypatch):
    def unreachable(*arguments, **options):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    seconds, text = seconds_until_refused()
    assert seconds < 1
    assert "Temporary failure in name resolution" in text


def test_names_that_are_looked_up_for_ever_are_not_waited_for(online, monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: end.wait(30))
    seconds, text = seconds_until_refused()
    end.set()
    assert seconds < 3
    assert f"{ENDPOINT.removeprefix('https://')} did not answer within 2.5 s" in text


def test_a_proxy_that_never_answers_is_not_waited_for(online, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.getsockname()[1]}")
        huggingface_hub.close_session()
        seconds, _ = seconds_until_refused()
    assert seconds < 3


class Hub(BaseHTTPRequestHandler):
    """Answers as Hugging Face does for one file of one repository."""

    content = b""

    def do_HEAD(self):
        known = self.path.endswith("/resolve/main/pytorch_model.bin")
        self.send_response(200 if known else 404)
        for name, value in (
            ("X-Repo-Commit", "b" * 40),
            ("ETag", '"0123"'),
            ("Content-Length", str(len(self.content) if known else 0)),
            *(() if known else (("X-Error-Code", "EntryNotFound"),)),
        ):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *arguments):
        pass


def test_the_network_comes_last_and_fills_the_cache(online, monkeypatch, tmp_path):
    torch.manual_seed(4)
    state = timm.create_model("test_resnet").state_dict()
    torch.save(state, tmp_path / "w.bin")
    monkeypatch.setattr(Hub, "content", (tmp_path / "w.bin").read_bytes())
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", here)
    template = f"{here}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    try:
        model = build_model(ModelConfig(encoder="tu-test_resnet", encoder_weights="imagenet"), classes=1)
    finally:
        server.shutdown()
        server.server_close()
    assert torch.equal(model.net.encoder.state_dict()["model.conv1.0.weight"], state["conv1.0.weight"])
    again = build_model(ModelConfig(encoder="tu-test_resnet", encoder_weights="imagenet"), classes=1)
    assert torch.equal(again.net.encoder.state_dict()["model.conv1.0.weight"], state["conv1.0.weight"])


def test_names_of_published_weights():
    assert set(pretrained_names("resnext101_32x16d")) == {"instagram", "ssl", "swsl"}
    assert pretrained_names("tu-convnext_atto") == ["imagenet", "d2_in1k"]
    assert pretrained_names("tu-convnext_atto.d2_in1k") == ["imagenet"]
    unpublished = next(name for name in timm.list_models() if not timm.is_model_pretrained(name))
    assert pretrained_names(f"tu-{unpublished}") == []


@pytest.mark.parametrize("encoder", list(smp_encoders))
def test_every_published_weight_has_a_page(encoder):
    for weights in pretrained_names(encoder):
        source = published(encoder, weights)
        assert source.repository.startswith("smp-hub/")
        assert source.address == f"{ENDPOINT}/{source.repository}/resolve/{source.revision}/model.safetensors"
        assert file_stems(encoder, weights)[0] == plain_stem(f"{encoder}_{weights}")


def test_addresses_are_those_of_the_mirror_that_is_named(monkeypatch):
    template = "https://mirror.example/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    expected = "https://mirror.example/timm/convnext_atto.d2_in1k/resolve/main/model.safetensors"
    assert published("tu-convnext_atto", "imagenet").address == expected


def test_weights_without_a_repository_are_named_by_their_file():
    source = published("tu-legacy_seresnet50", "imagenet")
    assert source.repository == ""
    assert source.address == source.url
    assert source.url.endswith("/se_resnet50-ce0d4300.pth")
    assert Published("", None, "https://here/w.pth").address == "https://here/w.pth"


def test_smps_imagenet_weights_are_torchvisions_first():
    assert published("resnet50", "imagenet").url.endswith("/resnet50-0676ba61.pth")
    assert published("efficientnet-b0", "imagenet").url == ""
    assert published("resnet50", "ssl").url == ""


def test_the_digits_of_torch_hub_are_no_part_of_a_name():
    assert plain_stem("mobilenet_v2-b0353104") == "mobilenet_v2"
    assert plain_stem("resnet34-abcdefab") == "resnet34_abcdefab"
    assert plain_stem("timm-efficientnet-b0.noisy-student") == "efficientnet_b0_noisy_student"
