/**
 * Fits a JSON value into a request the way Go fills a struct: unknown fields are ignored, names match in any
 * letter case (the last one wins), `null` is absent, and of several wrong types the first is reported. A type
 * with its own UnmarshalJSON reports at once.
 */
import { GoFault } from './gojson.ts'

/** Where a value stands, for the text of a fault: `ChatRequest.messages.content`. */
interface Place {
  readonly struct: string
  readonly path: string
  /** The first wrong type: Go goes on and reports it at the end. */
  readonly wrong: { first?: string }
}

export type Reader<T> = (value: unknown, place: Place) => T | undefined
type Fields = Record<string, Reader<any>>
export type Read<F> = { -readonly [K in keyof F]?: F[K] extends Reader<infer T> ? T : never }

export interface Struct<F> {
  /** `api.GenerateRequest`; faults about its fields leave the package out. */
  readonly type: string
  readonly fields: F
  readonly folded: ReadonlyMap<string, string>
}

export function struct<F extends Fields>(type: string, fields: F): Struct<F> {
  return { type, fields, folded: new Map(Object.keys(fields).map(key => [key.toLowerCase(), key])) }
}

export function fill<F extends Fields>(into: Struct<F>, value: unknown): Read<F> {
  if (value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value))
    throw new GoFault(`json: cannot unmarshal ${kindOf(value)} into Go value of type ${into.type}`)
  const wrong: { first?: string } = {}
  const read = fillFields(into, value as Record<string, unknown>, {
    struct: bare(into.type),
    path: '',
    wrong,
  })
  if (wrong.first !== undefined) throw new GoFault(wrong.first)
  return read
}

export const text: Reader<string> = (value, place) =>
  typeof value === 'string' ? value : mistake(value, 'string', place)

export const bool: Reader<boolean> = (value, place) =>
  typeof value === 'boolean' ? value : mistake(value, 'bool', place)

export const int: Reader<number> = (value, place) => {
  if (typeof value !== 'number') return mistake(value, 'int', place)
  if (!Number.isInteger(value)) return mistake(`number ${value}`, 'int', place, true)
  return value
}

export const float =
  (type: 'float64' | 'float32'): Reader<number> =>
  (value, place) =>
    typeof value === 'number' ? value : mistake(value, type, place)

/** Go's `any` and json.RawMessage: whatever came. */
export const anything: Reader<any> = value => value

/** Go's `map[string]any`. */
export const dictionary: Reader<Record<string, unknown>> = (value, place) =>
  isObject(value) ? value : mistake(value, 'map[string]interface {}', place)

export const textMap: Reader<Record<string, string>> = (value, place) => {
  if (!isObject(value)) return mistake(value, 'map[string]string', place)
  const read: Record<string, string> = {}
  for (const [key, item] of Object.entries(value))
    read[key] = item === null ? '' : (text(item, { ...place, path: join(place.path, key) }) ?? '')
  return read
}

export const list =
  <T>(item: Reader<T>, type: string): Reader<T[]> =>
  (value, place) => {
    if (!Array.isArray(value)) return mistake(value, type, place)
    const read: T[] = []
    for (const one of value) {
      const got = one === null ? undefined : item(one, place)
      if (got !== undefined) read.push(got)
    }
    return read
  }

/** A struct within a struct: faults name the inner struct and the whole path. */
export const record =
  <F extends Fields>(into: Struct<F>): Reader<Read<F>> =>
  (value, place) =>
    isObject(value)
      ? fillFields(into, value, { ...place, struct: bare(into.type) })
      : mistake(value, into.type, place)

/** A struct that unmarshals itself through an alias: faults keep the outer name and end the reading. */
export const aliased =
  <F extends Fields>(into: Struct<F>): Reader<Read<F>> =>
  (value, place) => {
    const wrong: { first?: string } = {}
    const inner = { ...place, wrong }
    const read = isObject(value) ? fillFields(into, value, inner) : mistake(value, into.type, inner)
    if (wrong.first !== undefined) throw new GoFault(wrong.first)
    return read
  }

/** Bytes travel as base64; only whether they would decode matters here. */
export const base64: Reader<string> = (value, place) => {
  if (typeof value !== 'string') return mistake(value, 'api.ImageData', place)
  const at = base64Fault(value)
  if (at >= 0) place.wrong.first ??= `illegal base64 data at input byte ${at}`
  return value
}

/** Where base64.StdEncoding would stop, or -1. */
export function base64Fault(encoded: string): number {
  let quantum = 0
  let start = 0
  for (let at = 0; at < encoded.length; at += 1) {
    const code = encoded.charCodeAt(at)
    if (code === 10 || code === 13) continue
    if (code === 61) return paddingFault(encoded, at, quantum)
    const known =
      (code >= 65 && code <= 90) ||
      (code >= 97 && code <= 122) ||
      (code >= 48 && code <= 57) ||
      code === 43 ||
      code === 47
    if (!known) return at
    if (quantum === 0) start = at
    quantum = (quantum + 1) % 4
  }
  return quantum === 0 ? -1 : start
}

function paddingFault(encoded: string, at: number, quantum: number): number {
  if (quantum < 2) return at
  const rest = encoded.slice(at + 1).replace(/[\r\n]/g, '')
  if (quantum === 3) return rest === '' ? -1 : at + 1
  if (rest === '') return encoded.length
  if (rest[0] !== '=') return at + 1
  return rest.length === 1 ? -1 : at + 2
}

function fillFields<F extends Fields>(
  into: Struct<F>,
  value: Record<string, unknown>,
  place: Place,
): Read<F> {
  const read: Record<string, unknown> = {}
  for (const sent in value) {
    const field = Object.hasOwn(into.fields, sent) ? sent : into.folded.get(sent.toLowerCase())
    if (field === undefined || value[sent] === null) continue
    const got = into.fields[field]!(value[sent], { ...place, path: join(place.path, field) })
    if (got !== undefined) read[field] = got
  }
  return read as Read<F>
}

function mistake(value: unknown, type: string, place: Place, described = false): undefined {
  const kind = described ? String(value) : kindOf(value)
  place.wrong.first ??= `json: cannot unmarshal ${kind} into Go struct field ${place.struct}.${place.path} of type ${type}`
  return undefined
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bare(type: string): string {
  return type.slice(type.lastIndexOf('.') + 1)
}

function join(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`
}
