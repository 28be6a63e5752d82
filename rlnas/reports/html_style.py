"""The frame and the style sheet of HTML reports: sober, on wide and narrow screens and on paper."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f7f9; color: #2b3138; line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .8rem; }
.lead { color: #5b6570; margin: 0 0 1.4rem; overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid #e3e7eb; border-radius: 8px;
  padding: 1.2rem 1.4rem; margin-top: 1.2rem; }
p { max-width: 46rem; margin: .6rem 0; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem;
  margin: 0; }
.facts div { background: #fff; border: 1px solid #e3e7eb; border-radius: 8px; padding: .8rem 1rem; }
dt { color: #5b6570; font-size: .85rem; }
dd { margin: 0; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums; }
dd small { display: block; color: #5b6570; font-size: .8rem; font-weight: 400; }
.figures { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; align-items: flex-start;
  margin: .8rem 0; }
.row { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
.row > div { flex: 0 1 auto; min-width: 0; max-width: 100%; }
.row p { max-width: 24rem; }
figure { margin: 0; max-width: 100%; flex: 0 1 auto; min-width: 0; overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: #5b6570; font-size: .85rem; margin-top: .3rem; }
.table { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; }
.few td { white-space: normal; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid #eceff2;
  vertical-align: top; }
th { color: #5b6570; font-weight: 600; white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
summary { cursor: pointer; margin: .8rem 0; color: #2f6398; }
pre { background: #f2f4f6; border-radius: 6px; padding: .8rem 1rem; overflow-x: auto;
  font-size: .85rem; line-height: 1.45; }
@media (max-width: 560px) {
  main { padding: 1.2rem .7rem 2rem; }
  section { padding: 1rem .9rem; }
  h1 { font-size: 1.35rem; }
}
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
HTML = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="lead">{lead}</p>
{top}{sections}</main>
</body>
</html>
"""
