"""hsx: content in another style with a frozen, unconditional diffusion model (InjectFusion, arXiv 2303.15403)."""
