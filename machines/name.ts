/**
 * Names of models, as Ollama reads them: `[scheme://][host/][namespace/]model[:tag]`, defaults
 * `registry.ollama.ai`, `library`, `latest`. Part of the law because a model's canonical name is the id of its
 * stream: reading names otherwise would make two streams of one.
 */
export interface Name {
  readonly host: string
  readonly namespace: string
  readonly model: string
  readonly tag: string
}

const HOST = 'registry.ollama.ai'
const NAMESPACE = 'library'
const TAG = 'latest'

const GRAMMAR: Readonly<Record<keyof Name, RegExp>> = {
  host: /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/,
  namespace: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/,
  model: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/,
  tag: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/,
}

/** The parts with their defaults filled in, in the case they came in; undefined where Ollama finds it invalid. */
export function parseName(text: string): Name | undefined {
  const bare = text.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\//, '')
  const colon = bare.lastIndexOf(':')
  const tagged = colon > bare.lastIndexOf('/')
  const path = (tagged ? bare.slice(0, colon) : bare).split('/')
  if (path.length > 3) return undefined
  const [model = '', namespace = NAMESPACE, host = HOST] = path.reverse()
  const name = { host, namespace, model, tag: tagged ? bare.slice(colon + 1) : TAG }
  const valid = (Object.keys(GRAMMAR) as (keyof Name)[]).every(part => GRAMMAR[part].test(name[part]))
  return valid ? name : undefined
}

/** The form people see: the default host goes, and with it the default namespace; the tag stays. */
export function displayName({ host, namespace, model, tag }: Name): string {
  const home = host.toLowerCase() === HOST
  const place = home
    ? namespace.toLowerCase() === NAMESPACE
      ? ''
      : `${namespace}/`
    : `${host}/${namespace}/`
  return `${place}${model}:${tag}`
}

/** One string per model: names are equal whatever their case. Undefined for an invalid name. */
export function canonicalName(text: string): string | undefined {
  const name = parseName(text)
  return name === undefined ? undefined : displayName(name).toLowerCase()
}

/** Where a name says its model runs: `x:cloud` and `x:tag-cloud` at ollama.com, `x:local` here. */
export function sourceOf(text: string): {
  readonly source: 'cloud' | 'local' | 'both' | 'any'
  readonly name: string
} {
  const [last, ...rest] = text.split(':').reverse()
  const name = rest.reverse().join(':')
  const cloudy = (tag: string | undefined): boolean =>
    tag !== undefined && !tag.includes('/') && (/^cloud$/i.test(tag) || /-cloud$/i.test(tag))
  if (rest.length > 0 && /^local$/i.test(last!)) {
    return { source: cloudy(name.split(':').slice(1).at(-1)) ? 'both' : 'local', name }
  }
  return { source: rest.length > 0 && cloudy(last) ? 'cloud' : 'any', name: text }
}
