import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from maskfold.config import ModelConfig, TTAConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.inference.predict import one_ahead, predict_batches
from maskfold.labels import Label, LabelSpec
from maskfold.models import Outputs, build_model

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("a", "b", "c"))
CPU = torch.device("cpu")


class Pointwise(nn.Module):
    """Looks at one pixel at a time, so views and windows must change nothing."""

    def __init__(self, classes=1, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Conv2d(3, classes, 1)
        self.calls = []

    def forward(self, images):
        self.calls.append((tuple(images.shape), torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()))
        return Outputs(self.layer(images.float() / 60 - 2), {})


class Columns(nn.Module):
    """Sees each pixel in the light of the place where it stands, so that every view says something else."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        rows, columns = (torch.linspace(-1, 1, size) for size in images.shape[-2:])
        return Outputs(images[:, :1].float() / 255 * columns + 2 * rows[:, None], {})


def batch(first, count, size, labelled=False, native=None):
    generator = torch.Generator().manual_seed(first)
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)
    items = {
        "image": images,
        "id": [f"tile_{first + i}" for i in range(count)],
        "index": torch.arange(first, first + count),
        "size": [native or size] * count,
    }
    if labelled:
        masks = [np.full(native or size, (first + i) % 2, np.uint8) for i in range(count)]
        items["label"] = [Label.whole(mask) for mask in masks]
    return items


def predict(models, loader, *, weights=None, precision=None, **options):
    tta, labels = TTAConfig(**{"views": "none", **options}), labels_of(models)
    predictions = predict_batches(
        models, loader, labels=labels, tta=tta, weights=weights, device=CPU, precision=precision
    )
    return list(predictions)


def labels_of(models):
    """Exclusive classes where the networks have several channels."""
    channels = getattr(getattr(models[0], "layer", None), "out_channels", 1) if models else 1
    names = tuple(map(str, range(channels)))
    return LabelSpec("multiclass" if channels > 1 else "binary", names)


def plain(model, images):
    with torch.no_grad():
        logits = model(images).logits
        return (logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)).numpy()


def test_predictions_come_in_order_with_their_images_facts():
    loader = [batch(0, 3, (6, 9), labelled=True), batch(3, 2, (5, 4), labelled=True)]
    model = Pointwise()
    predictions = predict([model], loader)
    assert [p.id for p in predictions] == [f"tile_{i}" for i in range(5)]
    assert [p.index for p in predictions] == [0, 1, 2, 3, 4]
    expected = [*plain(model, loader[0]["image"]), *plain(model, loader[1]["image"])]
    for prediction, probability in zip(predictions, expected, strict=True):
        assert prediction.probability.dtype == np.float32
        np.testing.assert_allclose(prediction.probability, probability, atol=1e-6)
        assert prediction.label.values.shape == probability.shape[1:]
        assert (prediction.label.values == prediction.index % 2).all()


def test_classes_that_overlap_have_a_sigmoid_each():
    model, loader = Pointwise(classes=3), [batch(0, 2, (6, 9))]
    labels = LabelSpec("multilabel", ("a", "b", "c"))
    tta = TTAConfig(views="none")
    found = list(predict_batches([model], loader, labels=labels, tta=tta, device=CPU))
    with torch.no_grad():
        expected = model(loader[0]["image"]).logits.sigmoid().numpy()
    np.testing.assert_allclose(np.stack([p.probability for p in found]), expected, atol=1e-6)


def test_unlabelled_images_have_no_label():
    assert all(p.label is None for p in predict([Pointwise()], [batch(0, 2, (4, 4))]))


@pytest.mark.parametrize("views", ["none", "hflip", "flips", "d4"])
@pytest.mark.parametrize("window", [None, 32])
@pytest.mark.parametrize("classes", [1, 4])
def test_views_and_windows_change_nothing_for_a_pointwise_network(views, window, classes):
    loader, model = [batch(0, 2, (40, 57))], Pointwise(classes)
    predictions = predict([model], loader, views=views, window=window)
    seen = {shape[-2:] for shape, _, _ in model.calls}
    assert seen == {(32, 32)} if window else (40, 57) in seen
    expected = plain(model, loader[0]["image"])
    np.testing.assert_allclose(np.stack([p.probability for p in predictions]), expected, atol=1e-5)


def test_a_network_that_knows_left_from_right_sees_every_view():
    """Its logit is the column: the mean over flips must be symmetric, and by hand."""

    class Column(nn.Module):
        def forward(self, images):
            return Outputs(torch.arange(images.shape[-1]).float().expand(len(images), 1, *images.shape[-2:]), {})

    probability = predict([Column()], [batch(0, 1, (3, 5))], views="flips")[0].probability[0]
    sigmoid = 1 / (1 + np.exp(-np.arange(5.0)))
    np.testing.assert_allclose(probability, np.tile((sigmoid + sigmoid[::-1]) / 2, (3, 1)), atol=1e-6)


def test_views_are_weighted_and_those_without_weight_are_not_looked_at():
    model, asymmetric = Pointwise(), Columns()
    loader = [batch(0, 2, (5, 8))]
    images = loader[0]["image"]
    seen = [images, images.flip(-1), images.flip(-2), images.flip((-1, -2))]
    alone = [asymmetric(one).logits.sigmoid() for one in seen]
    alone = [alone[0], alone[1].flip(-1), alone[2].flip(-2), alone[3].flip((-1, -2))]
    asymmetric.calls = 0
    found = predict([asymmetric], loader, views="flips", view_weights=[3, 0, 0, 1])
    assert asymmetric.calls == 2
    for place, prediction in enumerate(found):
        expected = 0.75 * alone[0][place] + 0.25 * alone[3][place]
        np.testing.assert_allclose(prediction.probability, expected.numpy(), atol=1e-6)
    equal, plain = (predict([model], loader, views="flips", view_weights=weights) for weights in ([2, 2, 2, 2], None))
    for one, other in zip(equal, plain, strict=True):
        assert np.array_equal(one.probability, other.probability)
    with pytest.raises(ConfigError, match=r"view_weights is \[1\.0, 2\.0\], and there are 4 views, identity"):
        predict([model], loader, views="flips", view_weights=[1, 2])
    with pytest.raises(ConfigError, match="not all 0"):
        predict([model], loader, views="flips", view_weights=[0, 0, 0, 0])


@pytest.mark.parametrize("merge", ["probabilities", "logits", "vote"])
def test_checkpoints_are_weighted_and_merged_as_asked(merge):
    loader, models = [batch(0, 2, (7, 5))], [Pointwise(3, seed) for seed in range(3)]
    predictions = predict(models, loader, weights=[1, 2, 5], merge=merge)
    logits = [model(loader[0]["image"]).logits.detach().double() for model in models]
    shares = (0.125, 0.25, 0.625)
    if merge == "logits":
        expected = sum(s * x for s, x in zip(shares, logits, strict=True)).softmax(1)
    elif merge == "probabilities":
        expected = sum(s * x.softmax(1) for s, x in zip(shares, logits, strict=True))
    else:
        expected = sum(s * F.one_hot(x.argmax(1), 3).permute(0, 3, 1, 2) for s, x in zip(shares, logits, strict=True))
    np.testing.assert_allclose(np.stack([p.probability for p in predictions]), expected.numpy(), atol=1e-5)


def test_one_pass_over_the_images_serves_all_checkpoints_and_views():
    taken = []

    def loader():
        for first in (0, 2):
            taken.append(first)
            yield batch(first, 2, (8, 6))

    models = [Pointwise(seed=seed) for seed in range(3)]
    predict(models, loader(), views="d4", scales=(1.0, 0.5))
    assert taken == [0, 2]
    assert [len(model.calls) for model in models] == [2 * 8 * 2] * 3


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_next_item_is_asked_for_before_one_is_given_out(count):
    asked = []
    items = (asked.append(number) or number for number in range(count))
    for place, item in enumerate(one_ahead(items)):
        assert item == place
        assert len(asked) == min(place + 2, count)
    assert len(asked) == count


def test_images_stream_by():
    """Batches are taken when their first prediction is asked for, and forgotten afterwards."""
    alive = []

    def loader():
        for first in range(0, 20, 2):
            items = batch(first, 2, (8, 6))
            alive.append(weakref.ref(items["image"]))
            yield items
            del items

    predictions = predict_batches([Pointwise()], loader(), labels=BINARY, tta=TTAConfig(views="flips"), device=CPU)
    assert not alive
    for count, _ in enumerate(predictions, start=1):
        assert len(alive) == (count + 1) // 2
        assert sum(image() is not None for image in alive) <= 2
    assert count == 20


@pytest.mark.parametrize("native", [(20, 30), (5, 7)])
def test_maps_are_resized_once_to_native_size(native):
    loader, model = [batch(0, 2, (10, 15), native=native, labelled=True)], Pointwise(2)
    predictions = predict([model], loader, views="flips")
    network_size = torch.from_numpy(plain(model, loader[0]["image"]))
    expected = F.interpolate(network_size, size=native, mode="bilinear", antialias=native < (10, 15)).numpy()
    result = np.stack([p.probability for p in predictions])
    assert result.shape == (2, 2, *native)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-5)


def test_each_image_of_a_batch_gets_the_size_that_is_asked_for_it():
    items, sizes = batch(0, 3, (6, 8)), [(12, 16), (6, 8), (3, 20)]
    model = Pointwise()
    found = predict([model], [items | {"size": sizes}])
    for prediction, whole, size in zip(found, plain(model, items["image"]), sizes, strict=True):
        expected = F.interpolate(torch.from_numpy(whole)[None], size, mode="bilinear", antialias=True)[0]
        np.testing.assert_allclose(prediction.probability, expected.numpy(), atol=1e-6)


def test_scaled_views_of_a_flat_image_change_nothing():
    items = batch(0, 1, (9, 13))
    items["image"][:] = torch.tensor([10, 100, 250], dtype=torch.uint8).view(3, 1, 1)
    model = Pointwise()
    probability = predict([model], [items], views="d4", scales=(0.75, 1.0, 1.4))[0].probability
    np.testing.assert_allclose(probability, plain(model, items["image"])[0], atol=1e-5)
    assert {shape[-2:] for shape, _, _ in model.calls} == {(7, 10), (10, 7), (9, 13), (13, 9), (13, 18), (18, 13)}


def test_autocast_and_inference_mode_are_on_for_the_network_only():
    model = Pointwise()
    tta = TTAConfig(views="none")
    loader = [batch(0, 2, (8, 6))]
    predictions = predict_batches([model], loader, labels=BINARY, tta=tta, device=CPU, precision=torch.bfloat16)
    first = next(predictions)
    assert model.calls[-1][1:] == (True, True)
    assert not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")
    predictions.close()
    exact = predict([model], [batch(0, 2, (8, 6))])[0].probability
    assert model.calls[-1][1:] == (False, True)
    assert first.probability.dtype == np.float32
    assert 0 < np.abs(first.probability - exact).max() < 0.02


def test_models_are_evaluated_and_then_as_they_were():
    class Net(nn.Sequential):
        def forward(self, images):
            return Outputs(super().forward(images), {})

    model = Net(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1), nn.Dropout(0.5))
    model.train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    items = batch(0, 2, (8, 6))
    items["image"] = items["image"].float()
    predictions = predict_batches([model], [items], labels=BINARY, tta=TTAConfig(), device=CPU)
    next(predictions)
    assert not any(module.training for module in model.modules())
    predictions.close()
    assert [module.training for module in model] == [True, False, True]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_models_go_where_the_images_go(monkeypatch):
    moved = []
    monkeypatch.setattr(Pointwise, "to", lambda self, device: moved.append((self, device)), raising=False)
    models = [Pointwise(seed=0), Pointwise(seed=1)]
    predict(models, [batch(0, 1, (4, 4))])
    assert moved == [(model, CPU) for model in models]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("merge", ["probabilities", "logits", "vote"])
def test_outputs_that_are_no_numbers_name_the_image(bad, merge):
    class Broken(Pointwise):
        def forward(self, images):
            logits = super().forward(images).logits.clone()
            logits[images[:, :1].flatten(1).sum(1) == 0, 0, 2, 1] = bad
            return Outputs(logits, {})

    loader = [batch(0, 3, (8, 6)), batch(3, 3, (8, 6))]
    loader[1]["image"][1] = 0
    predictions = predict_batches(
        [Broken(), Pointwise()], loader, labels=BINARY, tta=TTAConfig(merge=merge), device=CPU, precision=None
    )
    assert [next(predictions).id for _ in range(3)] == ["tile_0", "tile_1", "tile_2"]
    with pytest.raises(InferenceError, match="image tile_4 is NaN or infinite"):
        next(predictions)


def test_no_models_and_unfitting_weights_are_refused():
    with pytest.raises(InferenceError, match="no model"):
        predict([], [batch(0, 1, (4, 4))])
    with pytest.raises(InferenceError, match="one for each"):
        predict([Pointwise()], [batch(0, 1, (4, 4))], weights=[1, 2])


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_real_network_predicts_odd_sizes(channels_last):
    torch.manual_seed(0)
    model = build_model(ModelConfig(encoder="mobilenet_v2", encoder_weights=None), classes=1)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    loader = [batch(0, 2, (33, 41))]
    predictions = predict([model], loader, views="flips", scales=(1.0, 1.5))
    views = []
    model.eval()
    for size in ((33, 41), (50, 62)):
        images = F.interpolate(loader[0]["image"].float(), size=size, mode="bilinear")
        for axes in ((), (-1,), (-2,), (-2, -1)):
            with torch.no_grad():
                logits = model(images.flip(axes)).logits.flip(axes)
            views.append(F.interpolate(logits, size=(33, 41), mode="bilinear", antialias=True).sigmoid())
    expected = torch.stack(views).mean(0).numpy()
    np.testing.assert_allclose(np.stack([p.probability for p in predictions]), expected, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_a_gpu_gives_what_the_cpu_gives(precision):
    torch.manual_seed(0)
    model = build_model(ModelConfig(encoder="mobilenet_v2", encoder_weights=None), classes=3)
    tta = TTAConfig(views="d4", scales=(1.0, 0.75), window=64)
    exact = list(
        predict_batches([model], [batch(0, 2, (101, 90), native=(80, 99))], labels=CLASSES, tta=tta, device=CPU)
    )
    gpu = torch.device("cuda")
    model.to(gpu, memory_format=torch.channels_last)
    loader = [batch(0, 2, (101, 90), native=(80, 99))]
    fast = list(predict_batches([model], loader, labels=CLASSES, tta=tta, device=gpu, precision=precision))
    for a, b in zip(exact, fast, strict=True):
        np.testing.assert_allclose(a.probability, b.probability, atol=1e-3 if precision is None else 5e-2)


class Seeing(Pointwise):
    """`Pointwise`, and a presence that tells left from right and which part of an image is seen."""

    def __init__(self, classes=2, seed=0):
        super().__init__(classes, seed)
        self.head = nn.Linear(3, classes)

    def forward(self, images):
        masks, columns = super().forward(images), torch.linspace(0, 1, images.shape[-1])
        seen = (images.float() / 255 * columns).amax((2, 3))
        return Outputs(masks.logits, {"deep_1": masks.logits, "presence": 4 * self.head(seen) - 1})


TWO = LabelSpec("multilabel", ("a", "b"))


def presences(models, loader, **options):
    weights = options.pop("weights", None)
    tta = TTAConfig(**{"views": "none", **options})
    found = list(predict_batches(models, loader, labels=TWO, tta=tta, weights=weights, device=CPU))
    assert all(p.presence is None or (p.presence.dtype, p.presence.shape) == (np.float32, (2,)) for p in found)
    return found


def by_hand(model, images):
    with torch.no_grad():
        return model(images).aux["presence"].double().sigmoid().numpy()


@pytest.mark.parametrize("merge", ["probabilities", "logits", "vote"])
def test_presence_is_the_mean_of_models_and_views(merge):
    loader, models = [batch(0, 2, (7, 5)), batch(2, 1, (4, 6))], [Seeing(seed=seed) for seed in range(2)]
    found = presences(models, loader, weights=[1, 3], views="flips", scales=[1.0, 2.0], merge=merge)
    expected = []
    for items in loader:
        large = F.interpolate(items["image"].float(), scale_factor=2, mode="bilinear")
        views = [x.flip(axes) for x in (items["image"].float(), large) for axes in ([], [2], [3], [2, 3])]
        expected += [*np.mean([0.25 * by_hand(models[0], v) + 0.75 * by_hand(models[1], v) for v in views], axis=0)]
    np.testing.assert_allclose(np.stack([p.presence for p in found]), np.stack(expected), atol=1e-4)
    assert np.ptp(expected) > 0.05


def test_presence_weighs_views_as_maps_do():
    loader, model = [batch(0, 2, (7, 5))], Seeing()
    images = loader[0]["image"]
    found = presences([model], loader, views="hflip", view_weights=[3, 1])
    expected = 0.75 * by_hand(model, images) + 0.25 * by_hand(model, images.flip(-1))
    np.testing.assert_allclose(np.stack([p.presence for p in found]), expected, atol=1e-6)


def test_presence_is_of_those_models_that_have_it():
    loader, model = [batch(0, 3, (7, 5))], Seeing()
    mixed = presences([Pointwise(2), model, Pointwise(2, 1)], loader, weights=[2, 1, 5])
    expected = by_hand(model, loader[0]["image"])
    np.testing.assert_allclose(np.stack([p.presence for p in mixed]), expected, atol=1e-6)
    assert all(p.presence is None for p in presences([Pointwise(2)], loader))
    assert all(p.presence is None for p in presences([Pointwise(2), model], loader, weights=[1, 0]))
    assert predict([Pointwise()], loader)[0].presence is None


def test_presence_of_an_image_is_the_largest_of_its_windows():
    loader, model = [batch(0, 2, (40, 70))], Seeing()
    found = presences([model], loader, window=32, overlap=0.0, weights=None)
    windows = [loader[0]["image"][..., y : y + 32, x : x + 32] for y in (0, 8) for x in (0, 19, 38)]
    each = np.stack([by_hand(model, window) for window in windows])
    np.testing.assert_allclose(np.stack([p.presence for p in found]), each.max(0), atol=1e-6)
    assert (each.argmax(0) != each.argmax(0)[0, 0]).any(), "not one window for all"
    whole = presences([model], loader, window=128)
    np.testing.assert_allclose(np.stack([p.presence for p in whole]), by_hand(model, loader[0]["image"]), atol=1e-6)


def test_a_presence_that_is_no_number_is_refused():
    model = Seeing()
    with torch.no_grad():
        model.head.bias.fill_(float("nan"))
    with pytest.raises(InferenceError, match="image tile_0 is NaN or infinite"):
        presences([model], [batch(0, 2, (6, 9))])


class Dropping(Seeing):
    """`Seeing`, of whose presence dropout leaves 0 or twice the logit."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        logits, aux = super().forward(images)
        return Outputs(logits, {**aux, "presence": self.dropout(aux["presence"])})


def test_presence_is_the_mean_of_passes_with_dropout():
    model, loader = Dropping(), [batch(0, 5, (7, 5))]
    found = np.stack([p.presence for p in presences([model], loader, dropout_passes=4)])
    with torch.no_grad():
        dropped = (2 * model.eval()(loader[0]["image"]).aux["presence"]).sigmoid().numpy()
    kept = 4 * (found - 0.5) / (dropped - 0.5)
    np.testing.assert_allclose(kept, kept.round(), atol=1e-3)
    assert len(np.unique(kept.round())) > 2
