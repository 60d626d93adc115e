"""Fail unless a run's folder holds the pictures that a VAE leaves, and each shows something.

python .ci/pictures.py runs/vae
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

EXPECTED = ["loss.png", "samples.png", "reconstructions.png", "interpolation.png"]


def fault(path: Path) -> str | None:
    """What is wrong with the picture, in a few words; None if it shows something."""
    if not path.exists():
        return "is missing"
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    if len(colours) < 8:
        return f"has {len(colours)} colours only"
    if counts.max() > 0.99 * len(pixels):
        return "is blank but for one pixel in a hundred"
    return None


def main(folder: Path) -> int:
    """Look at all pictures of the folder."""
    paths = {folder / name for name in EXPECTED} | set(folder.glob("*.png"))
    faults = [f"{path} {found}" for path in sorted(paths) if (found := fault(path))]
    print("\n".join(faults) if faults else f"{len(paths)} pictures in {folder} show something")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
