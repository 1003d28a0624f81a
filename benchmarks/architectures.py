"""A hundred transformers architectures by name, tiny, through the three main formats.

    python -m benchmarks.architectures [--jobs 2] [--write docs/measured/architectures.md] [NAME ...]

Nothing about an architecture is known here but its name: sizes and inputs come from
`pytest_modelport.libraries.transformers`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import logging
import os
import subprocess
import sys
import textwrap
import time
import warnings
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

#: Architectures to a process.
GROUP = 5
TARGETS = ("onnx", "torchscript", "torch_export")
NAMES = """
Afmoe Aimv2 Albert AltCLIP Apertus Arcee Aria AyaVision Bart Beit Bert BertGeneration BigBird BigBirdPegasus BioGpt BitNet
Blenderbot BlenderbotSmall Blip Bloom Camembert ChineseCLIP CLIP CLIPSeg CodeGen Cohere Cohere2 ConvBert ConvNext ConvNextV2
CpmAnt CTRL Cvt Data2VecText Data2VecVision Deberta DebertaV2 DeepseekVL DeiT DiffLlama Dinov2 Dinov2WithRegisters DINOv3ConvNext
DINOv3ViT DistilBert Doge DPR DPT Electra Ernie Ernie4_5 Exaone4 Falcon FalconMamba Flaubert Flava Florence2 FNet FocalNet FSMT
Fuyu Gemma Gemma2 Git Glm4Moe GotOcr2 GPT2 GPTBigCode GPTNeoX GPTJ GptOss Granite GraniteMoe GroupViT Helium HGNetV2 Hiera IBert
IJepa ImageGPT InternVL Janus JetMoe LayoutLM LED Lfm2 Llama Llama4Text Llava LlavaNext LongT5 Longformer Luke M2M100 Mamba
MarkupLM MBart MegatronBert Mistral Mixtral MobileNetV1 MobileNetV2 MobileViT MPNet Mpt MT5
""".split()  # noqa: SIM905 - a list of a hundred quoted names would be four times as long


def prove(name: str) -> list[dict[str, object]]:
    """A row for each route."""
    import torch

    from pytest_modelport import UsageError, verify
    from pytest_modelport.core.verdict import worst

    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    torch.set_num_threads(1)
    started = time.monotonic()
    try:
        report = verify(f"transformers:{name}Config?tiny", targets=TARGETS, timeout=180)
    except UsageError as error:
        seconds = time.monotonic() - started
        return [
            {
                "name": name,
                "target": target,
                "outcome": "usage",
                "reason": str(error),
                "seconds": seconds,
            }
            for target in TARGETS
        ]
    rows = []
    for route, verdicts in report.routes.items():
        verdict = worst(verdicts)
        cause = verdict.evidence.get("cause", {})
        where = " ".join(
            str(cause[key]) for key in ("module", "source", "operator") if cause.get(key)
        )
        rows.append(
            {
                "name": name,
                "target": route.target,
                "outcome": str(verdict.outcome),
                "reason": ""
                if verdict.passed
                else f"{verdict.check} {verdict.stage}: {verdict.reason} {where}".strip(),
                "seconds": sum(item.seconds for item in verdicts),
            }
        )
    return rows


def apart(names: list[str]) -> list[dict[str, object]]:
    """A few architectures in a process of their own. Raises when it dies or hangs: that would be
    the harness's fault.
    """
    command = [sys.executable, "-m", "benchmarks.architectures", "--bare", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GROUP * 600)
    rows: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bare", action="store_true", help="print rows as JSON")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.bare:
        print(json.dumps([row for name in options.names for row in prove(name)]))
        return
    rows, started = [], time.monotonic()
    groups = [options.names[start : start + GROUP] for start in range(0, len(options.names), GROUP)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for found in pool.map(apart, groups):
            rows += found
            print(
                *(
                    f"{row['name']} {row['target']}: {row['outcome']} {row['reason']}"
                    for row in found
                ),
                sep="\n",
                flush=True,
            )
    lines = report(rows, time.monotonic() - started)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")
    print("\n".join(lines[:8]))


def report(rows: list[dict[str, object]], seconds: float) -> list[str]:
    import torch
    import transformers

    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    outcomes = Counter(str(row["outcome"]) for row in rows)
    table = {(row["name"], row["target"]): row for row in rows}
    lines = [
        "# Architectures",
        "",
        f"`python -m benchmarks.architectures`: {len(names)} architectures of transformers {transformers.__version__}, torch "
        f"{torch.__version__}, each `transformers:NAMEConfig?tiny`; {seconds:.0f} s. "
        + ", ".join(f"{count} {name}" for name, count in outcomes.most_common()),
        "",
        f"| architecture | {' | '.join(TARGETS)} |",
        "|---|" + "---|" * len(TARGETS),
    ]
    for name in names:
        cells = (
            f"{table[name, target]['outcome']} {table[name, target]['seconds']:.1f} s"
            for target in TARGETS
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "## What is not green, and why", ""]
    reds = (
        f"- **{row['name']}**, {row['target']}, {row['outcome']}: {row['reason']}"
        for row in rows
        if row["reason"]
    )
    return lines + [textwrap.shorten(red, 600, placeholder=" ...") for red in reds]


if __name__ == "__main__":
    main()
