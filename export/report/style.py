"""The page's style sheet; it lies within the page, which fetches nothing."""

STYLE = """
:root { --ink: #1c2430; --soft: #5d6878; --line: #dde2e9; --ground: #f6f7f9; --good: #1a7f4b; --bad: #b3261e;
  --up: #20b0ff; --down: #ff7814 }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 25px; margin: 0 0 4px; letter-spacing: -.01em }
h2 { font-size: 18px; margin: 0 0 6px }
h3 { font-size: 14px; margin: 0 0 2px; font-weight: 600 }
p { margin: 6px 0 }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin-top: 18px }
.soft, .lead { color: var(--soft) }
.lead { margin: 0 0 14px; max-width: 80ch }
.verdict { border-left: 7px solid var(--soft) }
.verdict.yes { border-left-color: var(--good) }
.verdict.no { border-left-color: var(--bad) }
.verdict h2 { font-size: 22px }
.verdict.yes h2, td.yes { color: var(--good) }
.verdict.no h2, td.no { color: var(--bad) }
.verdict ul { margin: 8px 0 0; padding-left: 20px; max-width: 95ch }
.verdict li { margin: 4px 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 0 }
dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
.pair, .album { display: grid; gap: 18px }
.pair { grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)) }
.pair.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)) }
.wide table { font-size: 12.5px }
.wide th, .wide td { padding-right: 8px }
.album { grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)) }
figure { margin: 0 }
figure img { display: block; width: 100%; border-radius: 4px; margin-bottom: 4px }
figcaption { font-size: 13px; color: var(--soft) }
svg { max-width: 100% }
.chart > svg { width: 100%; height: auto }
svg .grid { stroke: #e8ebf0; stroke-width: 1 }
svg .gate { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 5 3 }
svg .mark { stroke: #9aa4b2; stroke-width: 1 }
svg text { fill: var(--soft); font: 11px system-ui, "Segoe UI", Roboto, Arial, sans-serif }
svg .axis { font-size: 12px }
.legend { margin: 2px 0 12px; font-size: 13px; color: var(--ink) }
.key { display: inline-block; margin-right: 18px; white-space: nowrap }
.key svg { vertical-align: middle; margin-right: 6px }
.ramp { display: inline-block; vertical-align: middle; width: 150px; height: 12px; margin: 0 8px; border-radius: 3px;
  background: linear-gradient(90deg, var(--down), #fff 50%, var(--up)); border: 1px solid var(--line) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; margin-top: 6px; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; color: var(--soft) }
th.n, td.n { text-align: right; white-space: nowrap }
h3.apart { margin-top: 18px }
code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
details { margin-top: 12px }
summary { cursor: pointer; color: var(--soft) }
@media print { body { background: #fff } section { break-inside: avoid } }
"""
