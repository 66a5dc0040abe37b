/**
 * JSON as Go's encoding/json reads and writes it: only the first value of a body counts, faults have Go's
 * texts, and `<`, `>`, `&` leave escaped. `gostruct.ts` fits a read value into a request.
 */

/** A body that encoding/json would refuse, in its words. `EOF` alone means: nothing was there. */
export class GoFault extends Error {
  override readonly name = 'GoFault'
}

export function goParse(body: Buffer): unknown {
  const text = body.toString()
  try {
    return JSON.parse(text)
  } catch {
    // Almost every body is one well-formed value; only the others pay for a look at their bytes.
    return JSON.parse(body.subarray(0, firstValueEnd(body)).toString())
  }
}

const ESCAPED = /[<>&\u2028\u2029]/
const ESCAPES: Record<string, string> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** Keys in the order given, which is the order of the Go struct; `undefined` is what omitempty leaves out. */
export function goJson(value: unknown): string {
  const text = JSON.stringify(value)
  return ESCAPED.test(text) ? text.replace(/[<>&\u2028\u2029]/g, character => ESCAPES[character]!) : text
}

/** As a Go map leaves: keys sorted at every depth. */
export function goMap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(goMap)
  if (value === null || typeof value !== 'object') return value
  const sorted: Record<string, unknown> = {}
  for (const key of Object.keys(value).sort()) sorted[key] = goMap((value as Record<string, unknown>)[key])
  return sorted
}

/** `%q` for texts without exotic characters. */
export function goQuote(text: string): string {
  return JSON.stringify(text)
}

/** RFC 3339 with up to nine digits, trailing zeros dropped. `ms` may have a fraction. */
export function rfc3339(ms: number): string {
  const whole = Math.floor(ms)
  const iso = new Date(whole).toISOString()
  const nanos = Math.floor((ms - whole) * 1e6)
  let digits = iso.slice(20, 23) + String(nanos).padStart(6, '0')
  let end = 9
  while (end > 0 && digits.charCodeAt(end - 1) === 48) end -= 1
  digits = digits.slice(0, end)
  return `${iso.slice(0, 19)}${digits === '' ? '' : `.${digits}`}Z`
}

/**
 * Walks the bytes of the first value as Go's scanner does and answers where it ends, or throws what the
 * scanner says at the first byte it does not like.
 */
function firstValueEnd(bytes: Buffer): number {
  const DEPTH_MAX = 10_000
  const open: Array<'object' | 'array'> = []
  let at = 0

  const peek = (): number => bytes[at] ?? -1
  const fault = (context: string): never => {
    if (at >= bytes.length) throw new GoFault('unexpected EOF')
    throw new GoFault(`invalid character ${quoteByte(bytes[at]!)} ${context}`)
  }
  const blanks = (): void => {
    while (peek() === 0x20 || peek() === 0x0a || peek() === 0x0d || peek() === 0x09) at += 1
  }
  const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39
  const digits = (context: string): void => {
    if (!isDigit(peek())) fault(context)
    while (isDigit(peek())) at += 1
  }

  const string = (): void => {
    at += 1
    for (;;) {
      const byte = peek()
      if (byte < 0x20) fault('in string literal')
      at += 1
      if (byte === 0x22) return
      if (byte !== 0x5c) continue
      if (peek() === 0x75) {
        at += 1
        for (let i = 0; i < 4; i += 1, at += 1)
          if (!/[0-9a-fA-F]/.test(String.fromCharCode(Math.max(peek(), 0))))
            fault('in \\u hexadecimal character escape')
      } else {
        if (!'bfnrt\\/"'.includes(String.fromCharCode(Math.max(peek(), 0)))) fault('in string escape code')
        at += 1
      }
    }
  }
  const number = (): void => {
    if (peek() === 0x2d) at += 1
    if (peek() === 0x30) at += 1
    else digits('in numeric literal')
    if (peek() === 0x2e) {
      at += 1
      digits('after decimal point in numeric literal')
    }
    if (peek() === 0x65 || peek() === 0x45) {
      at += 1
      if (peek() === 0x2b || peek() === 0x2d) at += 1
      digits('in exponent of numeric literal')
    }
  }
  const word = (expected: string): void => {
    for (let i = 0; i < expected.length; i += 1, at += 1)
      if (peek() !== expected.charCodeAt(i)) fault(`in literal ${expected} (expecting '${expected[i]}')`)
  }
  const key = (): void => {
    if (peek() !== 0x22) fault('looking for beginning of object key string')
    string()
    blanks()
    if (peek() !== 0x3a) fault('after object key')
    at += 1
  }

  blanks()
  if (at >= bytes.length) throw new GoFault('EOF')
  for (;;) {
    blanks()
    const byte = peek()
    if (byte === 0x7b || byte === 0x5b) {
      if (open.push(byte === 0x7b ? 'object' : 'array') > DEPTH_MAX) throw new GoFault('exceeded max depth')
      at += 1
      blanks()
      const empty = byte === 0x7b ? 0x7d : 0x5d
      if (peek() !== empty) {
        if (byte === 0x7b) key()
        continue
      }
      at += 1
      open.pop()
    } else if (byte === 0x22) string()
    else if (byte === 0x2d || isDigit(byte)) number()
    else if (byte === 0x74) word('true')
    else if (byte === 0x66) word('false')
    else if (byte === 0x6e) word('null')
    else fault('looking for beginning of value')

    // A value is complete: close what it closes, then go on to the next one or be done.
    for (;;) {
      const inside = open.at(-1)
      if (inside === undefined) return at
      blanks()
      const next = peek()
      if (next === 0x2c) {
        at += 1
        blanks()
        if (inside === 'object') key()
        break
      }
      if (next !== (inside === 'object' ? 0x7d : 0x5d))
        fault(inside === 'object' ? 'after object key:value pair' : 'after array element')
      at += 1
      open.pop()
    }
  }
}

function quoteByte(byte: number): string {
  const character = String.fromCharCode(byte)
  if (character === "'") return "'\\''"
  if (character === '"') return `'"'`
  if (character === '\\') return "'\\\\'"
  const short: Record<number, string> = { 7: 'a', 8: 'b', 9: 't', 10: 'n', 11: 'v', 12: 'f', 13: 'r' }
  if (short[byte] !== undefined) return `'\\${short[byte]}'`
  if (byte < 0x20 || byte === 0x7f) return `'\\x${byte.toString(16).padStart(2, '0')}'`
  if ((byte >= 0x80 && byte <= 0xa0) || byte === 0xad) return `'\\u${byte.toString(16).padStart(4, '0')}'`
  return `'${character}'`
}
