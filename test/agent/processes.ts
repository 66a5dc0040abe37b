/** Houses and agents as people run them: processes of their own, that can be killed, stopped, and cut off. */
import type { Test } from 'tap'
import type { Entry } from '../../src/journal/journal.ts'
import { type Sim, type SimOptions, startSim } from '../../src/sim/sim.ts'
import { freePort } from '../house/child.ts'
import { dataFolder } from '../house/world.ts'
import { MAIN, Place, type Running, until } from './places.ts'

export interface HouseProcess {
  readonly url: string
  /** Where agents attach. */
  readonly agents: string
  readonly agentsPort: number
  /** The one that runs now. */
  process: Running
  /** Another one on the same folder and ports, once the one before is gone. */
  again(): Promise<void>
}

/** In plain text on loopback; or, where agents come from elsewhere, with an authority of its own. */
export async function houseProcess(
  t: Test,
  { elsewhere, flags = [] }: { elsewhere?: string; flags?: readonly string[] } = {},
): Promise<HouseProcess> {
  const dir = dataFolder(t)
  const [port, agentsPort] = [await freePort(), await freePort()]
  const agents = `${elsewhere ?? '127.0.0.1'}:${agentsPort}`
  if (elsewhere !== undefined) Place.here.run(process.execPath, MAIN, 'pki', 'init', '--data', `${dir}/data`)
  const url = `http://127.0.0.1:${port}`
  const begin = async (): Promise<Running> => {
    const running = Place.here.quipu(
      t,
      ...['serve', '--embedded', 'off', '--data', `${dir}/data`, '--port', String(port)],
      ...['--agents', agents, ...(elsewhere === undefined ? ['--insecure'] : []), ...flags],
    )
    await until(
      async () => {
        if (running.over) throw new Error(`the house did not start: ${running.said}`)
        const answer = await fetch(`${url}/healthz`).catch(() => undefined)
        await answer?.body?.cancel()
        return answer?.ok || undefined
      },
      'a house',
      30_000,
    )
    return running
  }
  const house: HouseProcess = {
    url,
    agents,
    agentsPort,
    process: await begin(),
    async again() {
      house.process = await begin()
    },
  }
  return house
}

export function agentProcess(
  t: Test,
  house: Pick<HouseProcess, 'agents'>,
  name: string,
  ollama: string,
  ...flags: readonly string[]
): Running {
  return Place.here.quipu(
    t,
    ...['agent', '--house', house.agents, '--insecure', '--name', name, '--ollama', ollama, ...flags],
  )
}

/** Invited by the house, joined and run where it is; its node is the one that it was invited as. */
export async function joinedAgent(
  t: Test,
  place: Place,
  house: HouseProcess,
  name: string,
  ollama: string,
  ...flags: readonly string[]
): Promise<Running> {
  const dir = dataFolder(t)
  const body = JSON.stringify({ node: name })
  const headers = { 'Content-Type': 'application/json' }
  const answer = await fetch(`${house.url}/quipu/agents`, { method: 'POST', headers, body })
  const { token } = (await answer.json()) as { token: string }
  const join = ['agent', 'join', '--house', house.agents, '--token', token, '--data', dir]
  place.run(process.execPath, MAIN, ...join)
  return place.quipu(t, 'agent', '--data', dir, '--ollama', ollama, ...flags)
}

export async function simNode(t: Test, options: Partial<SimOptions> = {}): Promise<Sim> {
  const sim = await startSim({ port: 0, loadMs: 30, prefillTps: 1e6, decodeTps: 500, words: 8, ...options })
  t.teardown(() => sim.close())
  return sim
}

/** Resolves when the house says that the node stands so. */
export function stands(
  house: HouseProcess,
  name: string,
  standing: string,
  withinMs = 20_000,
): Promise<true> {
  return until(
    async () => (await standingOf(house, name)) === standing || undefined,
    `${name} is ${standing}`,
    withinMs,
  )
}

export async function standingOf(house: HouseProcess, name: string): Promise<string | undefined> {
  const answer = await fetch(`${house.url}/quipu/nodes/${name}`).catch(() => undefined)
  return answer?.ok ? ((await answer.json()) as { standing: string }).standing : undefined
}

export interface Told {
  readonly status: number
  readonly text: string
  /** The answer came to its end. */
  readonly whole: boolean
  readonly node: string | null
  readonly ms: number
}

/** Asks as a client does; whatever breaks is an answer, too. */
export async function ask(
  house: Pick<HouseProcess, 'url'>,
  { model = 'tiny', withinMs = 60_000, began = (_text: string): void => {} } = {},
): Promise<Told> {
  const start = performance.now()
  const told = { status: 0, text: '', whole: false, node: null as string | null }
  try {
    const body = JSON.stringify({ model, prompt: 'x' })
    const signal = AbortSignal.timeout(withinMs)
    const response = await fetch(`${house.url}/api/generate`, { method: 'POST', body, signal })
    told.status = response.status
    told.node = response.headers.get('x-quipu-node')
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      told.text += decoder.decode(chunk, { stream: true })
      began(told.text)
    }
    told.whole = response.ok && told.text.includes('"done":true')
  } catch {}
  return { ...told, ms: Math.round(performance.now() - start) }
}

export async function factsOf({ url }: HouseProcess): Promise<readonly Entry[]> {
  const text = await (await fetch(`${url}/quipu/journal?limit=10000`)).text()
  return text
    .trim()
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Entry)
}

const ENDS: ReadonlySet<string> = new Set([
  'request.completed',
  'request.failed',
  'request.expired',
  'request.abandoned',
  'request.cancelled',
])

/** All facts, once every request has ended; or as they are, where that does not come to be. */
export async function settledFacts(house: HouseProcess, withinMs = 5_000): Promise<readonly Entry[]> {
  const look = async () => {
    const facts = await factsOf(house)
    return oddlyEnded(facts).length === 0 ? facts : undefined
  }
  return until(look, 'every request has ended', withinMs).catch(() => factsOf(house))
}

/** Ids of requests that have not ended exactly once. */
export function oddlyEnded(facts: readonly Entry[]): readonly string[] {
  const ends = new Map<string, number>()
  for (const { kind, id, type } of facts) {
    if (kind === 'request') ends.set(id, (ends.get(id) ?? 0) + (ENDS.has(type) ? 1 : 0))
  }
  return [...ends].filter(([, n]) => n !== 1).map(([id]) => id)
}
