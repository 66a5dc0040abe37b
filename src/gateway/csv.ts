/** Rows as CSV (RFC 4180), safe to open in a spreadsheet. */

type Row = Readonly<Record<string, unknown>>

/** A line of names, then a line a row. Several values in one are separated by blanks; what is null is empty. */
export function csv(columns: readonly string[], rows: readonly object[]): string {
  const lines = [columns, ...rows.map(row => columns.map(column => cell((row as Row)[column])))]
  return lines.map(line => `${line.join(',')}\r\n`).join('')
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string' && !Array.isArray(value)) return String(value)
  const text = Array.isArray(value) ? value.join(' ') : value
  // What begins so is a formula to a spreadsheet, and nodes say what they like of their models.
  const tame = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(tame) ? `"${tame.replaceAll('"', '""')}"` : tame
}
