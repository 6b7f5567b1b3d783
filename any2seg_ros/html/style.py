"""The style sheet of the reports: one file, no network, light and dark, paper too."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1c2024; --soft: #5d6670; --line: #e3e0d8;
  --accent: #b4531f; --shade: rgba(180, 83, 31, .10);
  --c0: #c8452b; --c1: #2f74b5; --c2: #2c8f5c; --c3: #8453b8; --c4: #b58a1b; --c5: #4b5563;
  --heat: 30, 110, 170;
}
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171a; --card: #1b1f23; --ink: #e7e5df; --soft: #9aa3ab; --line: #2d3338;
  --accent: #f08c4b; --shade: rgba(240, 140, 75, .13);
  --c0: #f0755a; --c1: #6cb1f0; --c2: #5cc890; --c3: #b78ae8; --c4: #e0b84a; --c5: #a7b0b8;
  --heat: 84, 160, 220;
} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header { border-bottom: 3px solid var(--accent); margin-bottom: 1.75rem; padding-bottom: 1rem; }
h1 { font: 600 clamp(1.7rem, 4vw, 2.6rem)/1.15 Georgia, "Iowan Old Style", serif; margin: 0; }
h2 { font: 600 1.3rem/1.3 Georgia, "Iowan Old Style", serif; margin: 0 0 .35rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .4rem; }
p { margin: .3rem 0 .8rem; max-width: 78ch; }
.soft, figcaption, caption { color: var(--soft); font-size: .875rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.25rem 1.4rem; margin: 0 0 1.25rem; overflow-x: auto; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1rem; margin-top: .9rem; font-size: .875rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .75rem; }
.fact { border-left: 3px solid var(--accent); padding: .1rem .8rem; }
.fact b { display: block; font-size: 1.55rem; line-height: 1.2; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.fact span { color: var(--soft); font-size: .8rem; }
.note { border-left: 3px solid var(--accent); background: var(--shade); padding: .55rem .9rem;
  border-radius: 0 6px 6px 0; margin: .6rem 0; font-size: .925rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
  margin: .5rem 0; min-width: min(100%, 420px); }
caption { text-align: left; padding-bottom: .35rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .32rem .75rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.n, th.n { text-align: right; }
tbody tr:hover td { background: var(--shade); }
td.heat { text-align: right; border: 2px solid var(--card); border-radius: 6px; }
.up { color: var(--c2); } .down { color: var(--c0); }
.dots { letter-spacing: .18em; white-space: nowrap; }
.dot { display: inline-block; width: .72em; height: .72em; border-radius: 50%;
  margin-right: .28em; border: 1.5px solid transparent; vertical-align: -.02em; }
.dot.off { background: none !important; border-color: var(--line); }
.pictures { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(250px, 1fr)); }
.grid { display: grid; gap: 1.1rem; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
.tight { grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
figure { margin: 0; } figure img { width: 100%; height: auto; border-radius: 6px; display: block;
  background: var(--line); image-rendering: auto; }
figcaption { margin-top: .3rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem .9rem; font-size: .82rem; margin: .6rem 0 0; }
.legend i { display: inline-block; width: .95em; height: .95em; border-radius: 3px;
  margin-right: .35em; vertical-align: -.12em; border: 1px solid rgba(128, 128, 128, .35); }
.legend i.dot { border-radius: 50%; }
svg.bars { max-width: 760px; }
svg { width: 100%; height: auto; display: block; overflow: visible; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .axis { stroke: var(--line); stroke-width: 1; } svg .curve { fill: none; stroke-width: 2; }
svg .mark { fill: var(--shade); } svg .ideal { stroke: var(--soft); stroke-dasharray: 3 4; }
footer { color: var(--soft); font-size: .8rem; margin-top: 2rem; }
@media print { section { break-inside: avoid; border: 0; padding: .5rem 0; } }
"""
