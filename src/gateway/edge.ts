/**
 * Who may come in, before anything is read. Ollama's rules for Host and Origin (against DNS rebinding and other
 * people's web pages), refusals of what makes proxies disagree about a request, and who is trusted to change things.
 */
import type { IncomingMessage } from 'node:http'
import { type BlockList, isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { isLoopback, plain, ranges, within } from '../address.ts'

export interface EdgeNeeds {
  /** The address listened on. */
  readonly host: string
  readonly allowedHosts: readonly string[]
  readonly origins: readonly string[]
  readonly trust: readonly string[]
}

export type Verdict =
  | { readonly pass: true; readonly cors?: string }
  | { readonly pass: false; readonly status: 400 | 403; readonly message: string }

const LOCAL = ranges([
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '0.0.0.0/32',
  '::1/128',
  'fc00::/7',
  '::/128',
])

/** Origins Ollama lets in by itself. */
const ORIGINS = [
  ...['localhost', '127.0.0.1', '0.0.0.0'].flatMap(h => [
    `http://${h}`,
    `https://${h}`,
    `http://${h}:*`,
    `https://${h}:*`,
  ]),
  'app://*',
  'file://*',
  'tauri://*',
  'vscode-webview://*',
  'vscode-file://*',
]

export class Edge {
  readonly #local: boolean
  readonly #hosts: ReadonlySet<string>
  readonly #origins: readonly RegExp[]
  readonly #anyOrigin: boolean
  readonly #trust: BlockList

  constructor({ host, allowedHosts, origins, trust }: EdgeNeeds) {
    this.#local = host === 'localhost' || isLoopback(host)
    this.#hosts = new Set([...allowedHosts, hostname(), host].map(name => name.toLowerCase()))
    this.#anyOrigin = origins.includes('*')
    this.#origins = [...ORIGINS, ...origins].map(pattern)
    this.#trust = ranges(trust, '--trust')
  }

  judge(req: IncomingMessage): Verdict {
    if (!req.url?.startsWith('/') && !(req.method === 'OPTIONS' && req.url === '*')) {
      return no(400, 'the request target must be a path')
    }
    if (count(req.rawHeaders, 'host') > 1) return no(400, 'more than one Host header')
    const host = req.headers.host ?? ''
    const { origin } = req.headers
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      if (!this.#origins.some(allowed => allowed.test(origin))) return no(403, '')
      if (!this.#callable(host)) return no(403, '')
      return { pass: true, cors: this.#anyOrigin ? '*' : origin }
    }
    return this.#callable(host) ? { pass: true } : no(403, '')
  }

  /**
   * Why this caller may not change models and the house; undefined for those who may, which is everybody on a house
   * that listens on this machine only, but for what a proxy passes on.
   */
  distrusts(req: IncomingMessage): string | undefined {
    const address = plain(req.socket.remoteAddress ?? '')
    // A proxy on this machine speaks for strangers, so what it passes on is not local.
    const direct = !('x-forwarded-for' in req.headers || 'forwarded' in req.headers || 'via' in req.headers)
    if (this.#local && direct) return undefined
    if (!(direct && isLoopback(address)) && !within(this.#trust, address)) {
      const range = `${address}/${isIP(address) === 6 ? 128 : 32}`
      const why = direct
        ? 'this house listens beyond its own machine'
        : 'this came through a proxy, perhaps from a stranger'
      return (
        `${why}, and only trusted addresses may do this; to trust ${direct ? 'yours' : "the proxy's"}, start the house ` +
        `with --trust ${range} (or QUIPU_TRUST=${range})`
      )
    }
    if (this.#local) return undefined
    // Any web page can make a browser of the trusted call the house, by a name of its own that leads there. Names
    // without a dot belong to nobody outside.
    const name = nameOf(req.headers.host ?? '')
    if (isIP(name) !== 0 || this.#isOwn(name) || !name.includes('.')) return undefined
    return (
      'this house does not know itself by the name it was called by, and under such a name web pages could call it; ' +
      'call it by its address, or start it with --allow-host and the name (or QUIPU_ALLOW_HOSTS)'
    )
  }

  /** Ollama checks Host only while it listens on loopback; so does the house. */
  #callable(host: string): boolean {
    if (!this.#local) return true
    const name = nameOf(host)
    return isIP(name) === 0 ? this.#isOwn(name) : within(LOCAL, name) || this.#hosts.has(name) || isOurs(name)
  }

  #isOwn(name: string): boolean {
    return (
      name === '' ||
      name === 'localhost' ||
      this.#hosts.has(name) ||
      /\.(localhost|local|internal)$/.test(name)
    )
  }
}

/** Host without port and brackets, in lower case. */
function nameOf(host: string): string {
  if (isIP(host) === 6) return host
  return host
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
}

/** Is it an address of this machine? */
function isOurs(address: string): boolean {
  return Object.values(networkInterfaces()).some(own => own?.some(known => known.address === address))
}

function no(status: 400 | 403, message: string): Verdict {
  return { pass: false, status, message }
}

function count(rawHeaders: readonly string[], name: string): number {
  let n = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === name) n += 1
  return n
}

function pattern(origin: string): RegExp {
  const text = origin.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')
  return new RegExp(`^${text}$`, 'i')
}
