/** Server-sent events out of text (HTML Standard, 9.2.6), as far as a house sends them: `field: value` and comments. */

export interface Frame {
  /** Where to go on after this one: the last id so far. */
  readonly id: string
  readonly event: string
  /** '' where only the id moved on. */
  readonly data: string
}

/** Takes text as it comes, gives the frames that are whole. */
export class Frames {
  #rest = ''
  #id = ''

  take(text: string): Frame[] {
    const blocks = (this.#rest + text).split('\n\n')
    this.#rest = blocks.pop()!
    return blocks.map(block => this.#frame(block))
  }

  #frame(block: string): Frame {
    let event = ''
    const data: string[] = []
    for (const line of block.split('\n')) {
      const colon = line.indexOf(': ')
      const field = line.slice(0, colon)
      const value = line.slice(colon + 2)
      if (field === 'id') this.#id = value
      else if (field === 'event') event = value
      else if (field === 'data') data.push(value)
    }
    return { id: this.#id, event, data: data.join('\n') }
  }
}
