"""The look of pages and pictures: light and dark, narrow and wide."""

LIGHT = {
    "ink": "#1d2127", "soft": "#5d6672", "line": "#d9dde3", "paper": "#ffffff", "card": "#f6f7f9",
    "error": "#b3261e", "warning": "#8a5a00", "good": "#1b6e3c", "best": "#c81e3a",
    "c1": "#2166ac", "c2": "#d6604d", "c3": "#1b8a5a", "c4": "#8250c4", "c5": "#9a7000",
    "c6": "#5d6672", "c7": "#a02c4a", "c8": "#2b8294",
    "s0": "#440155", "s1": "#482476", "s2": "#414488", "s3": "#355f8e", "s4": "#2a788f",
    "s5": "#21918d", "s6": "#22a885", "s7": "#44bf71", "s8": "#7ad152", "s9": "#a8cb1e",
}  # fmt: skip
"""Colours by their name in the page: c1 to c8 tell things apart, s0 to s9 rise with a score."""
DARK = {
    "ink": "#e6e9ee", "soft": "#a0a9b6", "line": "#39414c", "paper": "#14171b", "card": "#1d2127",
    "error": "#ff8a80", "warning": "#f0b64a", "good": "#6fd39a", "best": "#ff6b7f",
    "c1": "#6db3f2", "c2": "#ff9a85", "c3": "#5fd0a0", "c4": "#c3a1ff", "c5": "#e3c04f",
    "c6": "#a0a9b6", "c7": "#f08aa5", "c8": "#67c7d9",
    "s0": "#9a6bb0", "s1": "#8f78bb", "s2": "#7f87c0", "s3": "#6d97bf", "s4": "#5aa6b8",
    "s5": "#4bb4ab", "s6": "#48c299", "s7": "#62d184", "s8": "#93df69", "s9": "#dcec4a",
}  # fmt: skip


def _variables(colors: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colors.items())


STYLE = (
    f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}"
    """
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 84rem; margin: 0 auto; padding: 1rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.verdict { font-weight: 600; }
.verdict.bad { color: var(--error); }
.verdict.good { color: var(--good); }
details { background: var(--card); border-left: 4px solid var(--line); border-radius: 4px;
  margin: .4rem 0; padding: .4rem .8rem; }
details.error { border-color: var(--error); }
details.warning { border-color: var(--warning); }
summary { cursor: pointer; }
summary span { color: var(--soft); }
ul { margin: .4rem 0; padding-left: 1.2rem; }
li { margin: .3rem 0; overflow-wrap: anywhere; }
code { font-size: .9em; overflow-wrap: anywhere; }
li i { color: var(--soft); }
.pictures { display: grid; gap: 1rem; 
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; background: var(--card); border-radius: 6px; padding: .6rem; }
figcaption { font-weight: 600; font-size: .95rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 13px; }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--soft); }
svg .mark { stroke: var(--warning); stroke-dasharray: 5 4; stroke-width: 1.5; }
svg polygon { fill-opacity: .12; stroke-width: 1.6; stroke-linejoin: round; }
.split1 { fill: var(--c1); stroke: var(--c1); } .split2 { fill: var(--c2); stroke: var(--c2); }
.split3 { fill: var(--c3); stroke: var(--c3); } .split4 { fill: var(--c4); stroke: var(--c4); }
.split5 { fill: var(--c5); stroke: var(--c5); } .split6 { fill: var(--c6); stroke: var(--c6); }
.legend { color: var(--soft); }
.legend span { margin-right: 1rem; color: var(--ink); }
.legend span::before { content: ""; display: inline-block; width: .8em; height: .8em;
  margin-right: .35em; border-radius: 2px; vertical-align: -.05em; }
.key1::before { background: var(--c1); } .key2::before { background: var(--c2); }
.key3::before { background: var(--c3); } .key4::before { background: var(--c4); }
.key5::before { background: var(--c5); } .key6::before { background: var(--c6); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
td.characters { white-space: normal; min-width: 9rem; }
.none { color: var(--soft); }
"""
)
