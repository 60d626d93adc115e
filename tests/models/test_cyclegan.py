"""Sizes of the networks, the losses' formulas, and what the pool keeps and hands out."""

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.backends.strict import count_transfers
from minigen.errors import UserError
from minigen.models.cyclegan import (
    ImagePool,
    PatchDiscriminator,
    ResNetGenerator,
    discriminator_loss,
    fooled,
    l1,
    patch_size,
)


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (28, 28), (31, 30), (32, 32)])
def test_a_generator_keeps_the_size_and_changes_the_channels(
    size: tuple[int, int], backend: object
) -> None:
    network = ResNetGenerator(size, (1, 3), 2, 1)
    with mg.no_grad():
        y = network(mg.randn(2, 1, *size)).numpy()
    assert y.shape == (2, 3, *size)
    assert np.abs(y).max() <= 1
    with pytest.raises(ValueError, match=r"images must have shape \(N, 1, "):
        network(mg.zeros(2, 3, *size))


def test_a_generator_has_the_layers_of_the_paper() -> None:
    network = ResNetGenerator((28, 28), (1, 3), 4, 2)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions]
    assert shapes == [
        (1, 4, 7, 1), (4, 8, 3, 2), (8, 16, 3, 2), *[(16, 16, 3, 1)] * 4,
        (16, 8, 3, 2), (8, 4, 3, 2), (4, 3, 7, 1),
    ]  # fmt: skip
    assert sum(isinstance(m, nn.InstanceNorm2d) for m in network.modules()) == len(convolutions) - 1
    assert all(
        m.padding_mode == "reflect"
        for m in convolutions
        if isinstance(m, nn.Conv2d) and m.stride == (1, 1)
    )
    weights = np.concatenate([m.weight.numpy().reshape(-1) for m in convolutions])
    assert weights.std() == pytest.approx(0.02, rel=0.05)


def test_images_of_a_batch_do_not_mix() -> None:
    network = ResNetGenerator((12, 12), (1, 1), 3, 1)
    x, y = mg.randn(2, 1, 12, 12), 5.0 * mg.randn(3, 1, 12, 12)
    with mg.no_grad():
        together = network(mg.cat([x, y])).numpy()
        apart = np.concatenate([network(x).numpy(), network(y).numpy()])
    np.testing.assert_allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize(("depth", "expected"), [(1, 16), (2, 34), (3, 70)])
def test_a_verdict_sees_a_patch_of_the_stated_size(depth: int, expected: int) -> None:
    """Without the norm, which looks at the whole image: the places with a gradient."""
    network = PatchDiscriminator(1, 2, depth)
    kept = [
        layer for layer in network.layers.children() if not isinstance(layer, nn.InstanceNorm2d)
    ]
    x = mg.rand(1, 1, 104, 104).requires_grad_()
    verdicts = nn.Sequential(*kept)(x)
    middle = verdicts.shape[2] // 2
    verdicts[0, 0, middle, middle].backward()
    rows, columns = np.nonzero(x.grad.numpy()[0, 0])
    assert patch_size(depth) == expected
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == expected


def test_verdicts_of_28_pixels_are_a_map() -> None:
    assert PatchDiscriminator(1, 2, 1)(mg.zeros(2, 1, 28, 28)).shape == (2, 1, 12, 12)
    assert PatchDiscriminator(3, 2, 2)(mg.zeros(2, 3, 28, 28)).shape == (2, 1, 5, 5)


def test_the_losses_are_their_formulas(backend: object) -> None:
    random = np.random.default_rng(0)
    d, f = random.normal(size=(3, 1, 2, 2)), random.normal(size=(3, 1, 2, 2))
    real, fake = mg.tensor(d), mg.tensor(f)
    assert fooled(fake).item() == pytest.approx(((f - 1) ** 2).mean())
    assert discriminator_loss(real, fake).item() == pytest.approx(
        ((d - 1) ** 2).mean() / 2 + (f**2).mean() / 2
    )
    assert l1(real, fake).item() == pytest.approx(np.abs(d - f).mean())


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size must be \(H, W\), each at least 8, got \(7, 28\)"):
        ResNetGenerator((7, 28))
    with pytest.raises(ValueError, match="capacity must be an integer ≥ 0, got -1"):
        ImagePool(-1)


# ---------------------------------------------------------------- the pool


def numbered(first: int, count: int) -> mg.Tensor:
    """Images that are all one number, so that one knows them again: (count, 1, 2, 2)."""
    return mg.tensor(
        np.arange(first, first + count, dtype=np.float32)[:, None, None, None]
        * np.ones((1, 1, 2, 2), np.float32)
    )


def numbers(images: mg.Tensor) -> list[int]:
    return [int(x) for x in images.numpy()[:, 0, 0, 0]]


def test_until_it_is_full_the_pool_hands_out_what_came(backend: object) -> None:
    pool, random = ImagePool(10), mg.Generator(0)
    before = random.state()
    for first in (1, 5, 9):
        count = 2 if first == 9 else 4
        assert numbers(pool.query(numbered(first, count), random)) == list(
            range(first, first + count)
        )
    assert random.state() == before
    assert pool.count == 10


def test_a_full_pool_hands_out_an_old_image_half_of_the_time(backend: object) -> None:
    pool, random = ImagePool(50), mg.Generator(1)
    pool.query(numbered(0, 50), random)
    old = total = 0
    for first in range(50, 4050, 8):
        came = numbered(first, 8)
        out = numbers(pool.query(came, random))
        fresh = [x >= first for x in out]
        assert all(x == y for x, y, is_new in zip(out, range(first, first + 8), fresh) if is_new)
        old += fresh.count(False)
        total += 8
    assert old / total == pytest.approx(0.5, abs=0.035)  # 4.4 deviations of 4,000 coins


def test_no_image_is_lost_and_none_is_handed_out_twice() -> None:
    pool, random = ImagePool(7), mg.Generator(2)
    seen: list[int] = numbers(pool.query(numbered(0, 7), random))
    seen = []  # the first seven are in the pool as well
    for first in range(7, 207, 5):
        seen += numbers(pool.query(numbered(first, 5), random))
    assert pool.images is not None
    assert sorted(seen + numbers(pool.images)) == list(range(207))


def test_the_state_of_a_pool_stays_as_it_was_when_the_pool_goes_on() -> None:
    pool, random = ImagePool(3), mg.Generator(3)
    pool.query(numbered(0, 3), random)
    state = pool.state()
    pool.query(numbered(10, 30), random)
    assert state["images"][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_a_batch_larger_than_the_pool_goes_through_in_parts() -> None:
    pool, random = ImagePool(3), mg.Generator(3)
    first = numbers(pool.query(numbered(0, 10), random))
    assert first[:3] == [0, 1, 2]
    assert len(first) == 10
    assert pool.images is not None
    assert set(first) | set(numbers(pool.images)) == set(range(10))


def test_a_pool_of_nothing_hands_out_what_came() -> None:
    pool = ImagePool(0)
    assert numbers(pool.query(numbered(3, 4), mg.Generator(0))) == [3, 4, 5, 6]
    assert numbers(pool.query(numbered(0, 1), mg.Generator(0))) == [0]


def test_the_pool_shares_no_memory_with_what_comes_and_goes() -> None:
    pool, random = ImagePool(4), mg.Generator(0)
    for first in (0, 4, 8, 12):
        came = numbered(first, 4).requires_grad_()
        out = pool.query(came, random)
        assert pool.images is not None
        assert not out.requires_grad
        assert not np.shares_memory(out.data, came.data)
        assert not np.shares_memory(pool.images.data, came.data)
        assert not np.shares_memory(pool.images.data, out.data)


def test_a_pool_goes_on_from_its_state(backend: object) -> None:
    pool, random = ImagePool(6), mg.Generator(0)
    for count in (4, 4, 4):
        pool.query(numbered(0, count), random)
        copy, other = ImagePool(6), mg.Generator(9)
        copy.load_state(pool.state())
        other.load_state(random.state())
        expected, got = (p.query(numbered(50, 5), r) for p, r in ((pool, random), (copy, other)))
        assert numbers(expected) == numbers(got)
        assert copy.state()["count"] == pool.state()["count"]
    with pytest.raises(UserError, match="pool has a capacity of 5, the state one of 6"):
        ImagePool(5).load_state(pool.state())
    fresh = ImagePool(6)
    fresh.load_state(ImagePool(6).state())
    assert (fresh.count, fresh.images) == (0, None)


def test_nothing_of_the_pool_comes_to_the_host() -> None:
    with mg.use("strict"):
        pool, random = ImagePool(6), mg.Generator(0)
        images = numbered(0, 4)
        pool.query(images, random)
        with count_transfers() as transfers:
            pool.query(images, random)
            pool.query(images, random)
        assert transfers.total == 0
