/**
 * A simulated Ollama node: a server that speaks Ollama 0.33's APIs byte for byte, with models that are only
 * names, words drawn from a seed, and the waits of a real one.
 *
 *   const sim = await startSim({ models: 'tiny:latest,embed:latest', speed: 10 })
 *   await fetch(`${sim.url}/api/tags`)
 *   sim.setMode('hang')
 *   await sim.close()
 *
 * Over HTTP the mode is read and set at `/sim/mode`, and `/sim/stats` counts.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Gone } from './client.ts'
import { isLoopback, letIn } from './cors.ts'
import { Exchange, JSON_UTF8 } from './exchange.ts'
import { goJson } from './gojson.ts'
import { goodTemper, isMode, type Knobs, type Misbehaviour, MODES, type Mode } from './misbehaviour.ts'
import { parseName } from './names.ts'
import type { Counters, SimNode } from './node.ts'
import { modelSpecs, SIM_DEFAULTS, type SimOptions } from './options.ts'
import { INFERENCE, wayTo } from './routes.ts'
import { type Loads, type Resident, residency } from './runner.ts'
import { emptyStore, shipped, shortName } from './store.ts'

export { MODES, type Mode } from './misbehaviour.ts'
export { type ModelSpec, SIM_DEFAULTS, SIM_OPTIONS, type SimOptions } from './options.ts'

export interface Sim {
  readonly name: string
  readonly url: string
  readonly port: number
  readonly mode: Mode
  readonly misbehaviour: Readonly<Misbehaviour>
  readonly counters: Readonly<Counters>
  readonly loads: Readonly<Loads>
  setMode(mode: Mode, knobs?: Partial<Knobs>): void
  /** Names of the models present, newest first. */
  models(): string[]
  /** What is in memory; a model being loaded is not. */
  residents(): Resident[]
  /** As if killed: connections are cut, new ones refused, nothing stays in memory. */
  down(): Promise<void>
  /** Starts again on the same port with the models it had on disk. */
  up(): Promise<void>
  close(): Promise<void>
}

export async function startSim(options: Partial<SimOptions> = {}): Promise<Sim> {
  const chosen: SimOptions = { ...SIM_DEFAULTS, ...options }
  const node = createNode(chosen)
  const { temper, counters } = node
  const live = new Set<Exchange>()
  const boundToLoopback = isLoopback(chosen.host)

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const x = new Exchange(request, response)
    live.add(x)
    response.once('close', () => live.delete(x))
    serve(node, x, boundToLoopback).catch(error => {
      // A client that left is nobody's mistake; anything else is ours, and ends the process.
      if (!(error instanceof Gone)) throw error
    })
  }
  let server = await listen(listener, chosen.host, chosen.port)
  const { port } = server.address() as AddressInfo

  async function down(): Promise<void> {
    if (!server.listening) return
    const closed = new Promise(resolve => server.close(resolve))
    for (const x of live) x.leave()
    server.closeAllConnections()
    node.residency.reset()
    await closed
  }

  return {
    name: chosen.name,
    url: `http://${chosen.host.includes(':') ? `[${chosen.host}]` : chosen.host}:${port}`,
    port,
    get mode() {
      return temper.now.mode
    },
    get misbehaviour() {
      return temper.now
    },
    counters,
    loads: node.residency.counters,
    setMode: temper.set,
    models: () => node.store.list().map(shortName),
    residents: node.residency.list,
    down,
    async up() {
      if (!server.listening) server = await listen(listener, chosen.host, port)
    },
    close: down,
  }
}

/** Several nodes, sim-1, sim-2, …, on ports in a row, or on free ones when `port` is 0. */
export async function startSims({
  nodes,
  each,
  ...options
}: Partial<SimOptions> & {
  readonly nodes: number
  /** What sets one node apart from the others; counted from 0. */
  readonly each?: (index: number) => Partial<SimOptions>
}): Promise<Sim[]> {
  const { port = SIM_DEFAULTS.port } = options
  const sims: Sim[] = []
  try {
    for (let i = 0; i < nodes; i += 1)
      sims.push(
        await startSim({
          ...options,
          name: `sim-${i + 1}`,
          port: port === 0 ? 0 : port + i,
          ...each?.(i),
        }),
      )
  } catch (error) {
    await Promise.all(sims.map(sim => sim.close()))
    throw error
  }
  return sims
}

function createNode(options: SimOptions): SimNode {
  const { clock, seed, speed } = options
  const temper = goodTemper()
  const store = emptyStore()
  const scale = (ms: number): number => (ms * temper.factor()) / speed
  const [wallStart, start] = [clock.now(), clock.monotonic()]
  const wall = (): number => wallStart + (clock.monotonic() - start)
  // The first one named is the newest, so that tags keeps the order of the list.
  const specs = modelSpecs(options.models)
  for (const [i, spec] of specs.entries())
    store.put(parseName(spec.name), shipped(seed, spec), wallStart - (i + 1) * 60_000)
  return {
    options,
    clock,
    store,
    temper,
    wall,
    scale,
    counters: { requests: {}, inFlight: 0, inFlightMax: 0, abandoned: 0, tokens: 0 },
    residency: residency({
      clock,
      slots: options.slots,
      resident: options.resident,
      maxQueue: options.maxQueue,
      keepAliveMs: options.keepAliveMs,
      scale,
      loadMs: model => model.loadMs ?? options.loadMs,
    }),
  }
}

async function listen(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  host: string,
  port: number,
): Promise<Server> {
  // Ollama's server has no timeouts of any kind and never closes an idle connection.
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return server
}

async function serve(node: SimNode, x: Exchange, boundToLoopback: boolean): Promise<void> {
  const { method = 'GET', url = '/' } = x.request
  if (url.startsWith('/sim/')) return control(node, x, `${method} ${url}`)
  const way = wayTo(method, url)
  if (way.to === 'redirect') return redirect(x, way.status, way.location)
  if (way.to === 'refusal' && way.allow !== undefined) x.headers.push('Allow', way.allow)
  if (!letIn(x, boundToLoopback)) return
  if (way.to === 'refusal')
    return x.reply(
      way.status,
      'text/plain',
      way.status === 404 ? '404 page not found' : '405 method not allowed',
    )

  const { counters } = node
  const counted = `${method} ${way.route}`
  counters.requests[counted] = (counters.requests[counted] ?? 0) + 1
  x.param = way.param
  if (INFERENCE.has(way.route)) countInFlight(counters, x)
  await way.handler(node, x)
}

function countInFlight(counters: Counters, x: Exchange): void {
  counters.inFlight += 1
  counters.inFlightMax = Math.max(counters.inFlightMax, counters.inFlight)
  x.whenGone(() => {
    counters.abandoned += 1
  })
  x.response.once('close', () => {
    counters.inFlight -= 1
  })
}

function redirect(x: Exchange, status: 301 | 307, location: string): void {
  x.headers.push('Location', location)
  if (x.request.method !== 'GET') return x.reply(status)
  const words = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  x.reply(status, 'text/html; charset=utf-8', `<a href="${escaped(location)}">${words}</a>.\n\n`)
}

function escaped(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&#34;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, character => entities[character]!)
}

/** The simulation's own door, where no Ollama has one. */
async function control(node: SimNode, x: Exchange, asked: string): Promise<void> {
  if (asked === 'GET /sim/mode') return x.reply(200, JSON_UTF8, goJson(node.temper.now))
  if (asked === 'GET /sim/stats') {
    const { name } = node.options
    const stats = { name, ...node.temper.now, ...node.counters, ...node.residency.counters }
    return x.reply(200, JSON_UTF8, goJson(stats))
  }
  if (asked !== 'POST /sim/mode') return x.reply(404, 'text/plain', '404 page not found')
  const wish = knobsFrom(await x.body())
  if (wish === undefined) {
    const text = `expected {"mode": one of ${Object.keys(MODES).join(', ')}}, with afterTokens, factor, every`
    return x.reply(400, JSON_UTF8, goJson({ error: text }))
  }
  node.temper.set(wish.mode, wish)
  x.reply(200, JSON_UTF8, goJson(node.temper.now))
}

function knobsFrom(body: Buffer): (Partial<Knobs> & { mode: Mode }) | undefined {
  let wish: Record<string, unknown>
  try {
    wish = JSON.parse(body.toString())
  } catch {
    return undefined
  }
  if (!isMode(wish?.['mode'])) return undefined
  const knobs: Partial<Knobs> & { mode: Mode } = { mode: wish['mode'] }
  for (const knob of ['afterTokens', 'factor', 'every'] as const) {
    const value = wish[knob]
    if (value === undefined) continue
    if (typeof value !== 'number' || !(value >= (knob === 'every' ? 1 : 0))) return undefined
    knobs[knob] = value
  }
  return knobs
}
