/** Tables on a terminal: a heading, and columns as wide as their widest cell. */
import { plain, say, type Tint, tinted } from './terminal.ts'

export interface Column<Row> {
  readonly name: string
  readonly cell: (row: Row) => string
  /** Figures stand to the right. */
  readonly right?: true
  /** For what must not be overlooked. */
  readonly tint?: (row: Row) => Tint | undefined
}

const GAP = '   '

/** Prints the rows; where there are none, the sentence that says so. */
export function sayTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], none?: string): void {
  if (rows.length === 0 && none !== undefined) return say(none)
  for (const line of tableLines(rows, columns)) say(line)
}

export function tableLines<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const cells = columns.map(({ cell }) => rows.map(row => plain(cell(row))))
  const widths = columns.map(({ name }, c) => Math.max(name.length, ...cells[c]!.map(({ length }) => length)))
  const line = (texts: readonly string[], tint: (column: number) => Tint | undefined): string => {
    const last = texts.findLastIndex(text => text !== '')
    const placed = texts.slice(0, last + 1).map((text, c) => {
      const room = ' '.repeat(widths[c]! - text.length)
      const colour = tint(c)
      const shown = colour === undefined ? text : tinted(colour, text)
      if (columns[c]!.right) return room + shown
      return c === last ? shown : shown + room
    })
    return placed.join(GAP)
  }
  return [
    line(
      columns.map(({ name }) => name),
      () => 'bold',
    ),
    ...rows.map((row, r) =>
      line(
        cells.map(column => column[r]!),
        c => columns[c]!.tint?.(row),
      ),
    ),
  ]
}
