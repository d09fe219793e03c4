"""What the comparisons with peers share: a virtual environment with the peers' packages, the allocator tuned alike for
both sides (large tensors are kept, not mapped anew at each call: without, peers are up to twice as slow and ratios
flatter us), and our own benchmarks run as a process of their own."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(8 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


def add_options(parser):
    parser.add_argument("--samples", type=Path, default=ROOT / "build/release/kernel_samples",
                        help="our benchmark program (build target kernel_samples)")
    parser.add_argument("--venv", type=Path, default=ROOT / "m3d-results/peer-venv",
                        help="virtual environment with the peers, made if missing (several GB from PyPI)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu: processor time; with --threads 1 the one to trust on a busy machine")


def pinned_torch():
    lines = (ROOT / "scripts/versions.env").read_text().splitlines()
    return next(line.split("=")[1] for line in lines if line.startswith("TORCH_VERSION="))


def enter(arguments, packages=()):
    """Runs the script again inside the virtual environment with the tuned allocator, unless it is there already."""
    if all(os.environ.get(key) == value for key, value in MALLOC.items()):
        return
    script = Path(sys.argv[0]).name
    if not arguments.samples.is_file():
        sys.exit(f"{script}: no {arguments.samples}: run scripts/build kernel_samples, or give --samples")
    python = arguments.venv / "bin/python"
    if not python.exists():
        wanted = [f"torch=={pinned_torch()}", "numpy", *packages]
        print(f"{script}: installing {' '.join(wanted)} into {arguments.venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", arguments.venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    environment = {**os.environ, **MALLOC, "OMP_NUM_THREADS": str(arguments.threads)}
    os.execve(python, [str(python), *sys.argv], environment)


def time_ours(arguments, name_pattern, checked):
    """Median milliseconds of a call of every benchmark of ours that the pattern finds, by name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.json"
        subprocess.run([arguments.samples, file, name_pattern, "3", str(arguments.threads),
                        "checked" if checked else "unchecked"], check=True)
        results = json.loads(file.read_text())["benchmarks"]
    key = "milliseconds" if arguments.clock == "wall" else "cpu_milliseconds"
    return {result["name"]: sorted(result[key])[1] for result in results}


def compare(arguments, name, make_peers):
    """Prints medians over rounds in which ours and every peer run in turn. make_peers() gives functions by name, each of
    which takes one sample in milliseconds."""
    peers = make_peers()
    for sample in peers.values():
        sample()  # warm-up
    ours, theirs = [], {peer: [] for peer in peers}
    for round_number in range(arguments.rounds):
        ours.append(time_ours(arguments, f"^{name}$", checked=round_number == 0)[name])
        for peer, sample in peers.items():
            theirs[peer].append(sample())
    medians = {peer: statistics.median(times) for peer, times in theirs.items()}
    best = min(medians, key=medians.get)
    mine = statistics.median(ours)
    others = ", ".join(f"{peer} {median:.3f}" for peer, median in medians.items())
    print(f"{name:66s} ours {mine:8.3f} ms   {others} ms   {medians[best] / mine:5.2f}x the best ({best})", flush=True)
