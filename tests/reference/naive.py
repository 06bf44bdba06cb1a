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


def x0_of(x, eps, t):
    return (x - math.sqrt(1 - abar(t)) * eps) / math.sqrt(abar(t))


def encode(net, x, t):
    return net.encode(x[None], torch.tensor([t]))


def feature(b, site):
    """h, or of the skips the one at this place."""
    return b.h[0] if site == "h" else b.skips[site][0]


def invert(net, x, n, last):
    """x at ``last``, and by timestep what passes from E to D."""
    bs, seq = {}, times(n, last)
    for k in range(n - 1):
        b = bs[seq[k]] = encode(net, x, seq[k])
        eps = net.decode(b)[0]
        x = math.sqrt(abar(seq[k + 1])) * x0_of(x, eps, seq[k]) + math.sqrt(1 - abar(seq[k + 1])) * eps
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
):
    """One content and one style image (3, R, R); ``draws`` are the noises in the order in which they are used.

    ``sites`` are pairs of h, or the place of a skip, and its factor of gamma; with ``renoised`` the content is not
    inverted but put where the style is, with the noise that the style's own process predicts.
    """
    recorded = None if renoised else invert(net, content, inversion, last)[1]
    x, _ = invert(net, style, inversion, last)
    draws, seq = list(draws), times(generation, last)
    if injections is None:
        injections = seq
    for k in reversed(range(generation)):
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
        if injecting and omega:
            p, q = x0_of(x, eps, t), x0_of(x, mixed, t)
            q = q.mean() + (q - q.mean()) * (p.std() / q.std())
            x = x + math.sqrt(abar(t)) * (q - p) + omega * math.sqrt(1 - abar(t)) * (mixed - eps)
            eps = mixed = net.decode(encode(net, x, t))[0]
        x0 = x0_of(x, mixed, t)
        if t in injections and dt_lambda != 1 and t >= dt_end and not omega:
            x = math.sqrt(abar(nxt)) * x0 + dt_lambda * math.sqrt(1 - abar(nxt)) * eps
        elif t in injections and 0 < t <= t_boost:
            c1 = math.sqrt((1 - abar(t) / abar(nxt)) * (1 - abar(nxt)) / (1 - abar(t)))
            c2 = math.sqrt(1 - abar(nxt) - c1**2)
            x = math.sqrt(abar(nxt)) * x0 + c2 * eps + c1 * draws.pop(0)
        else:
            x = math.sqrt(abar(nxt)) * x0 + math.sqrt(1 - abar(nxt)) * eps
    return x
