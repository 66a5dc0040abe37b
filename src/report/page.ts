/**
 * The report as one page: HTML that needs nothing else, light or dark as its reader likes it, and fit to be printed. What
 * comes out of the journal is escaped; times are UTC; figures are written here, and by no locale.
 */
import { bars, spans } from './pictures.ts'
import type { Report } from './report.ts'
import { ENDINGS, type Row, type Table } from './tally.ts'

export function pageOf(report: Report): string {
  const { journal, requests, ended, clients, models, nodes, refused, asked, deeds, facts, health } = report
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of journal ${text(journal.id)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Audit report</h1>
<p class="sub">${journal.first === null ? 'The journal is empty.' : `${time(journal.first)} to ${time(journal.last)}, UTC`}</p>
</header>
${verdict(journal)}
<section class="tiles">
${tile(count(requests.requests), 'requests')}
${tile(share(requests.endings.completed, requests.requests), 'completed')}
${tile(span(requests.waitP50Ms), 'median wait')}
${tile(span(requests.waitP95Ms), 'wait, 95 of 100')}
${tile(count(requests.promptTokens + requests.outputTokens), 'tokens')}
${tile(count(requests.retries), 'retries')}
${tile(count(total(refused)), 'turned away')}
</section>
${section('What ended when', ended.periods.length === 0 ? none('No request has ended.') : `<figure>${bars(ended)}</figure>`)}
${section('By client', accounts(clients, 'client'))}
${section('By model', accounts(models, 'model'))}
${section('By node', `${accounts(nodes, 'node', 'turns')}${healthTable(health)}`)}
${section('Turned away', pairs(refused, 'why', 'Nobody was, as far as the journal tells.'), 'Counted once a minute; a refusal itself is not stored. docs/errors.md has the codes.')}
${section('Who asked for what', who(asked), 'Facts by who asked for them. What the house decided by itself has nobody.')}
${section('What was done to the house', deedTable(deeds), deeds.left > 0 ? `The last ${count(deeds.last.length)}; ${count(deeds.left)} more came before.` : undefined)}
${section('Facts', pairs(facts, 'fact', 'There is none.'))}
<footer>
<p>Made of journal <code>${text(journal.id)}</code> up to fact ${count(journal.facts)}. The same facts make the same page, byte for byte.</p>
</footer>
</body>
</html>
`
}

function verdict({
  whole,
  damage,
  facts,
  head,
  forgotten,
  clockSetBack,
  longestSilence,
}: Report['journal']): string {
  const notes = [
    ...(forgotten === 0 || !whole
      ? []
      : [`${count(forgotten)} facts forgot whose they were; each is covered by a forgetting.`]),
    ...(clockSetBack.times === 0
      ? []
      : [
          `The clock was set back ${count(clockSetBack.times)} times, by ${span(clockSetBack.mostMs)} at most.`,
        ]),
    ...(longestSilence.ms < SILENCE_MS
      ? []
      : [
          `The longest silence was ${span(longestSilence.ms)}, after fact ${count(longestSilence.afterSeq)}.`,
        ]),
  ]
  const said = whole
    ? `Every one of ${count(facts)} facts verifies: none is missing, none was altered, and each could stand where it stands.`
    : `${text(damage!.message)} What follows is of ${damage!.seq === null ? 'what there is' : `the ${count(facts)} facts before it, which verify`}.`
  return `<section class="verdict ${whole ? 'good' : 'bad'}">
<h2>${whole ? 'The journal is whole' : 'The journal is damaged'}</h2>
<p>${said}</p>
${notes.map(note => `<p>${note}</p>`).join('\n')}
<p class="head">head <code>${text(head)}</code></p>
</section>`
}

/** Shorter ones are nights. */
const SILENCE_MS = 86_400_000

function tile(figure: string, name: string): string {
  return `<div class="tile"><b>${figure}</b><span>${name}</span></div>`
}

function section(title: string, body: string, note?: string): string {
  const said = note === undefined ? '' : `<p class="note">${text(note)}</p>`
  return `<section>\n<h2>${text(title)}</h2>\n${said}${body}\n</section>`
}

function none(said: string): string {
  return `<p class="note">${text(said)}</p>`
}

function accounts({ rows, left, others }: Table, what: string, requests = 'requests'): string {
  if (rows.length === 0) return none('There is none.')
  const longest = Math.max(1, ...rows.map(({ waitP95Ms }) => waitP95Ms ?? 0))
  const shown = others === undefined ? rows : [...rows, { ...others, name: `${count(left)} others` }]
  const heads = [what, requests, ...ENDINGS, 'retries', 'tokens in', 'tokens out', 'wait p50', 'wait p95']
  const body = shown.map(row => accountRow(row, longest)).join('\n')
  return `<div class="wide"><table>\n<thead><tr>${heads.map(head).join('')}<th class="picture">0 to ${span(longest)}</th></tr></thead>\n<tbody>\n${body}\n</tbody>\n</table></div>`
}

function accountRow(row: Row, longestMs: number): string {
  const { name, requests, endings, retries, promptTokens, outputTokens, waitP50Ms, waitP95Ms } = row
  const figures = [requests, ...ENDINGS.map(ending => endings[ending]), retries, promptTokens, outputTokens]
  const waits = [waitP50Ms, waitP95Ms].map(ms => `<td class="n">${span(ms)}</td>`).join('')
  const picture = waitP50Ms === null || waitP95Ms === null ? '' : spans(waitP50Ms, waitP95Ms, longestMs)
  return `<tr><td class="name">${text(name)}</td>${figures.map(figure).join('')}${waits}<td class="picture">${picture}</td></tr>`
}

function healthTable(health: Report['health']): string {
  if (health.length === 0) return ''
  const heads = ['node', 'lost', 'breaker opened', 'loads', 'loads that failed'].map(head).join('')
  const body = health
    .map(({ node, lost, tripped, loads, failedLoads }) => {
      const figures = [lost, tripped, loads, failedLoads].map(figure).join('')
      return `<tr><td class="name">${text(node)}</td>${figures}</tr>`
    })
    .join('\n')
  return `<div class="wide"><table class="small">\n<thead><tr>${heads}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table></div>`
}

function pairs(counts: Readonly<Record<string, number>>, what: string, empty: string): string {
  const rows = Object.entries(counts)
  if (rows.length === 0) return none(empty)
  const body = rows.map(([name, n]) => `<tr><td class="name">${text(name)}</td>${figure(n)}</tr>`).join('\n')
  return `<table class="small">\n<thead><tr>${head(what)}${head('how often')}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table>`
}

function who(asked: Report['asked']): string {
  if (asked.length === 0) return none('Nobody asked for anything.')
  const body = asked
    .map(({ by, facts }) => {
      const told = Object.entries(facts).map(([type, n]) => `${text(type)} × ${count(n)}`)
      return `<tr><td class="name">${text(by)}</td><td>${told.join(', ')}</td></tr>`
    })
    .join('\n')
  return `<table>\n<thead><tr>${head('who')}<th>what came of it</th></tr></thead>\n<tbody>\n${body}\n</tbody>\n</table>`
}

function deedTable({ last }: Report['deeds']): string {
  if (last.length === 0) return none('Nothing was.')
  const body = last
    .map(({ seq, at, by, type, id, data }) => {
      const told =
        data === null
          ? 'forgotten'
          : Object.entries(data)
              .map(([key, value]) => `${key} ${word(value)}`)
              .join(', ')
      return `<tr><td class="n">${seq}</td><td class="when">${time(at)}</td><td>${text(type)}</td><td class="name">${text(id)}</td><td>${text(by)}</td><td>${text(told)}</td></tr>`
    })
    .join('\n')
  const heads = ['fact', 'when', 'what', 'of', 'by', 'data'].map(name => `<th>${name}</th>`).join('')
  return `<div class="wide"><table class="deeds">\n<thead><tr>${heads}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table></div>`
}

function head(name: string, i = 0): string {
  return `<th${i === 0 ? '' : ' class="n"'}>${text(name)}</th>`
}

function figure(n: number): string {
  return `<td class="n${n === 0 ? ' zero' : ''}">${count(n)}</td>`
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0)
}

/** 1,234,567 */
function count(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',')
}

function share(part: number, whole: number): string {
  return whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`
}

/** 12 ms, 3.4 s, 2 m 5 s, 3 h 20 m, 4 d 2 h. */
export function span(ms: number | null): string {
  if (ms === null) return '–'
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (minutes < 60) return `${minutes} m ${seconds % 60} s`
  if (hours < 24) return `${hours} h ${minutes % 60} m`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

function time(iso: string | null): string {
  return iso === null ? '' : text(iso.replace('T', ' ').replace(/\.\d+Z$/, ''))
}

/** Names come from outside: nothing in them may be markup, or turn the direction of what follows. */
export function text(raw: string): string {
  return raw.replace(/[&<>"'\p{Cc}\p{Bidi_Control}]/gu, char => ESCAPES[char] ?? '\ufffd')
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const STYLE = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2024;--soft:#60656c;--line:#e2e5e9;--tint:#f5f6f8;
--completed:#3b7dd8;--failed:#d64545;--expired:#e0922f;--abandoned:#9aa3ad;--cancelled:#7a5cc7;--good:#1f8a4c;--bad:#c62f2f}
@media (prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e6e8ea;--soft:#9aa1a9;--line:#2d3136;--tint:#1e2125;
--completed:#5d9bf0;--failed:#ef6b6b;--expired:#edb05c;--abandoned:#6f7882;--cancelled:#a58bea;--good:#4cc27c;--bad:#f07878}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:2.5rem 1.5rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.75rem;margin:0;letter-spacing:-.01em}
h2{font-size:1.1rem;margin:0 0 .6rem}
.sub,.note,footer{color:var(--soft)}
.sub{margin:.2rem 0 1.5rem}
.note{margin:0 0 .6rem;font-size:.9rem}
section{margin:0 0 2.25rem}
.verdict{border:1px solid var(--line);border-left:4px solid var(--good);border-radius:6px;padding:1rem 1.2rem;background:var(--tint)}
.verdict.bad{border-left-color:var(--bad)}
.verdict.bad h2{color:var(--bad)}
.verdict p{margin:.25rem 0}
.head{color:var(--soft);font-size:.85rem}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem}
.tile{border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem}
.tile b{display:block;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.85rem}
figure{margin:0}
svg{display:block}
figure svg{width:100%;height:auto}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
svg .rule{stroke:var(--line)}
${ENDINGS.map(ending => `.${ending}{fill:var(--${ending})}`).join('')}
.track{fill:var(--line)}.typical{fill:var(--completed)}.long{fill:var(--completed);opacity:.4}
.wide{overflow-x:auto;margin-bottom:1rem}
table{border-collapse:collapse;width:100%;font-size:.875rem}
table.small{width:auto}
th{font-weight:500;color:var(--soft);text-align:left;white-space:nowrap}
th,td{padding:.32rem .7rem .32rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.zero{color:var(--soft);opacity:.55}
td.name{font-weight:500;min-width:8rem;max-width:22rem}
td.when{white-space:nowrap;font-variant-numeric:tabular-nums}
td.picture{min-width:7rem;vertical-align:middle}
footer{font-size:.85rem;border-top:1px solid var(--line);padding-top:1rem}
@media print{:root{color-scheme:light}body{max-width:none;padding:0;font-size:11px}.wide{overflow:visible}
tr,.tile,.verdict,figure{break-inside:avoid}h2{break-after:avoid}thead{display:table-header-group}}
`
