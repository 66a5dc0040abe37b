/** As much of a terminal as `quipu top` needs: what a person would see after all these bytes. */

export class Emulator {
  readonly #columns: number
  readonly #rows: number
  #screen: string[][]
  #theirs: { readonly screen: string[][]; readonly row: number; readonly column: number } | undefined
  #rest = ''
  #row = 0
  #column = 0
  cursor = true
  wraps = true
  /** Whatever was not understood: a terminal would show it as dirt. */
  readonly unknown: string[] = []

  constructor(columns: number, rows: number) {
    this.#columns = columns
    this.#rows = rows
    this.#screen = this.#blank()
  }

  /** Is it the screen of the program, not that of the shell? */
  get alternate(): boolean {
    return this.#theirs !== undefined
  }

  get text(): string {
    return this.#screen.map(row => row.join('').trimEnd()).join('\n')
  }

  write(chunk: string): void {
    // Bytes come as they come: the end of a chunk may be in the middle of a command.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the language of terminals
    const [, bytes = '', rest = ''] = /^(.*?)(\u001b(?:\[[?\d;]*)?)?$/s.exec(this.#rest + chunk)!
    this.#rest = rest
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the language of terminals
    for (const [piece, mode, args, final] of bytes.matchAll(/\u001b\[(\??)([\d;]*)([A-Za-z])|./gsu)) {
      if (final === undefined) this.#letter(piece)
      else this.#obey(`${mode}${final}`, args ?? '')
    }
  }

  #letter(letter: string): void {
    if (letter === '\r') this.#column = 0
    else if (letter === '\n') this.#down()
    else if (letter < ' ') this.unknown.push(letter)
    else {
      if (this.#column >= this.#columns && this.wraps) {
        this.#column = 0
        this.#down()
      } else if (this.#column >= this.#columns) {
        this.unknown.push(`a letter beyond the line: ${letter}`)
        this.#column = this.#columns - 1
      }
      this.#screen[this.#row]![this.#column] = letter
      this.#column += 1
    }
  }

  #down(): void {
    if (this.#row < this.#rows - 1) {
      this.#row += 1
      return
    }
    this.#screen.shift()
    this.#screen.push(Array<string>(this.#columns).fill(' '))
  }

  #obey(what: string, args: string): void {
    const [first = 1, second = 1] = args === '' ? [] : args.split(';').map(Number)
    if (what === 'H') [this.#row, this.#column] = [Math.min(first, this.#rows) - 1, second - 1]
    else if (what === 'K') this.#screen[this.#row]!.fill(' ', this.#column)
    else if (what === 'J' && args === '2') this.#screen = this.#blank()
    else if (what === 'm') return
    else if (what === '?h' || what === '?l') this.#mode(args, what === '?h')
    else this.unknown.push(`${what} ${args}`)
  }

  #mode(mode: string, on: boolean): void {
    if (mode === '25') this.cursor = on
    else if (mode === '7') this.wraps = on
    else if (mode !== '1049') this.unknown.push(`mode ${mode}`)
    else if (on && this.#theirs === undefined) {
      this.#theirs = { screen: this.#screen, row: this.#row, column: this.#column }
      this.#screen = this.#blank()
    } else if (!on && this.#theirs !== undefined) {
      this.#screen = this.#theirs.screen
      this.#row = this.#theirs.row
      this.#column = this.#theirs.column
      this.#theirs = undefined
    }
  }

  #blank(): string[][] {
    return Array.from({ length: this.#rows }, () => Array<string>(this.#columns).fill(' '))
  }
}
