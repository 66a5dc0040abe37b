/**
 * The `model` field of a form (multipart/form-data), read strictly: what two parsers could read differently is refused,
 * so that nobody tells the house one model and the node another. Browsers, curl and the SDKs all write it this way.
 */
export interface Form {
  /** The first field of that name. */
  readonly model?: string
  readonly unreadable?: string
}

const CONTENT_TYPE =
  /^multipart\/form-data\s*;\s*boundary=(?:"([\w'()+,./:=? -]{1,70})"|([\w'()+,./:=?-]{1,70}))\s*(?:;\s*charset=[\w-]+\s*)?$/i
const PARTS_MAX = 1_000
const HEAD_BYTES_MAX = 16 * 1024
const MODEL_BYTES_MAX = 1_024

export function formModel(body: Buffer, contentType: string): Form {
  const type = CONTENT_TYPE.exec(contentType)
  if (type === null) return { unreadable: "request Content-Type isn't multipart/form-data with a boundary" }
  const mark = `--${type[1] ?? type[2]}`
  const line = `\r\n${mark}`
  if (body.toString('latin1', 0, mark.length) !== mark)
    return { unreadable: 'it does not begin with its boundary' }
  let model: string | undefined
  let at = mark.length
  for (let parts = 0; parts <= PARTS_MAX; parts += 1) {
    const after = body.toString('latin1', at, at + 2)
    if (after === '--') return model === undefined ? {} : { model }
    if (after !== '\r\n') return { unreadable: 'something follows a boundary' }
    const head = body.indexOf('\r\n\r\n', at + 2)
    if (head < 0 || head - at > HEAD_BYTES_MAX) return { unreadable: 'a part has no end of its headers' }
    const end = boundaryAfter(body, line, head + 2)
    if (end < 0) return { unreadable: 'unexpected EOF' }
    const name = fieldName(body.toString('latin1', at + 2, head))
    if (name === undefined) return { unreadable: 'a part has headers that can be read in more than one way' }
    if (name === 'model' && model === undefined) {
      if (end - head > MODEL_BYTES_MAX) return { unreadable: 'the model has too long a name' }
      model = body.toString('utf8', head + 4, end)
    }
    at = end + line.length
  }
  return { unreadable: 'too many parts' }
}

/** Where the next boundary line begins. What only looks like one, because more follows, is content to every reader. */
function boundaryAfter(body: Buffer, line: string, from: number): number {
  for (let at = body.indexOf(line, from); at >= 0; at = body.indexOf(line, at + 2)) {
    const next = body[at + line.length]
    if (next === 0x0d || next === 0x2d || next === 0x0a || next === 0x20 || next === 0x09) return at
  }
  return -1
}

/** '' for a file, undefined for anything unusual. */
function fieldName(head: string): string | undefined {
  const lines = head.split('\r\n')
  if (!lines.every(line => /^[\w-]+:[^\r\n\0]*$/.test(line))) return undefined
  if (lines.some(line => /^content-transfer-encoding:(?!\s*(?:[78]bit|binary)\s*$)/i.test(line)))
    return undefined
  const dispositions = lines.filter(line => /^content-disposition:/i.test(line))
  if (dispositions.length !== 1) return undefined
  const found = /^content-disposition:[ \t]*form-data;[ \t]*name="([^"\\]*)"(.*)$/i.exec(dispositions[0]!)
  if (found === null) return undefined
  const more = found[2]!.replace(/"(?:[^"\\]|\\.)*"/g, '""')
  if (more === '') return found[1]
  if (!/^;[ \t]*filename/i.test(more) || /;[ \t]*name\b/i.test(more)) return undefined
  return found[1] === 'model' ? undefined : ''
}
