/** What people and programs read: lines on stdout, remarks on stderr. Colours on a terminal only. */
import { stripVTControlCharacters, styleText } from 'node:util'

export type Tint = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

export function say(line = ''): void {
  process.stdout.write(`${line}\n`)
}

export function sayJson(value: unknown): void {
  say(JSON.stringify(value, null, 2))
}

export function remark(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** styleText itself asks whether the stream is a terminal, and minds NO_COLOR. */
export function tinted(tint: Tint | readonly Tint[], text: string): string {
  return styleText(tint as Tint, text, { stream: process.stdout })
}

/** Names and messages come from other machines: nothing in them may move the cursor or recolour the screen. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones meant
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
}

/** As much as fits on the terminal's line; all of it where there is no terminal. */
export function fitted(line: string): string {
  const { isTTY, columns } = process.stdout
  return isTTY && columns > 1 && line.length > columns ? `${line.slice(0, columns - 1)}…` : line
}

/** A line that the next one replaces; nothing where stderr is not a terminal. */
export function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`)
}
