"""Gradients of gradients: what `create_graph=True` gives, on three small problems.

    python examples/gradients_of_gradients.py

1. Newton's method for √2, with the second derivative from the tape.
2. A Hessian-vector product, without ever forming the Hessian.
3. The gradient penalty of WGAN-GP (Gulrajani et al. 2017, equation 3), and its gradient.
"""

import minigen as mg


def newton_square_root(steps: int = 6) -> float:
    """Minimise (x² - 2)²/4 by x ← x - f'(x)/f''(x); converges to √2."""
    x = mg.tensor(1.0, dtype="float64")
    for _ in range(steps):
        x = x.detach().requires_grad_()
        f = (x**2 - 2) ** 2 * 0.25
        (slope,) = mg.grad(f, x, create_graph=True)
        (curvature,) = mg.grad(slope, x)
        x = x.detach() - slope.detach() / curvature
    return x.item()


def hessian_vector_product() -> tuple[mg.Tensor, mg.Tensor]:
    """For f(x) = ½ xᵀA x with symmetric A the Hessian is A: (∂/∂x)(∇f · v) against A v."""
    generator = mg.Generator(0)
    root = generator.normal(4, 4, dtype="float64")
    a = root @ root.mT
    x = generator.normal(4, dtype="float64").requires_grad_()
    v = generator.normal(4, dtype="float64")
    f = 0.5 * (x * (a @ x)).sum()
    (gradient,) = mg.grad(f, x, create_graph=True)
    (product,) = mg.grad((gradient * v).sum(), x)
    return product, a @ v


def gradient_penalty() -> tuple[float, float]:
    """E[(‖∇ₓ D(x)‖ - 1)²] of a small critic, before and after 200 steps on it alone."""
    generator = mg.Generator(0)
    critic = mg.nn.Sequential(
        mg.nn.Linear(2, 32, generator=generator),
        mg.nn.Tanh(),
        mg.nn.Linear(32, 1, generator=generator),
    )
    optimizer = mg.optim.Adam(critic.parameters(), lr=1e-2)
    history = []
    for _ in range(200):
        x = generator.normal(64, 2).requires_grad_()
        (slope,) = mg.grad(critic(x).sum(), x, create_graph=True)  # (64, 2)
        penalty = ((mg.norm(slope, dim=1) - 1) ** 2).mean()
        optimizer.zero_grad()
        penalty.backward()  # differentiates through the gradient above
        optimizer.step()
        history.append(penalty.item())
    return history[0], history[-1]


def main() -> None:
    """Print the three results."""
    print(f"Newton's √2: {newton_square_root():.12f}")
    product, expected = hessian_vector_product()
    print(f"Hessian-vector product off by {(product - expected).abs().amax().item():.1e}")
    before, after = gradient_penalty()
    print(f"gradient penalty {before:.3f} -> {after:.5f}")


if __name__ == "__main__":
    main()
