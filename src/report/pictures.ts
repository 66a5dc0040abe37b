/** The pictures of the report, as SVG inside the page: how many requests ended when, and how long they waited. */
import { iso, type Report } from './report.ts'
import { ENDINGS } from './tally.ts'

const WIDTH = 960
const HEIGHT = 190
const TOP = 24
const BOTTOM = 22
const LEFT = 44

/** Bars a period, its endings one on the other. */
export function bars({ periods, periodMs }: Report['ended']): string {
  const sums = periods.map(period => ENDINGS.reduce((sum, ending) => sum + countIn(period, ending), 0))
  const most = Math.max(1, ...sums)
  const room = HEIGHT - TOP - BOTTOM
  const step = (WIDTH - LEFT) / periods.length
  const shown = periods.flatMap((period, i) => {
    let below = 0
    return ENDINGS.flatMap(ending => {
      const n = countIn(period, ending)
      if (n === 0) return []
      const height = (n / most) * room
      below += height
      const x = LEFT + i * step
      const y = HEIGHT - BOTTOM - below
      const width = Math.max(0.5, step * (step > 4 ? 0.8 : 1))
      return `<rect class="${ending}" x="${round(x)}" y="${round(y)}" width="${round(Math.min(width, BAR_MAX))}" height="${round(height)}"/>`
    })
  })
  const [first, last] = [periods[0]!.start, periods.at(-1)!.start]
  const end = iso(Date.parse(last) + periodMs)
  const there = ENDINGS.filter(ending => periods.some(period => countIn(period, ending) > 0))
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Requests that ended, by time">`,
    `<line class="rule" x1="${LEFT}" x2="${WIDTH}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/>`,
    `<line class="rule" x1="${LEFT}" x2="${WIDTH}" y1="${TOP}" y2="${TOP}" stroke-dasharray="2 4"/>`,
    `<text x="${LEFT - 8}" y="${TOP + 4}" text-anchor="end">${most}</text>`,
    `<text x="${LEFT - 8}" y="${HEIGHT - BOTTOM + 4}" text-anchor="end">0</text>`,
    `<text x="${LEFT}" y="${HEIGHT - 5}">${minute(first)}</text>`,
    `<text x="${WIDTH}" y="${HEIGHT - 5}" text-anchor="end">${minute(end)}</text>`,
    ...there.map(
      (ending, i) =>
        `<rect class="${ending}" x="${LEFT + i * 96}" y="4" width="9" height="9" rx="2"/><text x="${LEFT + 14 + i * 96}" y="12">${ending}</text>`,
    ),
    `<text x="${WIDTH}" y="12" text-anchor="end">a bar is ${lengthOf(periodMs)}</text>`,
    ...shown,
    '</svg>',
  ].join('\n')
}

/** A few periods make no wall. */
const BAR_MAX = 48

/** From nothing over the median to the 95th of a hundred. */
export function spans(p50Ms: number, p95Ms: number, longestMs: number): string {
  const at = (ms: number): string => round((100 * ms) / longestMs)
  return `<svg width="110" height="8" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="track" y="3" width="100" height="2"/><rect class="long" y="2" width="${at(p95Ms)}" height="4"/><rect class="typical" y="2" width="${at(p50Ms)}" height="4"/></svg>`
}

type Period = Report['ended']['periods'][number]

function countIn(period: Period, ending: string): number {
  return ((period as unknown as Readonly<Record<string, number>>)[ending] as number | undefined) ?? 0
}

function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ')
}

function lengthOf(ms: number): string {
  const minutes = ms / 60_000
  if (minutes < 60) return `${minutes} min`
  const hours = minutes / 60
  return hours < 48 ? `${round(hours)} h` : `${round(hours / 24)} d`
}

/** To a hundredth, as short as it goes. */
function round(n: number): string {
  return String(Math.round(n * 100) / 100)
}
