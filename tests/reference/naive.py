"""The method written straight from its formulas: one sample, plain loops, numbers in Python.

Shares nothing with hsx but the network's ``encode`` and ``decode``, called with a batch of one.
"""

import dataclasses
import math

import torch


def alpha_bars(n=1000, start=1e-4, end=0.02):
    """alpha-bar by a running product."""
    product, values = 1.0, []
    for i in range(n):
        product *= 1 - (start + (end - start) * i / (n - 1))
        values.append(product)
    return values


ABAR = alpha_bars()


def abar(t):
    return 1.0 if t == -1 else ABAR[t]


def times(n, last):
    return [int(k / (n - 1) * last + 1e-6) for k in range(n)]


def lam(t):
    """ln(alpha / sigma)"""
    return math.log(math.sqrt(abar(t)) / math.sqrt(1 - abar(t)))


def spaced_mixed(n, first, last, share):
    """Evenly spaced in (1 - share) t + share (-lambda), each scaled to its range."""

    def place(t):
        even, by_lambda = (t - first) / (last - first), (lam(t) - lam(first)) / (lam(last) - lam(first))
        return (1 - share) * even + share * by_lambda

    found = []
    for k in range(n):
        t = first
        while t < last - 1 and place(t + 1) < k / (n - 1):
            t += 1
        found.append(round(t + (k / (n - 1) - place(t)) / (place(t + 1) - place(t))))
    return found


def spaced_split(n, hi, last):
    return times(3, hi) + spaced_mixed(n - 2, hi, last, 0.75)[1:]


def solve(kind, x, x0, eps, t, nxt, past):
    """x at ``nxt``; ``past`` is None, or x0, eps and t of the step before."""
    alpha, sigma = math.sqrt(abar(nxt)), math.sqrt(1 - abar(nxt))
    if kind == "ddim" or past is None or nxt == -1:
        return alpha * x0 + sigma * eps
    a, s = math.sqrt(abar(t)), math.sqrt(1 - abar(t))
    x0_p, eps_p, t_p = past
    if kind == "2m":
        w = (lam(nxt) - lam(t)) / (2 * (lam(t) - lam(t_p)))
        d = x0 + w * (x0 - x0_p)
        return alpha * d + sigma * (x - a * d) / s
    phi, phi_next, phi_p = (math.atan2(math.sqrt(1 - abar(u)), math.sqrt(abar(u))) for u in (t, nxt, t_p))
    delta, v, v_p = phi_next - phi, a * eps - s * x0, a * eps_p - s * x0_p
    return math.cos(delta) * x + math.sin(delta) * (v + delta / (2 * (phi - phi_p)) * (v - v_p))


def x0_of(x, eps, t):
    return (x - math.sqrt(1 - abar(t)) * eps) / math.sqrt(abar(t))


def encode(net, x, t):
    return net.encode(x[None], torch.tensor([t]))


def feature(b, site):
    """h, or of the skips the one at this place."""
    return b.h[0] if site == "h" else b.skips[site][0]


def invert(net, x, seq, solver="ddim", looks=0):
    """x at the last of these timesteps, and by timestep what passes from E to D.

    With ``looks`` each step up ends at the x' from which DDIM's step down leads to x: x' = f(eps(x')), so often anew.
    """
    bs, past = {}, None
    b = bs[seq[0]] = encode(net, x, seq[0])
    eps = net.decode(b)[0]
    for t, nxt in zip(seq, seq[1:], strict=False):
        if looks:
            a, s, alpha, sigma = (math.sqrt(one) for u in (t, nxt) for one in (abar(u), 1 - abar(u)))
            for _ in range(looks):
                b = bs[nxt] = encode(net, alpha * (x - s * eps) / a + sigma * eps, nxt)
                eps = net.decode(b)[0]
            x = alpha * (x - s * eps) / a + sigma * eps
            continue
        x0 = x0_of(x, eps, t)
        x, past = solve(solver, x, x0, eps, t, nxt, past), (x0, eps, t)
        if nxt != seq[-1]:
            b = bs[nxt] = encode(net, x, nxt)
            eps = net.decode(b)[0]
    return x, bs


def nearest(bs, t):
    best = None
    for s in sorted(bs):
        if best is None or abs(s - t) <= abs(best - t):
            best = s
    return bs[best]


def frobenius(c, h):
    return c * (math.sqrt(float((h**2).sum())) / math.sqrt(float((c**2).sum())))


def moments(c, h):
    out = torch.empty_like(c)
    for i in range(len(c)):
        deviation = math.sqrt(float(((c[i] - c[i].mean()) ** 2).mean()))
        wanted = math.sqrt(float(((h[i] - h[i].mean()) ** 2).mean()))
        out[i] = (c[i] - c[i].mean()) / deviation * wanted + h[i].mean()
    return out


def slerp(a, b, w):
    cosine = float((a * b).sum()) / math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    theta = math.acos(max(-1.0, min(1.0, cosine)))
    return math.sin((1 - w) * theta) / math.sin(theta) * a + math.sin(w * theta) / math.sin(theta) * b


def slerp_inside(h, c, w, m):
    """The angle is that of the two inside the mask m."""
    cosine = float(((h * m) * (c * m)).sum() / ((h * m).norm() * (c * m).norm()))
    theta = math.acos(cosine)
    inside = math.sin((1 - w) * theta) / math.sin(theta) * h + math.sin(w * theta) / math.sin(theta) * c
    return m * inside + (1 - m) * h


def pooled(mask, side):
    """A mask (1, R, R) at image size to the grid of a site, by the mean over each cell."""
    step = mask.shape[-1] // side
    cells = torch.empty(1, side, side, dtype=mask.dtype)
    for i in range(side):
        for j in range(side):
            cells[0, i, j] = mask[0, i * step : (i + 1) * step, j * step : (j + 1) * step].mean()
    return cells


def transfer(
    net,
    content,
    style,
    *,
    gamma,
    omega=0.0,
    norm=frobenius,
    inversion=8,
    generation=8,
    injections=None,
    last=999,
    t_edit=400,
    t_boost=0,
    draws=(),
    mask=None,
    dt_lambda=1.0,
    dt_end=950,
    sites=(("h", 1.0),),
    renoised=False,
    grid=None,
    solver="ddim",
    looks=0,
    same_as=None,
    style_first=False,
):
    """One content and one style image (3, R, R); ``draws`` are the noises in the order in which they are used.

    ``sites`` are pairs of h, or the place of a skip, and its factor of gamma; with ``renoised`` the content is not
    inverted but put where the style is, with the noise that the style's own process predicts.  ``grid`` stands for the
    timesteps of both ways.  ``same_as`` so many injections, each changes x_0 as much as those of them do for which it
    stands; with ``style_first`` the direction is the style's own at the first injection alone.
    """
    up, seq = grid or times(inversion, last), grid or times(generation, last)
    recorded = None if renoised else invert(net, content, up, solver, looks)[1]
    x, _ = invert(net, style, up, solver, looks)
    draws, past, begun = list(draws), None, False
    if injections is None:
        injections = seq
    for k in reversed(range(len(seq))):
        t, nxt = seq[k], seq[k - 1] if k else -1
        b = encode(net, x, t)
        eps = net.decode(b)[0]
        mixed = eps
        injecting = t in injections and t >= t_edit and gamma > 0
        if injecting:
            if renoised:
                given = encode(net, math.sqrt(abar(t)) * content + math.sqrt(1 - abar(t)) * eps, t)
            else:
                given = nearest(recorded, t)
            h, skips = b.h, list(b.skips)
            for site, factor in sites:
                own = feature(b, site)
                c = norm(feature(given, site), own)
                if mask is None:
                    own = slerp(own, c, factor * gamma)
                else:
                    own = slerp_inside(own, c, factor * gamma, pooled(mask, own.shape[-1]))
                if site == "h":
                    h = own[None]
                else:
                    skips[site] = own[None]
            mixed = net.decode(dataclasses.replace(b, h=h, skips=tuple(skips)))[0]
        if injecting and same_as:
            lower = max([u for u in injections if u < t], default=-1)
            stands_for = 0
            for u in times(same_as, 999):
                if lower < u <= t and u >= t_edit:
                    stands_for += 1
            mixed = eps + stands_for * (mixed - eps)
        if injecting and style_first and begun:
            eps = mixed
        begun = begun or injecting
        if injecting and omega:
            p, q = x0_of(x, eps, t), x0_of(x, mixed, t)
            q = q.mean() + (q - q.mean()) * (p.std() / q.std())
            x = x + math.sqrt(abar(t)) * (q - p) + omega * math.sqrt(1 - abar(t)) * (mixed - eps)
            eps = mixed = net.decode(encode(net, x, t))[0]
        x0 = x0_of(x, mixed, t)
        if t in injections and dt_lambda != 1 and t >= dt_end and not omega:
            x = math.sqrt(abar(nxt)) * x0 + dt_lambda * math.sqrt(1 - abar(nxt)) * eps
            past = None
        elif t in injections and 0 < t <= t_boost:
            c1 = math.sqrt((1 - abar(t) / abar(nxt)) * (1 - abar(nxt)) / (1 - abar(t)))
            c2 = math.sqrt(1 - abar(nxt) - c1**2)
            x = math.sqrt(abar(nxt)) * x0 + c2 * eps + c1 * draws.pop(0)
            past = None
        elif injecting:
            x = math.sqrt(abar(nxt)) * x0 + math.sqrt(1 - abar(nxt)) * eps
            past = None
        else:
            x, past = solve(solver, x, x0, eps, t, nxt, past), (x0, eps, t)
    return x
