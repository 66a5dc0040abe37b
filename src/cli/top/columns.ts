/** Tables that must fit: columns give way, the least important first, and what is left is cut, never wrapped. Pure. */
import type { Bars } from '../bars.ts'
import { fit, fitRight, type Line, type Span, span } from './span.ts'

export interface Column<Row> {
  readonly name: string
  readonly cell: (row: Row) => Span
  readonly right?: true
  /** May be cut down to this. */
  readonly least?: number
  /** The highest gives way first; without one it stays. */
  readonly spare?: number
}

const GAP = 2

/** A heading, and a line a row, none wider than told. */
export function columnLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
  { more }: Bars,
): readonly [heading: Line, ...lines: Line[]] {
  const drawn = columns.map(column => {
    const cells = rows.map(column.cell)
    return { column, cells, wide: Math.max(column.name.length, ...cells.map(({ text }) => text.length)) }
  })
  const kept = fitting(drawn, width)
  const line = (cellOf: (column: (typeof kept)[number]) => Span): Line =>
    kept.flatMap((column, i): Span[] => {
      const { text, tint } = cellOf(column)
      const placed = (column.column.right ? fitRight : fit)(text, column.wide, more)
      return [...(i === 0 ? [] : [span(' '.repeat(GAP))]), span(placed, tint)]
    })
  return [
    line(({ column }) => span(column.name, 'bold')),
    ...rows.map((_row, r) => line(({ cells }) => cells[r]!)),
  ]
}

interface Drawn<Row> {
  readonly column: Column<Row>
  readonly cells: readonly Span[]
  readonly wide: number
}

function fitting<Row>(columns: readonly Drawn<Row>[], width: number): readonly Drawn<Row>[] {
  let over = columns.reduce((sum, { wide }) => sum + wide + GAP, -GAP) - width
  if (over <= 0) return columns
  // From the right: what a row is about stands at its left.
  const narrow = columns.toReversed().map(drawn => {
    const { least = drawn.wide } = drawn.column
    const given = Math.min(Math.max(over, 0), Math.max(drawn.wide - least, 0))
    over -= given
    return { ...drawn, wide: drawn.wide - given }
  })
  narrow.reverse()
  if (over <= 0) return narrow
  const spares = columns.flatMap(({ column: { spare } }) => spare ?? [])
  if (spares.length === 0) return narrow
  const first = Math.max(...spares)
  return fitting(
    columns.filter(({ column }) => column.spare !== first),
    width,
  )
}
