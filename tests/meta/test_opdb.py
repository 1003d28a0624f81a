"""Every operator of torch's own test suite, through the oracle and the noise alone: right, or here
with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.docs.pages import ROOT

#: Operators by reason, and what of them is elsewhere than eager.
KNOWN = {
    "take memory as it is": {
        *("empty", "empty_like", "empty_permuted", "empty_strided"),
        *("new_empty", "new_empty_strided"),
    },
    "vectors have a sign, or a phase, that is nobody's": {"linalg.eig", "linalg.eigh"},
    "random projections, which rounding turns": {"svd_lowrank", "pca_lowrank"},
    "torch itself answers otherwise below a mode: a conjugation is lost": {
        *("pinverse", "linalg.pinv", "linalg.pinv.singular"),
        *("linalg.lstsq", "linalg.lstsq.grad_oriented"),
    },
}


def test_the_oracle_and_the_noise_are_about_what_eager_computes():
    command = [sys.executable, "-m", "tests.meta.opdb"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["count"] > 5000
    known = set.union(*KNOWN.values())
    found = {key.split()[1] for key in result["found"]}
    assert not {key: said for key, said in result["found"].items() if key.split()[1] not in known}
    always = known - KNOWN["take memory as it is"]  # which may hold anything, zeros among others
    assert not always - found, "listed, and right"
