"""How often the study's 95% intervals hold the truth, simulated, beside the percentile bootstrap of conversations, and
how often a family of verdicts has a wrong one."""

import sys

import numpy as np
from ftstudy import paths
from ftstudy.compare import intervals

sys.path.insert(0, str(paths.ROOT / "tests"))
from coverage_of_intervals import covered, family_errors  # noqa: E402

DRAWS = 2000


def bootstrap(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> tuple[float, list[float]]:
    drawn = intervals.weights(conversations, 500)
    means = (drawn @ nats) / np.maximum(drawn @ tokens, 1)
    return float(nats.sum() / tokens.sum()), np.percentile(means, [2.5, 97.5])


def main() -> None:
    print("conversations  largest  alike  skewed  Student's t  bootstrap")
    for conversations in (5, 9, 20, 40):
        for largest in (None, 0.4):
            for alike in (0.02, 0.5):
                for skewed in (False, True):
                    case = (conversations, largest, alike)
                    ours = covered(*case, draws=DRAWS, skewed=skewed)
                    theirs = covered(*case, draws=DRAWS // 4, skewed=skewed, method=bootstrap)
                    print(
                        f"{conversations:13}  {f'{largest:.0%}' if largest else 'equal':>7}  {alike:5}  "
                        f"{'yes' if skewed else 'no':>6}  {ours:11.1%}  {theirs:9.1%}",
                        flush=True,
                    )
    print("\nFamilies of 10 differences that are zero, of which at least one has a verdict")
    print("conversations  alone  corrected")
    for conversations in (5, 9, 20, 40):
        before, after = family_errors(conversations, DRAWS)
        print(f"{conversations:13}  {before:5.1%}  {after:9.1%}", flush=True)


if __name__ == "__main__":
    main()
