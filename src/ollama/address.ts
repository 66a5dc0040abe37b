/**
 * Which addresses a node may have. A node's URL is where the house sends other people's prompts, so it is checked
 * when it is registered, and the address it resolves to again at each connection (DNS answers change, and a journal
 * may be older than the rules).
 */
import type { lookup } from 'node:dns'
import { guarded, hostOf, ranges, within } from '../address.ts'
import { Failure } from '../failure.ts'

/** Link-local, where the clouds' metadata services live, and where else some of them do. */
const linkLocal = ranges([
  '169.254.0.0/16',
  'fe80::/10',
  '64:ff9b::a9fe:0/112', // 169.254.0.0/16 through NAT64
  'fd00:ec2::254', // Amazon
  '100.100.100.200', // Alibaba
])

/** Multicast, reserved, broadcast: never one machine. */
const never = ranges(['224.0.0.0/4', '240.0.0.0/4', 'ff00::/8'])

const URL_LENGTH_MAX = 1_024

const PROTOCOLS: ReadonlySet<string> = new Set(['http:', 'https:', 'grpc:'])

export const OLLAMA_PORT = '11434'

/** OLLAMA_HOST as Ollama reads it; undefined where it is no address. */
export function addressOf(ollamaHost: string): string | undefined {
  const text = ollamaHost.trim() === '' ? `127.0.0.1:${OLLAMA_PORT}` : ollamaHost.trim()
  try {
    const url = new URL(/^https?:\/\//i.test(text) ? text : `http://${text}`)
    if (!/^https?:\/\//i.test(text) && url.port === '') url.port = OLLAMA_PORT
    if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
    return url.href
  } catch {
    return undefined
  }
}

/** The URL in its plain form, without a trailing slash. `attached`: of an agent that is here. Throws a Failure `node.url`. */
export function checkAddress(
  text: string,
  { linkLocal: allowed, attached = false }: { linkLocal: boolean; attached?: boolean },
): string {
  if (text.length > URL_LENGTH_MAX) throw bad(`a node URL has at most ${URL_LENGTH_MAX} characters`)
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw bad(`"${text}" is not a URL; write it as http://HOST:11434`)
  }
  if (url.username !== '' || url.password !== '') {
    throw bad('a node URL must not hold a user or password: it is written into the journal')
  }
  if (url.protocol === 'agent:') {
    if (attached) return url.href
    throw bad(`"${text}" is how a node is called whose agent attaches: start \`quipu agent\` there`)
  }
  if (!PROTOCOLS.has(url.protocol)) {
    throw bad(`"${text}" is neither http nor https, nor grpc for an agent that listens`)
  }
  if (url.protocol === 'grpc:' && (url.port === '' || !/^\/?$/.test(url.pathname))) {
    throw bad(`"${text}" needs a port, and no path; write it as grpc://HOST:PORT`)
  }
  if (url.search !== '' || url.hash !== '') throw bad(`"${text}" must end with the host, the port or a path`)
  const why = objection(hostOf(url), allowed)
  if (why !== undefined) throw bad(why)
  return url.href.replace(/\/+$/, '')
}

/** Why a node may not be at this address; names are looked up later, see guardedLookup(). */
export function objection(host: string, linkLocalAllowed: boolean): string | undefined {
  if (within(never, host)) return `${host} is not an address of one machine`
  if (linkLocalAllowed || !within(linkLocal, host)) return undefined
  return `${host} is link-local; if a node really lives there, start the house with --link-local on`
}

/** A `lookup` for sockets that refuses the same addresses, whatever a name resolves to. */
export function guardedLookup(linkLocalAllowed: boolean): typeof lookup {
  return guarded(address => {
    const why = objection(address, linkLocalAllowed)
    return why === undefined ? undefined : bad(why)
  })
}

function bad(message: string): Failure {
  return new Failure('node.url', message)
}
