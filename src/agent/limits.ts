/**
 * How much an Ollama takes on at once. It tells nobody; it was told by its environment. On Linux that can be read, by the
 * same user or root: the port leads to a socket, the socket to a process.
 *
 *   /proc/net/tcp    port ──▶ inode of the socket that listens
 *   /proc/PID/fd     inode ──▶ process, which must be called ollama
 *   /proc/PID/environ
 *
 * Elsewhere the agent's own environment must do, which is often the same file of a service; or nothing is known. Of an
 * environment only the variables in the table become text. The rest of it is keys and tokens, and is wiped.
 */
import { constants } from 'node:fs'
import { open, readdir, readFile, readlink } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { hostOf, isLoopback, plain } from '../address.ts'
import { type OllamaVariables, ollamaVariables } from '../config.ts'
import type { OllamaLimits } from '../rpc/messages.ts'

/** The longest environment that Linux lets a process be started with is a quarter of the stack: 2 MiB. */
const ENVIRONMENT_BYTES_MAX = 4 * 1024 * 1024
const KEEP_ALIVE_LENGTH_MAX = 32
/** In /proc/net/tcp: the state of a socket that listens. */
const LISTENS = '0A'

type Rows = { readonly [Field in keyof OllamaLimits]-?: (told: OllamaVariables) => OllamaLimits[Field] }

const rows: Rows = {
  numParallel: told => whole(told.OLLAMA_NUM_PARALLEL),
  maxLoadedModels: told => whole(told.OLLAMA_MAX_LOADED_MODELS),
  maxQueue: told => whole(told.OLLAMA_MAX_QUEUE),
  keepAlive: told => bare(told.OLLAMA_KEEP_ALIVE)?.slice(0, KEEP_ALIVE_LENGTH_MAX),
  contextLength: told => whole(told.OLLAMA_CONTEXT_LENGTH),
}

/** What is not said, or means that Ollama decides, is left out. */
export function limitsIn(told: OllamaVariables): OllamaLimits {
  const fields = Object.entries(rows).map(([field, read]) => [field, read(told)] as const)
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined))
}

export class Limits {
  readonly #url: string
  readonly #own: OllamaVariables
  readonly #proc: string
  /** What the process with this socket was started with, where that may be read; neither can become different. */
  #known: { readonly inode: string; readonly told: OllamaVariables | undefined } | undefined

  /** `own` is what the agent's own environment says. */
  constructor({
    url,
    own,
    proc = '/proc',
  }: { readonly url: string; readonly own: OllamaVariables; readonly proc?: string }) {
    this.#url = url
    this.#own = own
    this.#proc = proc
  }

  /** Undefined where nothing is known. */
  async read(): Promise<OllamaLimits | undefined> {
    const limits = limitsIn((await this.#ofServer()) ?? this.#own)
    return Object.keys(limits).length === 0 ? undefined : limits
  }

  async #ofServer(): Promise<OllamaVariables | undefined> {
    const inode = await listener(this.#proc, new URL(this.#url))
    if (inode === undefined) return undefined
    if (this.#known?.inode === inode) return this.#known.told
    const told = await environmentOf(this.#proc, `socket:[${inode}]`)
    this.#known = { inode, told }
    return told
  }
}

/** The inode of the socket behind a URL; undefined where it is not one of this machine, or the system has no such table. */
async function listener(proc: string, url: URL): Promise<string | undefined> {
  const host = hostOf(url) === 'localhost' ? '127.0.0.1' : plain(hostOf(url))
  if (!isLoopback(host) && !isOwn(host)) return undefined
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const sockets: { readonly address: string; readonly inode: string }[] = []
  for (const table of ['tcp', 'tcp6']) {
    const text = await readFile(`${proc}/net/${table}`, 'latin1').catch(() => '')
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
      const [address = '', hex = ''] = local.split(':')
      if (state === LISTENS && Number.parseInt(hex, 16) === port)
        sockets.push({ address: spelled(address), inode })
    }
  }
  const found =
    sockets.find(({ address }) => address === host) ?? sockets.find(({ address }) => isWildcard(address))
  return found?.inode
}

function isOwn(host: string): boolean {
  return Object.values(networkInterfaces()).some(all => all?.some(({ address }) => address === host))
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

/** The kernel writes addresses as words of four bytes, each backwards where the processor counts that way. */
function spelled(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap(word => [...Buffer.from(word, 'hex')].reverse())
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  if (groups.every(group => group === 0)) return '::'
  const [upper, lower] = [groups.slice(0, 6).join(), groups.slice(6)]
  if (upper === '0,0,0,0,0,65535') return bytes.slice(12).join('.')
  if (upper === '0,0,0,0,0,0' && lower[0] === 0 && lower[1] === 1) return '::1'
  return new URL(`http://[${groups.map(group => group.toString(16)).join(':')}]`).hostname.slice(1, -1)
}

async function environmentOf(proc: string, socket: string): Promise<OllamaVariables | undefined> {
  const names = await readdir(proc).catch(() => [])
  for (const pid of names) {
    if (!/^\d+$/.test(pid) || !(await isOllama(`${proc}/${pid}`))) continue
    if (await holds(`${proc}/${pid}/fd`, socket)) return variablesIn(`${proc}/${pid}/environ`)
  }
  return undefined
}

/** Somebody else may hold the port, to hand connections on. Their environment is none of ours. */
async function isOllama(process: string): Promise<boolean> {
  const name = await readFile(`${process}/comm`, 'latin1').catch(() => '')
  return /^ollama(?:\.exe)?$/.test(name.trim())
}

async function holds(folder: string, socket: string): Promise<boolean> {
  for (const fd of await readdir(folder).catch(() => [])) {
    if ((await readlink(`${folder}/${fd}`).catch(() => '')) === socket) return true
  }
  return false
}

async function variablesIn(path: string): Promise<OllamaVariables | undefined> {
  const file = await open(path, constants.O_RDONLY).catch(() => undefined)
  if (file === undefined) return undefined
  const chunks: Buffer[] = []
  let all = Buffer.alloc(0)
  try {
    for (let size = 0; size < ENVIRONMENT_BYTES_MAX; ) {
      const chunk = Buffer.alloc(65_536)
      const { bytesRead } = await file.read(chunk, 0, chunk.length)
      chunks.push(chunk.subarray(0, bytesRead))
      size += bytesRead
      if (bytesRead === 0) break
    }
    all = Buffer.concat(chunks)
    return Object.fromEntries(
      ollamaVariables.flatMap(name => {
        const value = textOf(all, name)
        return value === undefined ? [] : [[name, value]]
      }),
    )
  } catch {
    return undefined
  } finally {
    for (const bytes of [...chunks, all]) bytes.fill(0)
    await file.close().catch(() => {})
  }
}

/** `NAME=value` between zero bytes. */
function textOf(environment: Buffer, name: string): string | undefined {
  const begin = `${name}=`
  for (let at = environment.indexOf(begin); at >= 0; at = environment.indexOf(begin, at + 1)) {
    if (at > 0 && environment[at - 1] !== 0) continue
    const end = environment.indexOf(0, at)
    return environment.toString('utf8', at + begin.length, end < 0 ? environment.length : end)
  }
  return undefined
}

/** As Ollama reads its variables: without blanks and quotes around them. */
function bare(text: string | undefined): string | undefined {
  return text?.trim().replace(/^["']+|["']+$/g, '') || undefined
}

/** 0 is what Ollama takes for: as it likes. */
function whole(text: string | undefined): number | undefined {
  const found = /^\d{1,9}$/.exec(bare(text) ?? '')
  return found === null || Number(found[0]) === 0 ? undefined : Number(found[0])
}
