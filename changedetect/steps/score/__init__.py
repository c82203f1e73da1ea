"""Score: how many sigma a scene differs from its baseline, after season, light and misregistration are explained.

`estimate_noise` looks at the whole scene and returns a small model; `change_score` applies it block by block, and
`score_whole` does both where the scene is one block.
"""

from changedetect.steps.score.dispatch import change_score, estimate_noise, halo_px, score_whole
from changedetect.steps.score.params import ScoreParams

__all__ = ["ScoreParams", "change_score", "estimate_noise", "halo_px", "score_whole"]
