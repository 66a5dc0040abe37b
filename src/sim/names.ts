/**
 * Model names the way Ollama 0.33 reads them: `[scheme://][host/][namespace/]model[:tag]`, with defaults
 * `registry.ollama.ai`, `library`, `latest`; and the source suffixes `:cloud`, `-cloud`, `:local` before that.
 */
export interface Name {
  readonly host: string
  readonly namespace: string
  readonly model: string
  readonly tag: string
}

export interface ModelRef {
  /** As sent, without a source suffix. */
  readonly base: string
  readonly source: 'any' | 'local' | 'cloud'
  readonly name: Name
}

export type NameFault = 'required' | 'conflict' | 'invalid'

const HOST = 'registry.ollama.ai'
const NAMESPACE = 'library'
const TAG = 'latest'
/** What an empty part becomes beside a separator: no valid name contains it. */
const MISSING = '!MISSING!'

const HOST_FORM = /^\w[\w.:-]{0,349}$/
const NAMESPACE_FORM = /^\w[\w-]{0,79}$/
const PART_FORM = /^\w[\w.-]{0,79}$/

export function parseName(text: string): Name {
  let rest = text
  let tag: string | undefined
  if (rest.lastIndexOf(':') > rest.lastIndexOf('/')) [rest, tag] = cutLast(rest, ':')!
  const model = cutLast(rest, '/')
  if (model === undefined) return named(HOST, NAMESPACE, rest, tag)
  const namespace = cutLast(model[0], '/')
  if (namespace === undefined) return named(HOST, model[0], model[1], tag)
  const scheme = namespace[0].indexOf('://')
  return named(scheme < 0 ? namespace[0] : namespace[0].slice(scheme + 3), namespace[1], model[1], tag)
}

export function isValid(name: Name): boolean {
  return (
    HOST_FORM.test(name.host) &&
    NAMESPACE_FORM.test(name.namespace) &&
    PART_FORM.test(name.model) &&
    PART_FORM.test(name.tag)
  )
}

export function fullName(name: Name): string {
  return `${name.host}/${name.namespace}/${name.model}:${name.tag}`
}

/** What tags, ps and copies show: without the default host and its default namespace, always with the tag. */
export function displayName({ host, namespace, model, tag }: Name): string {
  if (host.toLowerCase() !== HOST) return `${host}/${namespace}/${model}:${tag}`
  if (namespace.toLowerCase() !== NAMESPACE) return `${namespace}/${model}:${tag}`
  return `${model}:${tag}`
}

/** Equal for names that a node takes for the same. */
export function nameKey(name: Name): string {
  return fullName(name).toLowerCase()
}

export function parseRef(raw: string): ModelRef | NameFault {
  const text = raw.trim()
  if (text === '') return 'required'
  const [base, source] = cutSource(text)
  if (source !== 'any' && cutSource(base)[1] !== 'any') return 'conflict'
  const name = parseName(base)
  return isValid(name) ? { base, source, name } : 'invalid'
}

/** For pull and delete: `x:cloud` stays `x:cloud`, `x:20b:cloud` becomes `x:20b-cloud`. */
export function parsePullName(raw: string): Name | NameFault {
  const ref = parseRef(raw)
  if (typeof ref === 'string' || ref.source !== 'cloud') return typeof ref === 'string' ? ref : ref.name
  const tagged = ref.base.lastIndexOf(':') > ref.base.lastIndexOf('/')
  const name = parseName(ref.base + (tagged ? '-cloud' : ':cloud'))
  return isValid(name) ? name : 'invalid'
}

export function conflictText(raw: string): string {
  return `use either :local or :cloud, not both: ${JSON.stringify(raw.trim())}`
}

function cutSource(text: string): [base: string, source: ModelRef['source']] {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return [text, 'any']
  const suffix = text.slice(colon + 1).trim()
  const word = suffix.toLowerCase()
  if (word === 'cloud' || word === 'local') return [text.slice(0, colon), word]
  if (word.endsWith('-cloud') && !word.includes('/'))
    return [text.slice(0, colon + 1) + suffix.slice(0, -'-cloud'.length), 'cloud']
  return [text, 'any']
}

function cutLast(text: string, separator: string): [before: string, after: string] | undefined {
  const at = text.lastIndexOf(separator)
  return at < 0 ? undefined : [text.slice(0, at) || MISSING, text.slice(at + 1) || MISSING]
}

function named(host: string, namespace: string, model: string, tag: string | undefined): Name {
  return { host: host || HOST, namespace: namespace || NAMESPACE, model, tag: tag || TAG }
}
