/**
 * Who may come in, before anything is read. Ollama's rules for Host and Origin (against DNS rebinding and other
 * people's web pages), refusals of what makes proxies disagree about a request, and who is trusted to change things.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { hostname } from 'node:os'

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

const LOOPBACK = list(['127.0.0.0/8', '::1/128'])
const LOCAL = list([
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
    this.#local = host === 'localhost' || within(LOOPBACK, host)
    this.#hosts = new Set([...allowedHosts, hostname().toLowerCase(), host.toLowerCase()])
    this.#anyOrigin = origins.includes('*')
    this.#origins = [...ORIGINS, ...origins].map(pattern)
    this.#trust = list(trust)
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

  /** May this caller change models and the house? Everybody on a house that listens on this machine only. */
  trusts(req: IncomingMessage): boolean {
    if (this.#local) return true
    const address = req.socket.remoteAddress ?? ''
    // A proxy on this machine speaks for strangers, so what it passes on is not local.
    const direct = !('x-forwarded-for' in req.headers || 'forwarded' in req.headers || 'via' in req.headers)
    return (direct && within(LOOPBACK, address)) || within(this.#trust, address)
  }

  /** Ollama checks Host only while it listens on loopback; so does the house. */
  #callable(host: string): boolean {
    if (!this.#local || host === '') return true
    const name = host
      .replace(/:\d+$/, '')
      .replace(/^\[|\]$/g, '')
      .toLowerCase()
    if (isIP(name) !== 0) return within(LOCAL, name) || this.#hosts.has(name)
    return name === 'localhost' || this.#hosts.has(name) || /\.(localhost|local|internal)$/.test(name)
  }
}

export function isLoopback(address: string): boolean {
  return address === 'localhost' || within(LOOPBACK, address)
}

function no(status: 400 | 403, message: string): Verdict {
  return { pass: false, status, message }
}

function count(rawHeaders: readonly string[], name: string): number {
  let n = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === name) n += 1
  return n
}

function list(ranges: readonly string[]): BlockList {
  const block = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const v6 = isIP(address) === 6
    block.addSubnet(address, bits === undefined ? (v6 ? 128 : 32) : Number(bits), v6 ? 'ipv6' : 'ipv4')
  }
  return block
}

function within(block: BlockList, address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  const family = isIP(plain)
  return family !== 0 && block.check(plain, family === 6 ? 'ipv6' : 'ipv4')
}

function pattern(origin: string): RegExp {
  const text = origin.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')
  return new RegExp(`^${text}$`, 'i')
}
