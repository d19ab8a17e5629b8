"""What the report adds to the look of pages."""

REPORT_STYLE = """
main { max-width: 68rem; }
main > p, section > p, figure, nav, .copied { max-width: 60rem; }
h1:not(:first-child) { margin-top: 4rem; }
section { margin-top: 2.5rem; scroll-margin-top: 1rem; }
figure { padding: .8rem; }
figcaption { font-weight: 400; color: var(--ink); margin-top: .6rem; max-width: 48rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; padding: 0; }
nav li { margin: 0; }
a { color: var(--c1); }
:focus-visible { outline: 2px solid var(--c1); outline-offset: 2px; }
svg text { fill: inherit; font-size: inherit; }
figure + .wide, figure + p { margin-top: .8rem; }
.narrow, .still[hidden], .turn[hidden] { display: none; }
@media (max-width: 40rem) {
  .still.wide { display: none; } .still.narrow:not([hidden]) { display: block; }
}
.turn { height: min(34rem, 92vw); }
.legend { overflow-wrap: anywhere; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th[scope=row] { color: var(--ink); font-weight: 400; text-align: left; white-space: normal;
  min-width: 7rem; }
td { white-space: nowrap; }
.prose { white-space: normal; text-align: left; min-width: 10rem; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: .2rem 0;
  cursor: pointer; min-height: 1.8rem; }
th[aria-sort] button::after { content: " ↕"; opacity: .4; }
th[aria-sort=ascending] button::after { content: " ↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: " ↓"; opacity: 1; }
tr.best td { font-weight: 600; }
tr.best td:first-child::before { content: "★ "; color: var(--best); }
input[type=search] { font: inherit; color: inherit; background: var(--card); padding: .2rem .5rem;
  border: 1px solid var(--soft); border-radius: 4px; max-width: 12rem; }
.copied { position: relative; background: var(--card); border-radius: 6px; }
.copied pre { margin: 0; padding: .8rem; max-height: 22rem; overflow: auto; }
.copied button { position: absolute; top: .5rem; right: .5rem; font: inherit; font-size: .9rem;
  padding: .25rem .8rem; color: var(--paper); background: var(--c1); border: 0;
  border-radius: 4px; cursor: pointer; }
@media print { nav, .copied button, .turn { display: none; }
  .still.wide, .still.wide[hidden] { display: block; }
  .still.narrow, .still.narrow:not([hidden]) { display: none; } }
"""
