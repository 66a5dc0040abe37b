/** One frame of `quipu top`: what is known and what somebody wants to see of it, as lines that fit the screen. Pure. */
import type { Bars } from '../bars.ts'
import { countOf, timeOf } from '../quantities.ts'
import { detailLines, HELP, lineLines, modelLines, nodeLines, queueLines, transferLines } from './panels.ts'
import { chosenOf, PANELS, type Picture, underWay, type View } from './picture.ts'
import { cut, foreign, type Line, type Span, span, widthOf } from './span.ts'

export interface Size {
  readonly columns: number
  readonly rows: number
}

type Lines = readonly Line[]

/** As many lines as the screen has rows. Nothing is known as long as the house has never answered. */
export function frame(picture: Picture | undefined, view: View, { columns, rows }: Size, bars: Bars): Lines {
  const head = headLines(picture, view, columns, rows < SMALL ? 1 : 2, bars)
  const foot = footLine(view, columns)
  const room = Math.max(0, rows - head.length - 1)
  const body = picture === undefined ? [] : bodyLines(picture, view, columns, room, bars)
  const filled: Lines = [
    ...head,
    ...body.slice(0, room),
    ...Array<Line>(Math.max(0, room - body.length)).fill([]),
  ]
  return [...filled.slice(0, Math.max(0, rows - 1)), foot].map(line => cut(line, columns, bars.more))
}

/** On so few rows the nodes matter more than a second line above them. */
const SMALL = 8

/** All there is, for paper: no end of the screen, nothing chosen. */
export function sheet(picture: Picture, columns: number, bars: Bars): Lines {
  const transfers = transferLines(underWay(picture), columns, bars)
  return [
    ...headLines(picture, NOBODY, columns, 2, bars),
    [],
    ...nodesOrNone(picture, NOBODY, columns, { ...bars, chosen: ' ' }).map(line =>
      line.map(({ text }) => span(text)),
    ),
    ...(transfers.length === 0 ? [] : [[], ...transfers]),
    [],
    ...lineLines(picture, columns, bars),
  ].map(line => cut(line, columns, bars.more))
}

const NOBODY: View = { panel: 'nodes', details: false, help: false, scroll: 0 }

/** How many rows of nodes, or of whatever is shown, a page has. */
export function pageOf({ rows }: Size): number {
  return Math.max(1, rows - 6)
}

// ── head and foot ────────────────────────────────────────────────────────────────────────────────────────────────

function headLines(
  picture: Picture | undefined,
  view: View,
  columns: number,
  most: number,
  bars: Bars,
): Lines {
  const lines =
    picture === undefined
      ? [[span('quipu top', 'bold')]]
      : wrapped(headOf(picture, columns, bars), columns, most)
  if (view.silent === undefined) return lines
  const { since, why } = view.silent
  const clock = timeOf(since).slice(11, 19)
  return [...lines, [span(`The house does not answer, since ${clock}: ${foreign(why, bars)}`, 'red')]]
}

/** What must not be overlooked comes first, what is always the same last. */
function headOf({ house, url, counts }: Picture, columns: number, bars: Bars): readonly Span[] {
  const { version, nodes, requests, journal, disk } = house
  const { perMinute } = counts
  return [
    span(`quipu ${foreign(version, bars)}`, 'bold'),
    ...(columns < ROOMY ? [] : [span(foreign(url.replace(/^http:\/\//, ''), bars))]),
    ...(journal.writable ? [] : [span('JOURNAL NOT WRITABLE', 'red')]),
    ...(disk.standing === 'fine'
      ? []
      : [span(`disk ${disk.standing}`, disk.standing === 'full' ? 'red' : 'yellow')]),
    span(`${nodes.up}/${nodes.total} nodes up`, nodes.up < nodes.total ? 'yellow' : undefined),
    span(`${countOf(requests.running)} running`),
    span(`${countOf(requests.waiting)} waiting`),
    span(`${perMinute === undefined ? '?' : countOf(perMinute)} a minute`),
    ...(journal.writable ? [span('journal writable')] : []),
  ]
}

/** The address fits in beside all that. */
const ROOMY = 100

function wrapped(parts: readonly Span[], columns: number, most: number): Lines {
  const lines: Span[][] = [[]]
  for (const part of parts) {
    const line = lines.at(-1)!
    if (line.length === 0) line.push(part)
    else if (widthOf(line) + 2 + part.text.length <= columns || lines.length === most)
      line.push(span('  '), part)
    else lines.push([part])
  }
  return lines
}

function footLine({ panel, message, details, help }: View, columns: number): Line {
  if (message !== undefined) return [span(message.text, message.bad ? 'red' : 'green')]
  if (details || help) return [span('esc', 'bold'), span(' back  '), span('q', 'bold'), span(' quit')]
  const tabs = PANELS.flatMap((name): Span[] => [
    span(name === panel ? `[${name}]` : ` ${name} `, name === panel ? 'bold' : 'dim'),
  ])
  const ends = [
    ['?', 'help'],
    ['q', 'quit'],
  ] as const
  const deeds =
    panel === 'nodes'
      ? ([
          ['d', 'drain'],
          ['r', 'resume'],
          ['enter', 'details'],
        ] as const)
      : []
  // As much as there is room for; help has it all.
  const choices = [[['tab', 'next'], ...deeds, ...ends], [...deeds, ...ends], ends, ends.slice(0, 1)] as const
  const lines = choices.map(
    (keys): Line => [
      ...tabs,
      ...keys.flatMap(([key, does]): Span[] => [span('  '), span(key, 'bold'), span(` ${does}`)]),
    ],
  )
  return lines.find(line => widthOf(line) <= columns) ?? lines.at(-1)!
}

// ── body ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function bodyLines(picture: Picture, view: View, columns: number, room: number, bars: Bars): Lines {
  if (view.help) return scrolled(HELP, view.scroll, room)
  if (view.details) return scrolled(detailLines(picture, view, columns, bars), view.scroll, room)
  if (view.panel === 'queue') return headed(queueLines(picture, columns, bars), view.scroll, room)
  if (view.panel === 'models') return headed(modelLines(picture, columns, bars), view.scroll, room)
  const nodes = nodesOrNone(picture, view, columns, bars)
  const others = [transferLines(underWay(picture), columns, bars), lineLines(picture, columns, bars)].filter(
    ({ length }) => length > 0,
  )
  // What comes after the nodes gets what they leave, and half of the room where they would leave less.
  const left = Math.max(room - nodes.length, Math.floor(room / 2))
  const below: Line[] = []
  for (const [i, lines] of others.entries()) {
    const most = Math.floor((left - below.length) / (others.length - i)) - 1
    // A heading alone says nothing.
    if (most >= Math.min(lines.length, 3)) below.push([], ...shortened(lines, most, bars))
  }
  const { nodes: rows } = picture
  const chosen = rows.findIndex(({ name }) => name === chosenOf(picture, view)?.name)
  return [...around(nodes, chosen, room - below.length), ...below]
}

function nodesOrNone(picture: Picture, view: View, columns: number, bars: Bars): Lines {
  if (picture.nodes.length > 0) return nodeLines(picture, view, columns, bars)
  return [[span('No node is registered. Add one with: quipu nodes add http://HOST:11434', 'dim')]]
}

/** The heading stays, and the chosen row is always seen. */
function around([heading, ...lines]: Lines, chosen: number, room: number): Lines {
  if (heading === undefined || room < 1) return []
  const fits = Math.max(room - 1, 0)
  const first = Math.min(Math.max(0, chosen - Math.floor(fits / 2)), Math.max(0, lines.length - fits))
  return [heading, ...lines.slice(first, first + fits)]
}

function headed([heading, ...lines]: Lines, scroll: number, room: number): Lines {
  return heading === undefined ? [] : [heading, ...scrolled(lines, scroll, room - 1)]
}

/** Not past the end. */
function scrolled(lines: Lines, scroll: number, room: number): Lines {
  const first = Math.min(scroll, Math.max(0, lines.length - room))
  return lines.slice(first, first + Math.max(0, room))
}

function shortened(lines: Lines, room: number, { more }: Bars): Lines {
  if (lines.length <= room) return lines
  if (room < 2) return lines.slice(0, room)
  return [...lines.slice(0, room - 1), [span(`${more} ${lines.length - room + 1} more`, 'dim')]]
}
