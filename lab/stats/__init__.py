"""Statistics for comparisons: pure functions, each with its source.

`wilson` share; `paired_shares` (Tango), `mcnemar` two answers to the same cases; `share`, `paired` the same of scores,
in clusters too; `mean`, `clustered_se`, `bootstrap` of anything; `percentile` latencies; `holm` many
comparisons; `detectable`, `cases_needed` how many cases; `gate` candidate against baseline; `certify` a share that may
not be exceeded.

Evaluations are small, and small sets are where the textbook interval fails (Bowyer, Aitchison and Ivanova 2025, arXiv
2503.01747): those here are score, exact, t or order-statistic intervals, which hold there.
"""

from lab.stats.certificates import Certified, certify
from lab.stats.effective import paired, share
from lab.stats.gates import Verdict, gate
from lab.stats.means import bootstrap, cases_needed, clustered_se, detectable, holm, mean, t_quantile
from lab.stats.proportions import Interval, mcnemar, paired_shares, wilson
from lab.stats.quantiles import percentile, ranks

__all__ = [
    "Certified",
    "Interval",
    "Verdict",
    "bootstrap",
    "cases_needed",
    "certify",
    "clustered_se",
    "detectable",
    "gate",
    "holm",
    "mcnemar",
    "mean",
    "paired",
    "paired_shares",
    "percentile",
    "ranks",
    "share",
    "t_quantile",
    "wilson",
]
