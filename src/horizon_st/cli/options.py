"""Options that several commands share: how recordings are cut, decoded and computed."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

import typer

Longest = Annotated[float, typer.Option(help="Most seconds of speech translated at once.")]
LongestPause = Annotated[float, typer.Option(help="Seconds of silence that always separate.")]
TargetLength = Annotated[
    float,
    typer.Option(help="Join short segments, over pauses of up to 2 s, until they have so much."),
]
UnsureBelow = Annotated[
    float, typer.Option(min=0, max=1, help="Confidence below which a segment gets a [?].")
]
BeamSize = Annotated[int, typer.Option(help="1 is greedy search, and faster.")]
LengthPenalty = Annotated[float, typer.Option(help="More gives longer output.")]
SegmentsAtOnce = Annotated[int, typer.Option(help="Segments at once.")]
Precision = Annotated[
    Literal["fp32", "bf16"],
    typer.Option(help="bf16 is faster where the hardware has it; some translations change."),
]
RuntimeChoice = Annotated[
    Optional[Literal["pytorch", "onnx"]],  # noqa: UP045 - typer reads it
    typer.Option(help="What has to run the model; by default what it is made for."),
]
Device = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(help="cpu, cuda, cuda:1, ...; a GPU where there is one by default."),
]
