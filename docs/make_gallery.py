"""Make docs/gallery.md and its pictures again: `python docs/make_gallery.py RUNS [STUDY ...]`.

Studies that are named, or all, are run with the few trials that are told below, in folders of RUNS, or continued
there; their figures are drawn, made small and put beside the page. All of them take an hour of one core.
"""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import isacsim
from isacsim.plugin import build_registry
from isacsim.report.figures import draw_figures

DOCS = Path(__file__).parent
ROOT = DOCS.parent
IMAGES = DOCS / "images" / "gallery"
TIMES = "time"  # the figure of a study that is left out
WIDTH, COLOURS = 600, 64  # of a picture: sharp at half that width on any screen, and some 12 kB
# Why a study has no picture here.
POINT = "one point, which has no curve: `isacsim verify` shows its numbers"
HOURS = "hours"
WITHOUT = {
    "crb-min-algorithms": POINT,
    "sum-rate-crlb-algorithms": POINT,
    "sum-rate-crlb-table1-as-run": HOURS,
    "sum-rate-crlb-table1-as-printed": HOURS,
    "sum-rate-crlb-table1-wmmse-sdr": "a semidefinite program for each of some hundred steps",
}

INTRODUCTION = """\
# Gallery

Every figure of the studies that come with isacsim, and the command that makes it. Names are those of
`isacsim list scenarios`; `isacsim show scenario NAME` says what a study is, and the READMEs in `scenarios/` how far the
papers' numbers are met.

The pictures are drawn from the **few trials** that are told under each, often one, so that curves are rougher than
those of the command, which runs the trials of the scenario. Bands are 95 % confidence intervals of the mean. Figures of
times are left out: those of few trials are the compiler's.
`python docs/make_gallery.py RUNS` makes them again.
"""

# Headings, what is said below them, and the trials of each study; 0 is a study that has no picture here.
Entry = tuple[str, str, dict[str, int]]
SECTIONS: tuple[Entry, ...] = (
    ("First study", "[Quickstart](quickstart.md) goes through its file.", {"quickstart": 100}),
    (
        "CRB under SINR constraints [Zhao26]",
        "Problem `crb-min`. Fig. 1 with Tables I and II, Fig. 2 and Fig. 3.",
        {
            "crb-min-fig1-users": 1, "crb-min-fig1-antennas": 1, "crb-min-fig1-users-all": 1,
            "crb-min-fig1-users-white": 4, "crb-min-fig1-antennas-white": 1, "crb-min-fig2": 1, "crb-min-fig3": 1,
            "crb-min-threshold": 4, "crb-min-algorithms": 0,
        },
    ),
    (
        "Radar SQNR under SQINR constraints [Xu25]",
        "Problem `sqnr-max`. Fig. 1 to 4.",
        {
            "sqnr-max-fig1a": 1, "sqnr-max-fig1b": 1, "sqnr-max-fig2a": 3, "sqnr-max-fig2b": 1, "sqnr-max-fig3a": 1,
            "sqnr-max-fig3b": 1, "sqnr-max-fig4a": 1, "sqnr-max-fig4b": 4,
        },
    ),
    (
        "Sum rate and CRLB [Fang25]",
        "Problem `sum-rate-crlb`. Fig. 2 to 7 and Table I. Each is there `as-run`, by the published code, and "
        "`as-printed`, by the text of the paper.",
        {
            "sum-rate-crlb-fig2-as-run": 1, "sum-rate-crlb-fig3-as-run": 1, "sum-rate-crlb-fig4-as-run": 1,
            "sum-rate-crlb-fig4-sensing-as-run": 1, "sum-rate-crlb-table1-as-run": 0, "sum-rate-crlb-fig6-as-run": 1,
            "sum-rate-crlb-fig7-as-run": 1, "sum-rate-crlb-table1-fp-sgda": 1, "sum-rate-crlb-table1-wmmse-sdr": 0,
            "sum-rate-crlb-algorithms": 0, "sum-rate-crlb-fig2-as-printed": 1, "sum-rate-crlb-fig3-as-printed": 1,
            "sum-rate-crlb-fig4-as-printed": 1, "sum-rate-crlb-fig4-sensing-as-printed": 1,
            "sum-rate-crlb-fig6-as-printed": 1, "sum-rate-crlb-fig7-as-printed": 1,
            "sum-rate-crlb-table1-as-printed": 0,
        },
    ),
    (
        "On samples",
        "Detection, estimation and links through converters, measured and predicted.",
        {
            "waveform-detection": 3, "waveform-detectors": 1, "waveform-echo": 3, "waveform-estimation": 2,
            "waveform-link": 10, "waveform-link-users": 4,
        },
    ),
    (
        "Over a band",
        "OFDM, with `base_station.grid`.",
        {
            "wideband-link": 4, "wideband-joint-design": 1, "wideband-radar": 2, "wideband-detection-over-range": 1,
            "wideband-self-interference": 8, "wideband-mobility": 1, "wideband-spectrum": 1,
        },
    ),
    (
        "Models against the truth",
        "Hardware as its models have it, and as samples do.",
        {
            "hardware-truth-converters": 1, "hardware-truth-figures": 1, "hardware-truth-streams": 1,
            "hardware-truth-symbols": 1,
        },
    ),
    (
        "Designs for hardware",
        "What a precoder gains whose designer knows the hardware.",
        {
            "hardware-aware-uniform": 1, "hardware-aware-mixed": 1, "hardware-aware-mixed-per-antenna": 1,
            "hardware-aware-crb-limit": 1, "hardware-aware-channel-error": 1, "hardware-aware-energy": 20,
        },
    ),
)  # fmt: skip


def scenario_file(name: str) -> Path:
    """The file of a study that is bundled."""
    files = {f"{p.parent.name}-{p.stem}": p for p in (ROOT / "scenarios").glob("*/*.toml")}
    return files.get(name, ROOT / "scenarios" / f"{name}.toml")


def draw(name: str, trials: int, runs: Path) -> None:
    """Run a study, or go on with its run, and put its figures beside the page."""
    from PIL import Image

    began = time.process_time()
    folder, registry = runs / name, build_registry(installed=False)
    begun = folder.is_dir()
    run = isacsim.run(scenario_file(name), folder, trials=trials, executor="serial", resume=begun, registry=registry)
    for old in IMAGES.glob(f"{name}--*.webp"):
        old.unlink()
    drawn = draw_figures(run, folder=folder / "gallery", kind="png", looks={"size": "column"})
    for file in (file for file in drawn if file.stem != TIMES):
        picture = Image.open(file).convert("RGB")
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        small = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        small.convert("RGB").save(IMAGES / f"{name}--{file.stem}.webp", lossless=True, quality=100, method=6)
    print(f"{name}: {trials} trials, {time.process_time() - began:.0f} s of CPU", flush=True)


def pictures(name: str) -> list[Path]:
    """The pictures of a study."""
    return sorted(IMAGES.glob(f"{name}--*.webp"))


def study(name: str, trials: int) -> Iterator[str]:
    """The lines of a study."""
    table = tomllib.loads(scenario_file(name).read_text("utf-8"))
    yield f"### {table['title'].rstrip('.')}"
    yield f"```sh\nisacsim run {name}\n```"
    shown = "\n".join(f"![{name}, {p.stem.partition('--')[2]}](images/gallery/{p.name})" for p in pictures(name))
    yield f"{shown}\n\n{trials} trial{'s' * (trials > 1)}."


def page() -> str:
    """The text of docs/gallery.md."""
    parts = [INTRODUCTION]
    for heading, text, studies in SECTIONS:
        parts += [f"## {heading}", text]
        seen = {name: trials for name, trials in studies.items() if trials and [*pictures(name)]}
        for name, trials in seen.items():
            parts += study(name, trials)
        others = [name for name in studies if name not in seen]
        if others:
            titles = {name: tomllib.loads(scenario_file(name).read_text("utf-8"))["title"] for name in others}
            parts.append("| without a picture here | | why |\n|---|---|---|")
            parts[-1] += "".join(f"\n| `isacsim run {n}` | {titles[n]} | {WITHOUT[n]} |" for n in others)
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def main(runs: Path, names: list[str]) -> None:
    """Draw the studies, and write the page."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    trials = {name: count for _, _, studies in SECTIONS for name, count in studies.items() if count}
    for name in names or trials:
        draw(name, trials[name], runs)
    (DOCS / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
