"""vLLM beside the pack: the same random shapes, pictures, lengths and lines as `engine.py`, which
runs this in a process of its own for `--contender vllm`.

vLLM tells nothing of single steps, so what a step takes is the time of a whole answer less that of
its first token, with the same prompts; the first token of one picture is measured alone. Prefix
cache and picture cache are off, as no picture comes twice in a folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "support")]

QUESTION = "Describe this picture in detail."


class Vllm:
    """An engine over a folder that has a config and a processor, but no weights."""

    def __init__(self, folder: Path, weights: str, rows: int):
        from transformers import AutoProcessor
        from vllm import LLM

        text = AutoProcessor.from_pretrained(folder).apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        self._llm = LLM(
            model=str(folder),
            load_format="dummy",
            dtype="bfloat16",
            quantization="fp8" if weights == "fp8" else None,
            max_model_len=4096,
            gpu_memory_utilization=0.9,
            enable_prefix_caching=False,
            mm_processor_cache_gb=0,
            limit_mm_per_prompt={"image": 1, "video": 0},
            max_num_seqs=rows,
        )
        self._ids = self._llm.get_tokenizer()(text)["input_ids"]

    def run(self, paths: list[Path], lengths: list[int]) -> float:
        """Seconds from the files to all answers, each of exactly so many tokens."""
        from vllm import SamplingParams

        began = time.perf_counter()
        prompts = [
            {"prompt_token_ids": self._ids, "multi_modal_data": {"image": picture}}
            for picture in _decoded(paths)
        ]
        wanted = [
            SamplingParams(temperature=0.0, max_tokens=length, ignore_eos=True)
            for length in lengths
        ]
        found = self._llm.generate(prompts, wanted, use_tqdm=False)
        assert [len(one.outputs[0].token_ids) for one in found] == lengths
        return time.perf_counter() - began


def _decoded(paths: list[Path]) -> Iterator[Any]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as threads:
        yield from threads.map(lambda path: Image.open(path).convert("RGB"), paths)


def measure(engine: Vllm, batch: int, paths: list[Path], lengths: list[int], plan: Any) -> dict:
    """The figures that `engine.py` prints, as far as vLLM lets them be measured."""
    new = plan.new
    engine.run(paths[:batch], [4] * batch)
    runs = [_folder(engine, batch, paths, lengths) for _ in range(plan.repeat)]
    answer = min(engine.run(paths[:batch], [new] * batch) for _ in range(2))
    first = min(engine.run(paths[:batch], [1] * batch) for _ in range(2))
    step = (answer - first) / (new - 1)
    return {
        "contender": "vllm",
        "batch": batch,
        "ttft_s": round(min(engine.run(paths[:1], [1]) for _ in range(3)), 4),
        "decode_tok_s": round(batch / step, 1),
        "ms_step": round(step * 1e3, 3),
        "captions_s": round(len(lengths) / statistics.median(runs), 2),
    }


def _folder(engine: Vllm, batch: int, paths: list[Path], lengths: list[int]) -> float:
    """Seconds for all pictures: one after another, or as many at once as the engine has rows."""
    if batch > 1:
        return engine.run(paths, lengths)
    return sum(engine.run([p], [n]) for p, n in zip(paths, lengths, strict=True))


def main() -> None:
    """Build, measure and print a line for each batch, of which one may be more than 1."""
    from qwen3vl_pack import load_pack

    load_pack()
    from shapes import make_folder, write_pictures

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=json.loads, required=True, help="of engine.py")
    plan = argparse.Namespace(**parser.parse_args().plan)
    with tempfile.TemporaryDirectory() as folder:
        make_folder(plan.size, Path(folder) / "model")
        most = max(map(len, plan.lengths))
        paths = write_pictures(Path(folder), most, plan.set, small=False)
        engine = Vllm(Path(folder) / "model", plan.weights, max(plan.batch))
        for batch, lengths in zip(plan.batch, plan.lengths, strict=True):
            print(json.dumps(measure(engine, batch, paths[: len(lengths)], lengths, plan)))


if __name__ == "__main__":
    main()
