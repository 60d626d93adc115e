"""A variational autoencoder trained with nothing but tensors, layers and an optimizer.

    python examples/train_a_vae_by_hand.py [STEPS] [PICTURE]

What `minigen train vae` does with logs, checkpoints and evaluation around it, on one page: the
digits that come inside the package, the loss from `minigen/models/vae.py`, Adam, and a picture
of samples at the end.
"""

import sys

import minigen as mg
from minigen import plots
from minigen.data import Batches, load
from minigen.models.vae import VAE


def train(steps: int, seed: int = 0) -> tuple[VAE, list[float]]:
    """The trained model, and the negative bound of every step in nats per image."""
    mg.manual_seed(seed)  # the initial weights
    random = mg.Generator(seed)  # ε of the reparameterisation
    model = VAE(in_features=64, hidden=(512, 256), latent=8)
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)
    batches = Batches(load("digits", "train"), 128, seed=seed, binarization="dynamic")
    history = []
    for _ in range(steps):
        x = mg.tensor(next(batches).x)  # (128, 1, 8, 8), every pixel 0 or 1
        loss, _ = model.loss(x, random)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return model, history


def main() -> None:
    """Train, say how far it got, draw samples."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    picture = sys.argv[2] if len(sys.argv) > 2 else "digits.png"
    model, history = train(steps)
    tail = history[-50:]
    print(f"negative bound: {history[0]:.1f} -> {sum(tail) / len(tail):.1f} nats per image")
    with mg.no_grad():
        samples = model.sample(100, mg.Generator(1)).numpy().reshape(-1, 1, 8, 8)
    plots.save_grid(picture, samples, title="100 samples")
    print(f"wrote {picture}")


if __name__ == "__main__":
    main()
