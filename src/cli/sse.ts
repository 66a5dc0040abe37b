/** Server-sent events out of lines (HTML Standard, 9.2.6), as far as a house sends them. */

export interface Frame {
  /** Where to go on after this one: the last id so far. */
  readonly id: string
  readonly event: string
  /** '' where only the id moved on. */
  readonly data: string
}

/** `hear` is called for every line, comments too: they are signs of life. */
export async function* frames(lines: AsyncIterable<string>, hear: () => void): AsyncGenerator<Frame> {
  let id = ''
  let event = ''
  let data: string[] = []
  for await (const line of lines) {
    hear()
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? []
    if (line === '') {
      yield { id, event, data: data.join('\n') }
      event = ''
      data = []
    } else if (field === 'id') id = value
    else if (field === 'event') event = value
    else if (field === 'data') data.push(value)
  }
}
