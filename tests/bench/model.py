"""``make bench-model``: the engine against what a user would write without plaint, on the same posts in one run.

The rivals are (a) ``transformers.pipeline("text-classification", batch_size=64)`` in float32 on the encoder that the shipped
model was made of, (b) the same on the base-size encoder that a user would pick from a hub, and (c) ONNX Runtime used plainly:
the encoder made int8 by its own tool, in arrival order, in batches of 64. Each takes turns with the engine in pairs, first
the one, then the other; a ratio is that of posts a second, the median over the pairs. All run in this process. The CPU time
of a post stands beside: where other work takes the cores it is what still can be compared.

The posts are the real English ones of ``$PLAINT_DATA``, as they came, each of another text; the engine gets them in calls as
large as classify's batches, and keeps no scores. The rivals are slow and get every so many-th post, in each pair others.

The machine's matrix-multiply peak is measured beside each pair, in int8 as the engine computes. Then posts come one by one,
and by chance at half of the rate that the engine reached.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from classify.settings import ClassifySettings
from models.engine import SHIPPED, Engine
from models.manifest import NETWORK, TOKENIZER
from models.tokens import Tokens
from tests.bench.whole_way import ROOT, processor

FILES = ("labelled.jsonl", "labelled_more.jsonl")
LOAD_S = 15.0
ALONE = 300
NEEDED = ("torch", "transformers", "onnx", "safetensors")


@dataclass(frozen=True)
class Posts:
    """Texts, and how many tokens of each the engine reads."""

    texts: list[str]
    tokens: list[int]

    def every(self, wanted: int, turn: int) -> list[str]:
        """About so many, in each turn others."""
        stride = max(1, len(self.texts) // wanted)
        return self.texts[turn % stride :: stride][:wanted]


@dataclass(frozen=True)
class Speed:
    """Posts a second by the clock, and milliseconds of CPU a post."""

    per_second: float
    cpu_ms: float


@dataclass
class Rival:
    """One of those that the engine is measured against, and the pairs so far: the engine's speed and its own."""

    name: str
    what: str
    label: Callable[[Sequence[str]], object]
    posts: int
    pairs: list[tuple[Speed, Speed]] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [ours.per_second / theirs.per_second for ours, theirs in self.pairs]

    @property
    def cpu_ratios(self) -> list[float]:
        return [theirs.cpu_ms / ours.cpu_ms for ours, theirs in self.pairs]


def read_posts(wanted: int, tokens: Tokens) -> Posts:
    """Real posts that differ in what the network reads of them, from all over the files."""
    folder = Path(os.environ.get("PLAINT_DATA", ROOT.parent / "shared" / "data"))
    missing = [str(folder / name) for name in FILES if not (folder / name).exists()]
    if missing:
        raise SystemExit(
            f"make bench-model measures on real posts, and {', '.join(missing)} is not there: set PLAINT_DATA"
        )
    found: dict[tuple[int, ...], str] = {}
    for name in FILES:
        texts = [json.loads(line)["text"] for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        found |= {tuple(ids): text for ids, text in zip(tokens.encode(texts), texts, strict=True)}
    stride = max(1, len(found) // wanted)
    kept = list(found.items())[::stride][:wanted]
    return Posts([text for _, text in kept], [len(ids) for ids, _ in kept])


def rivals() -> Iterator[Rival]:
    from models.training.bases import MINILM, MPNET
    from tests.bench.model_rivals import pipeline, plain_onnxruntime

    for name, base, posts in (("pipeline", MINILM, 256), ("teacher_pipeline", MPNET, 64)):
        label, what = pipeline(base)
        yield Rival(name, what, label, posts)
    label, what = plain_onnxruntime()
    yield Rival("ort_plain", what, label, 1024)


def speed(label: Callable[[Sequence[str]], object], texts: Sequence[str]) -> Speed:
    wall, cpu = time.perf_counter(), time.process_time()
    label(texts)
    return Speed(len(texts) / (time.perf_counter() - wall), (time.process_time() - cpu) / len(texts) * 1e3)


def in_calls(engine: Engine, size: int) -> Callable[[Sequence[str]], None]:
    def label(texts: Sequence[str]) -> None:
        for start in range(0, len(texts), size):
            engine.score(texts[start : start + size])

    return label


def measure(engine: Callable[[Sequence[str]], object], posts: Posts, against: Rival, turn: int) -> None:
    """One pair, whose order changes with the turn."""
    some = posts.every(against.posts, turn)
    if turn % 2:
        theirs, ours = speed(against.label, some), speed(engine, posts.texts)
    else:
        ours, theirs = speed(engine, posts.texts), speed(against.label, some)
    against.pairs.append((ours, theirs))


def spread(values: Sequence[float], digits: int = 1) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def tell_speed(what: str, speeds: Sequence[Speed]) -> None:
    per_second, cpu = [one.per_second for one in speeds], [one.cpu_ms for one in speeds]
    print(f"{what}: {spread(per_second)} posts/s, {spread(cpu, 2)} ms of CPU a post")


def tell_latency(what: str, seconds: Sequence[float]) -> None:
    p50, p99 = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    print(f"{what}: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms ({len(seconds)} posts)", flush=True)


def main() -> None:
    """Print what was measured and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="default: the shipped model")
    parser.add_argument("--posts", type=int, default=2048, help="that the engine labels in each turn")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise SystemExit(f"make bench-model can't run without {', '.join(missing)}: pip install -e '.[train]'")
    print(json.dumps(run(arguments.weights, arguments.posts, arguments.pairs)))


def run(weights: Path, wanted: int, pairs: int) -> dict[str, object]:
    from tests.bench.model_machine import Peak, one_by_one, operations, under_load

    most = ClassifySettings().batch
    engine = Engine.load(weights, remembered=0)
    posts = read_posts(wanted, Tokens(weights / TOKENIZER, 128))
    useful = operations(weights / NETWORK, sum(posts.tokens) / len(posts.tokens))
    print(f"{processor()}; load {os.getloadavg()[0]:.1f} as the run begins")
    print(f"{len(posts.texts)} real posts, {sum(posts.tokens) / len(posts.tokens):.1f} tokens on average")
    print(f"engine: {engine.version} on {engine.runs_on}, calls of {most}", flush=True)
    label, peak, others = in_calls(engine, most), Peak(), list(rivals())
    for other in others:
        print(f"{other.name}: {other.what}; {other.posts} posts a turn", flush=True)
        other.label(posts.texts[:8])
    label(posts.texts[:most])

    shares: list[float] = []
    for turn in range(pairs):
        for other in others:
            measure(label, posts, other, turn)
        top = peak.measure()
        shares.append(speed(label, posts.texts).per_second * useful / top)
        told = [f"{other.name} {other.pairs[-1][1].per_second:.1f}/s, 1:{other.ratios[-1]:.1f}" for other in others]
        print(f"pair {turn + 1}: {', '.join(told)}, peak {top / 1e9:.0f} GOP/s, share {shares[-1]:.2f}", flush=True)
    ours = [pair[0] for other in others for pair in other.pairs]
    per_second = statistics.median(one.per_second for one in ours)
    print(f"peak: int8, {'x'.join(map(str, peak.shape))}; share {spread(shares, 2)}")
    tell_speed("engine", ours)
    for other in others:
        tell_speed(other.name, [pair[1] for pair in other.pairs])
        print(f"  ratio {spread(other.ratios)}, of CPU time {spread(other.cpu_ratios)}")
    tell_latency("one by one", one_by_one(engine, posts.texts[:ALONE]))
    tell_latency("at 50% load", under_load(engine, posts.texts, per_second / 2, LOAD_S, most))
    return {
        "cpu": processor(),
        "engine": f"{engine.version} on {engine.runs_on}",
        **{f"ratio_{other.name}": round(statistics.median(other.ratios), 2) for other in others},
        "peak_share": round(statistics.median(shares), 3),
        "posts_per_s": round(per_second, 1),
    }


if __name__ == "__main__":
    main()
