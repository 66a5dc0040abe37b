/**
 * A picture (SVG) of what the nodes did: one panel a policy, one lane a node, time from left to right. Each place in
 * a node's memory has the colour of the model in it: pale while it is there, hatched while it loads, and full as high
 * as the share of its slots that was at work. Above the lanes, how many requests waited.
 */
import type { Fleet, FleetNode } from './fleet.ts'
import type { Outcome } from './site.ts'
import type { Lane } from './timeline.ts'
import type { Run } from './world.ts'

export interface Panel {
  readonly name: string
  readonly said: string
  readonly run: Run
}

export interface Caption {
  readonly title: string
  readonly said: string
  readonly longestMs?: number
}

/** Okabe and Ito 2008: told apart by colour-blind people, too. Further models share the last one. */
const COLOURS = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#d55e00',
  '#8a7f1d',
  '#7a7a7a',
] as const
const INK = '#1f2933'
const DIM = '#697586'
const LINE = '#d5dae1'
const FONT = 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'

const WIDTH = 1_280
const LEFT = 132
const RIGHT = 28
const PLOT = WIDTH - LEFT - RIGHT
/** Pixels of one step in time. */
const STEP = 2
const STEPS = PLOT / STEP
const TOP = 96
const LANE = 38
const LANE_GAP = 5
const QUEUE = 46
const HEADING = 44
const AXIS = 38
const PANEL_GAP = 26

/** `longestMs`: only the first part, to see more of it. */
export function picture(
  { title, said, longestMs = Number.POSITIVE_INFINITY }: Caption,
  fleet: Fleet,
  panels: readonly Panel[],
): string {
  const spanMs = Math.min(longestMs, Math.max(...panels.map(({ run }) => spanOf(run)), 1))
  const palette = new Map(fleet.models.map(({ name }, i) => [name, Math.min(i, COLOURS.length - 1)]))
  const panelHeight = HEADING + QUEUE + fleet.nodes.length * (LANE + LANE_GAP) + AXIS
  const height = TOP + panels.length * (panelHeight + PANEL_GAP)
  const draw = { fleet, palette, spanMs }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="${FONT}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<desc>${escaped(said)}</desc>`,
    patterns(fleet, palette),
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(LEFT, 36, title, { size: 20, weight: 600 }),
    text(LEFT, 58, said, { size: 13, fill: DIM }),
    legend(fleet, palette),
    ...panels.map((panel, i) => drawPanel(panel, TOP + PANEL_GAP + i * (panelHeight + PANEL_GAP), draw)),
    '</svg>\n',
  ].join('\n')
}

interface Draw {
  readonly fleet: Fleet
  readonly palette: ReadonlyMap<string, number>
  readonly spanMs: number
}

function drawPanel({ name, said, run }: Panel, top: number, draw: Draw): string {
  const { fleet, spanMs } = draw
  const queueTop = top + HEADING - 14
  const lanesTop = queueTop + QUEUE + 8
  const bottom = lanesTop + fleet.nodes.length * (LANE + LANE_GAP)
  return [
    text(LEFT, top + 12, name, { size: 15, weight: 600 }),
    text(LEFT + PLOT, top + 12, said, { size: 12.5, fill: DIM, anchor: 'end' }),
    grid(queueTop, bottom, spanMs),
    drawQueue(run, queueTop, spanMs),
    ...fleet.nodes.map((node, i) => drawLane(node, run, lanesTop + i * (LANE + LANE_GAP), draw)),
    axis(bottom, spanMs),
  ].join('\n')
}

/** How many waited, on average over each step. */
function drawQueue(run: Run, top: number, spanMs: number): string {
  const waiting = new Float64Array(STEPS)
  for (const { arrival, startedAt, leftAt } of run.outcomes) {
    spread(waiting, spanMs, arrival.at - run.startedAt, (startedAt ?? leftAt ?? run.endedAt) - run.startedAt)
  }
  const most = Math.max(...waiting, 1)
  const points = [...waiting].map((n, i) => `${x(i)} ${round(top + QUEUE - (n / most) * QUEUE)}h${STEP}`)
  const path = `M${LEFT} ${top + QUEUE}L${points.join('L')}V${top + QUEUE}Z`
  return [
    text(LEFT - 10, top + QUEUE / 2, 'waiting', { size: 12, anchor: 'end' }),
    text(LEFT - 10, top + QUEUE / 2 + 15, `up to ${Math.round(most).toLocaleString('en-US')}`, {
      size: 11,
      fill: DIM,
      anchor: 'end',
    }),
    `<path d="${path}" fill="#aab4c0"/>`,
  ].join('\n')
}

function drawLane(node: FleetNode, run: Run, top: number, { palette, spanMs }: Draw): string {
  const history = placesOf(run.timeline.lanes.get(node.name)!, node.resident, run)
  const height = LANE / node.resident
  const parts = [
    text(LEFT - 10, top + LANE / 2 + 4, node.name, { size: 12, anchor: 'end' }),
    `<rect x="${LEFT}" y="${top}" width="${PLOT}" height="${LANE}" fill="#f6f7f9"/>`,
  ]
  for (const [place, stays] of history.places.entries()) {
    parts.push(...drawPlace(stays, top + place * height, height, node.slots, palette, spanMs))
  }
  for (const { from, until } of history.away) {
    const left = xAt(from, spanMs)
    parts.push(
      `<rect x="${left}" y="${top}" width="${round(xAt(until, spanMs) - left)}" height="${LANE}" fill="url(#away)"/>`,
    )
  }
  return parts.join('\n')
}

/** One place in memory: what filled most of a step gives the step its colour. */
function drawPlace(
  stays: readonly Stay[],
  top: number,
  height: number,
  slots: number,
  palette: ReadonlyMap<string, number>,
  spanMs: number,
): readonly string[] {
  const there = new Map<string, Float64Array>()
  const work = new Map<number, Float64Array>()
  for (const { model, from, loadedAt, until, busy } of stays) {
    const colour = palette.get(model)!
    spread(step(there, `l${colour}`), spanMs, from, loadedAt)
    spread(step(there, `r${colour}`), spanMs, loadedAt, until)
    for (const span of busy) spread(step(work, colour), spanMs, span.from, span.until)
  }
  const memory = runsOf(there).map(({ key, first, last }) => {
    const colour = Number(key.slice(1))
    const fill = key.startsWith('l') ? `url(#load${colour})` : COLOURS[colour]!
    const pale = key.startsWith('l') ? '' : ' fill-opacity=".22"'
    return `<rect x="${x(first)}" y="${round(top)}" width="${(last - first + 1) * STEP}" height="${round(height)}" fill="${fill}"${pale}/>`
  })
  const under = new Float64Array(STEPS)
  const busy = [...work]
    .sort(([a], [b]) => a - b)
    .map(([colour, shares]) => {
      const bars: string[] = []
      for (const [i, share] of shares.entries()) {
        const part = Math.min(1 - under[i]!, share / slots)
        if (part < 0.01) continue
        const foot = round(top + height * (1 - under[i]!))
        bars.push(`M${x(i)} ${foot}v-${round(part * height)}h${STEP}V${foot}z`)
        under[i]! += part
      }
      return `<path d="${bars.join('')}" fill="${COLOURS[colour]!}"/>`
    })
  return [...memory, ...busy]
}

/** A model's time in a place; milliseconds since the beginning. */
interface Stay {
  readonly model: string
  readonly from: number
  loadedAt: number
  until: number
  readonly busy: { readonly from: number; until: number }[]
}

/** Follows what happened on a node, and gives each model a place in its memory. */
function placesOf(
  lane: Lane,
  resident: number,
  { startedAt, endedAt }: Run,
): { readonly places: readonly Stay[][]; readonly away: readonly { from: number; until: number }[] } {
  const end = endedAt - startedAt
  const places: Stay[][] = Array.from({ length: resident }, () => [])
  const held: (Stay | undefined)[] = places.map(() => undefined)
  const away: { from: number; until: number }[] = []
  const placeOf = (model: string): number => held.findIndex(stay => stay?.model === model)
  for (const moment of lane.moments) {
    const at = moment.at - startedAt
    if ('up' in moment) {
      if (moment.up) away.at(-1)!.until = at
      else away.push({ from: at, until: end })
    } else if ('memory' in moment) {
      const { model, memory } = moment
      const place = memory === 'loading' ? held.indexOf(undefined) : placeOf(model)
      if (place === -1) continue
      if (memory === 'loading') {
        const stay: Stay = { model, from: at, loadedAt: end, until: end, busy: [] }
        held[place] = stay
        places[place]!.push(stay)
      } else if (memory === 'loaded') held[place]!.loadedAt = at
      else {
        const stay = held[place]!
        stay.loadedAt = Math.min(stay.loadedAt, at)
        stay.until = at
        // Ollama lets go of the slot before the request is counted out.
        for (const span of stay.busy) span.until = Math.min(span.until, at)
        held[place] = undefined
      }
    } else {
      const stay = held[placeOf(moment.model)]
      if (moment.by === 1) stay?.busy.push({ from: at, until: end })
      else {
        const open = stay?.busy.find(span => span.until === end)
        if (open !== undefined) open.until = at
      }
    }
  }
  return { places, away }
}

/** Adds a span of time to the steps it touches: 1 for a whole step. */
function spread(steps: Float64Array, spanMs: number, from: number, until: number): void {
  const width = spanMs / STEPS
  const last = Math.min(STEPS - 1, Math.floor(until / width))
  for (let i = Math.max(0, Math.floor(from / width)); i <= last; i += 1) {
    const share = Math.min(until, (i + 1) * width) - Math.max(from, i * width)
    if (share > 0) steps[i]! += share / width
  }
}

function step<Key>(rows: Map<Key, Float64Array>, key: Key): Float64Array {
  let row = rows.get(key)
  if (row === undefined) {
    row = new Float64Array(STEPS)
    rows.set(key, row)
  }
  return row
}

/** Neighbouring steps with the same winner, together. Where nothing fills half of a step, nothing is drawn. */
function runsOf(
  rows: ReadonlyMap<string, Float64Array>,
): readonly { readonly key: string; readonly first: number; readonly last: number }[] {
  const runs: { key: string; first: number; last: number }[] = []
  for (let i = 0; i < STEPS; i += 1) {
    let key: string | undefined
    let most = 0
    let all = 0
    for (const [name, row] of rows) {
      all += row[i]!
      if (row[i]! > most) {
        key = name
        most = row[i]!
      }
    }
    if (key === undefined || all < 0.5) continue
    const last = runs.at(-1)
    if (last?.key === key && last.last === i - 1) last.last = i
    else runs.push({ key, first: i, last: i })
  }
  return runs
}

function patterns(fleet: Fleet, palette: ReadonlyMap<string, number>): string {
  const colours = [...new Set(fleet.models.map(({ name }) => palette.get(name)!))]
  const hatch = (id: string, paint: string, ground: string): string =>
    `<pattern id="${id}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="${ground}"/><rect width="2" height="5" fill="${paint}"/></pattern>`
  return `<defs>${colours.map(i => hatch(`load${i}`, COLOURS[i]!, '#ffffff')).join('')}${hatch('away', '#c3cad3', '#eceff3')}</defs>`
}

function legend(fleet: Fleet, palette: ReadonlyMap<string, number>): string {
  const y = 72
  const parts: string[] = []
  let at = LEFT
  const entry = (box: string, label: string): void => {
    parts.push(`<g transform="translate(${at} ${y})">${box}</g>`, text(at + 20, y + 11, label, { size: 12 }))
    at += 20 + label.length * 6.6 + 18
  }
  const box = (fill: string, more = ''): string => `<rect width="14" height="14" fill="${fill}"${more}/>`
  for (const [name, colour] of palette) {
    if (colour < COLOURS.length - 1) entry(box(COLOURS[colour]!), name.replace(/:latest$/, ''))
  }
  if (fleet.models.length >= COLOURS.length) entry(box(COLOURS.at(-1)!), 'other models')
  entry(box('url(#load0)'), 'loading')
  entry(box(COLOURS[0], ' fill-opacity=".22"'), 'in memory')
  entry(
    `${box(COLOURS[0], ' fill-opacity=".22"')}<rect y="5" width="14" height="9" fill="${COLOURS[0]}"/>`,
    'slots at work',
  )
  if (fleet.nodes.some(({ off }) => off.length > 0)) entry(box('url(#away)'), 'away')
  return parts.join('\n')
}

const TICKS_MS = [
  1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
].map(seconds => seconds * 1_000)

function ticksOf(spanMs: number): readonly number[] {
  const every = TICKS_MS.find(ms => spanMs / ms <= 12) ?? Math.ceil(spanMs / 12 / 86_400_000) * 86_400_000
  return Array.from({ length: Math.floor(spanMs / every) + 1 }, (_, i) => i * every)
}

function grid(top: number, bottom: number, spanMs: number): string {
  const lines = ticksOf(spanMs).map(ms => `M${round(xAt(ms, spanMs))} ${top}V${bottom}`)
  return `<path d="${lines.join('')}" stroke="${LINE}" fill="none"/>`
}

function axis(y: number, spanMs: number): string {
  const ticks = ticksOf(spanMs)
  return ticks
    .map((ms, i) =>
      text(xAt(ms, spanMs), y + 16, clockOf(ms), {
        size: 11,
        fill: DIM,
        anchor: i === 0 ? 'start' : 'middle',
      }),
    )
    .join('\n')
}

/** 0, 45 s, 10 min, 1 h 30, 2 d. */
function clockOf(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds === 0) return '0'
  if (seconds < 60) return `${seconds} s`
  const minutes = seconds / 60
  if (minutes < 60) return `${Math.floor(minutes)} min${seconds % 60 === 0 ? '' : ` ${seconds % 60}`}`
  const hours = Math.floor(minutes / 60)
  if (hours >= 48 && hours % 24 === 0) return `${hours / 24} d`
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60}`
}

function spanOf({ outcomes, startedAt, endedAt }: Run): number {
  const last = (span: number, { endedAt: end }: Outcome): number => Math.max(span, (end ?? 0) - startedAt)
  const answered = outcomes.reduce(last, 0)
  return answered === 0 ? endedAt - startedAt : answered
}

function x(i: number): number {
  return LEFT + i * STEP
}

function xAt(ms: number, spanMs: number): number {
  return round(LEFT + Math.min(1, ms / spanMs) * PLOT)
}

function round(n: number): number {
  return Math.round(n * 10) / 10
}

function text(
  left: number,
  y: number,
  said: string,
  {
    size,
    fill = INK,
    weight = 400,
    anchor = 'start',
  }: { size: number; fill?: string; weight?: number; anchor?: string },
): string {
  const style = `font-size="${size}" fill="${fill}"${weight === 400 ? '' : ` font-weight="${weight}"`}${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}`
  return `<text x="${left}" y="${y}" ${style}>${escaped(said)}</text>`
}

function escaped(said: string): string {
  return said.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
