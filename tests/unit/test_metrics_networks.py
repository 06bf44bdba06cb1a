"""Measures through networks, with tiny ones of random weights in files: right numbers, or one line at once."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm

from hsx import metrics
from hsx.errors import HsxError
from hsx.io.images import to_picture
from hsx.metrics.networks import network
from hsx.testing import check_metric

timm = pytest.importorskip("timm")
pytest.importorskip("torchvision")

NAMES = ("test_vit", "test_resnet")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """NAME@FILE of two networks of timm and of torchvision's AlexNet, with random weights."""
    import torchvision

    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules = {name: timm.create_model(name) for name in NAMES}
        alex = {f"features.{name}": value for name, value in torchvision.models.AlexNet().features.state_dict().items()}
    for name, module in modules.items():
        torch.save(module.state_dict(), folder / f"{name}.pth")
    torch.save(alex, folder / "alex.pth")
    return {name: f"{name}@{folder / name}.pth" for name in (*NAMES, "alex")}


@pytest.fixture
def pictures():
    """Smooth, (4, 3, 32, 32)."""
    coarse = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(1)) * 1.8 - 0.9
    return F.interpolate(coarse, size=32, mode="bilinear")


def noisy(images, much):
    return (images + much * torch.randn(images.shape, generator=torch.Generator().manual_seed(2))).clamp(-1, 1)


CASES = [
    ("SelfSimilarity", "test_vit"),
    ("Gram", "test_vit"),
    ("Moments", "test_vit"),
    ("StyleDescriptor", "test_vit"),
    ("LPIPS", "alex"),
    ("LPIPS", "test_resnet"),
    ("TruthLPIPS", "alex"),
]


@pytest.mark.parametrize("name, of", CASES)
def test_the_contract_and_the_order_of_corruptions(name, of, files, pictures):
    metric = getattr(metrics, name)(files[of])
    check_metric(metric)
    same, *worse = (float(metric.each(noisy(pictures, much), pictures).mean()) for much in (0, 0.1, 0.3, 1.0))
    assert same == pytest.approx(1 if metric.higher_is_better else 0, abs=1e-5)
    sign = 1 if metric.higher_is_better else -1
    assert sign * same > sign * worse[0] > sign * worse[1] > sign * worse[2]


def test_pictures_are_given_to_a_network_as_it_was_trained(files, pictures):
    found = network(files["test_resnet"])
    module = timm.create_model("test_resnet", num_classes=0, checkpoint_path="").eval()
    state = torch.load(files["test_resnet"].partition("@")[2], weights_only=True)
    module.load_state_dict(state, strict=False)
    config = timm.data.resolve_model_data_config(module)
    x = F.interpolate(pictures, config["input_size"][-2:], mode="bicubic", antialias=True).clamp(-1, 1) / 2 + 0.5
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(found.vector(pictures), module((x - mean) / std))
    assert found is network(files["test_resnet"])
    sent = pickle.dumps(metrics.Gram(files["test_resnet"]))
    assert len(sent) < 5000 and pickle.loads(sent).network is found


def test_features_against_numpy(files, pictures):
    """Gram matrices, moments and self-similarities, each written anew."""
    one, two = pictures[:2], pictures[2:]
    for of in NAMES:
        stages = [[m.double().numpy() for m in network(files[of]).maps(images)] for images in (one, two)]
        gram, moments = [], []
        for a, b in zip(*stages, strict=True):
            n = a.shape[2] * a.shape[3]
            grams = [np.einsum("bchw,bdhw->bcd", m, m) for m in (a, b)]  # Gatys' G and A
            gram.append(((grams[0] - grams[1]) ** 2).sum((1, 2)) / (4 * a.shape[1] ** 2 * n**2))  # eq. 4
            apart = [np.sqrt(((f(a, (2, 3)) - f(b, (2, 3))) ** 2).sum(1)) for f in (np.mean, np.std)]
            moments.append(apart[0] + apart[1])
        np.testing.assert_allclose(metrics.Gram(files[of]).each(one, two), np.mean(gram, 0), rtol=1e-3)
        np.testing.assert_allclose(metrics.Moments(files[of]).each(one, two), np.mean(moments, 0), rtol=1e-3)
        cosines = []
        for stage in stages:
            patches = stage[-1].reshape(2, stage[-1].shape[1], -1)
            norms = np.linalg.norm(patches, axis=1)
            cosines.append(np.einsum("bcn,bcm->bnm", patches, patches) / norms[:, :, None] / norms[:, None])
        expected = np.abs(cosines[0] - cosines[1]).mean((1, 2))
        np.testing.assert_allclose(metrics.SelfSimilarity(files[of]).each(one, two), expected, rtol=1e-3, atol=1e-6)


def test_lpips_is_torchmetrics_own_with_the_same_weights(files, pictures):
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    large, other = (F.interpolate(images, size=80, mode="bilinear") for images in (pictures, noisy(pictures, 0.3)))
    own = _NoTrainLpips(net="alex", pnet_rand=True)
    state = torch.load(files["alex"].partition("@")[2], weights_only=True)
    for slice_ in (own.net.slice1, own.net.slice2, own.net.slice3, own.net.slice4, own.net.slice5):
        for number, layer in slice_.named_children():
            layer.load_state_dict({k.split(".")[2]: v for k, v in state.items() if k.startswith(f"features.{number}.")})
    with torch.no_grad():
        torch.testing.assert_close(metrics.LPIPS(files["alex"]).each(large, other), own(large, other).flatten())


@pytest.mark.parametrize("name", ["FID", "KID"])
def test_realism(name, files, pictures, tmp_path):
    cls = getattr(metrics, name)
    check_metric(cls(files["test_resnet"]))

    def measured(result, style, metric):
        for one, other in zip(result, style, strict=True):
            metric.update(one[None], other[None])
        return float(metric.compute())

    again, results = pictures.repeat(3, 1, 1, 1), torch.cat([noisy(pictures, 0.5)] * 3)
    several = measured(results[:4], pictures, cls(files["test_resnet"]))
    assert measured(results[:4], pictures.flip(0), cls(files["test_resnet"])) == pytest.approx(several, rel=1e-3)
    same = measured(pictures, pictures, cls(files["test_resnet"]))
    assert same < several
    for i, picture in enumerate(pictures):
        to_picture(picture).save(tmp_path / f"{i}.png")
    of_folder = cls(files["test_resnet"], reference=str(tmp_path))
    folder = measured(results, torch.zeros_like(results), of_folder)
    assert folder == pytest.approx(measured(results, again, cls(files["test_resnet"])), rel=0.02)  # styles count once


def test_fid_is_the_formula(files, pictures):
    results, metric = noisy(pictures, 0.5), metrics.FID(files["test_resnet"])
    metric.update(results, pictures)
    f, g = (network(files["test_resnet"]).vector(images).double().numpy() for images in (results, pictures))
    apart, (s, t) = f.mean(0) - g.mean(0), (np.cov(x, rowvar=False) for x in (f, g))
    expected = apart @ apart + np.trace(s) + np.trace(t) - 2 * np.trace(np.real(sqrtm(s @ t)))
    assert float(metric.compute()) == pytest.approx(expected, rel=0.01)


def test_kid_is_the_formula(files, pictures):
    results, metric = noisy(pictures, 0.5), metrics.KID(files["test_resnet"])
    metric.update(results, pictures)
    f, g = (network(files["test_resnet"]).vector(images).double() for images in (results, pictures))
    within = [((x @ x.T / f.shape[1] + 1) ** 3) for x in (f, g)]
    across = (f @ g.T / f.shape[1] + 1) ** 3
    m = len(f)
    expected = sum((k.sum() - k.trace()) / (m * (m - 1)) for k in within) - 2 * across.mean()
    assert float(metric.compute()) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.slow
def test_fid_through_inception_with_a_file_of_weights(tmp_path, pictures):
    """Read as data alone, and given on to torch-fidelity; its numbers are torchmetrics'."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3

    bare = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {})
        bare.__init__("inception-v3-compat", ["2048"])
    torch.save(bare.state_dict(), tmp_path / "inception.pth")
    metric = metrics.FID(f"inception@{tmp_path / 'inception.pth'}")
    metric.update(noisy(pictures, 0.5), pictures)
    module = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(tmp_path / "inception.pth"))
    own = FrechetInceptionDistance(module)
    for images, real in ((noisy(pictures, 0.5), False), (pictures, True)):
        own.update(images.add(1).mul(127.5).round().byte(), real=real)
    assert float(metric.compute()) == pytest.approx(float(own.compute()), rel=1e-2)


def test_what_cannot_be_had_is_one_line_at_once(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", unreachable)
    vit, resnet = (files[name].partition("@")[2] for name in NAMES)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(print))
    (tmp_path / "empty").mkdir()
    said = {
        (metrics.SelfSimilarity, "test_vit"): "test_vit: expected weights that are here or can be fetched",
        (metrics.LPIPS, "vgg"): "vgg: expected weights that are here or can be fetched",
        (metrics.FID, "inception"): "name it: inception@FILE",
        (metrics.Gram, "nothing_like_it"): "expected a name of timm's, got nothing_like_it",
        (metrics.Gram, "test_vit@nowhere.pth"): "found none at nowhere.pth",
        (metrics.Gram, "@x"): "expected NAME or NAME@FILE, got '@x'",
        (metrics.Gram, f"test_resnet@{vit}"): "expected all weights of test_resnet, the file lacks",
        (metrics.LPIPS, f"alex@{resnet}"): "expected torchvision's weights of alex",
        (metrics.Gram, f"test_vit@{tmp_path / 'evil.pth'}"): "as safetensors or tensors of torch.save, could not read",
        (metrics.StyleDescriptor, ""): "StyleDescriptor: expected a network taught to tell styles, got none",
    }
    for (cls, name), wanted in said.items():
        with pytest.raises(HsxError) as caught:
            cls(name)
        assert wanted in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(HsxError, match="reference: expected a folder of pictures, found none in "):
        metrics.FID(files["test_vit"], reference=str(tmp_path / "empty"))
    few = metrics.FID(files["test_vit"])
    few.update(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))
    with pytest.raises(HsxError, match="FID: expected 2 results or more, got 1; measure more pairs"):
        few.compute()


def unreachable(*_, **__):
    raise OSError("no such\nplace")


BOTH = {"Palette": None, "Look": None, "Gram": "test_vit", "FID": "test_vit", "KID": "test_vit"}


def taken_in(name, files, pictures, rows):
    """A measure that has taken in some rows of noisy pictures."""
    metric = getattr(metrics, name)(*[files[BOTH[name]]] * bool(BOTH[name]))
    metric.update(noisy(pictures, 0.5)[rows], *[pictures[rows]] * (len(metric.takes) - 1))
    return metric


def half(rank, meeting, files, pictures, found):
    """One of two processes, with a part of the rows."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    rows = slice(1) if rank else slice(1, 4)
    found[rank] = {name: float(taken_in(name, files, pictures, rows).compute()) for name in BOTH}
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_compute_what_one_does(files, pictures, tmp_path):
    with torch.multiprocessing.get_context("spawn").Manager() as manager:
        found = manager.dict()
        torch.multiprocessing.spawn(half, (str(tmp_path / "meet"), files, pictures, found), nprocs=2)
        one, two = found[0], found[1]
    whole = {name: float(taken_in(name, files, pictures, slice(4)).compute()) for name in BOTH}
    assert one == two == pytest.approx(whole, rel=1e-3)
