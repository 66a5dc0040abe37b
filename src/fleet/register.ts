/** How nodes come to the house: named by a flag or the API, known from before, found at Ollama's usual address, or
 *  started inside the house when there is nothing else. */
import { Refusal } from '../../machines/entity.ts'
import type { Origin } from '../../machines/node.ts'
import type { Clock } from '../clock.ts'
import type { Config, NodeSpec } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { nodeNamePattern } from '../nodename.ts'
import { addressOf, checkAddress, OLLAMA_PORT } from '../ollama/address.ts'
import type { Ollama } from '../ollama/ollama.ts'
import type { Fleet } from '../projections/fleet.ts'

export interface RegisterNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly fleet: Fleet
  readonly ollama: (url: string) => Ollama
  /** Starts simulated nodes in this process. */
  readonly embed: () => Promise<readonly NodeSpec[]>
}

/** Where the nodes of this start came from. */
export type Found = 'configured' | 'known' | 'found' | 'embedded' | 'none'

/** Ollama's own defaults: one request at once per model, and on one GPU or none three models in memory. */
export const SLOTS = 1
export const RESIDENT_MAX = 3
const FIRST_LOOK_MS = 1_500

/** Registers a node, or changes it. Resolves to its name when that is on disk; throws a Failure or a Refusal. */
export async function register(
  { engine, config, fleet }: Pick<RegisterNeeds, 'engine' | 'config' | 'fleet'>,
  spec: NodeSpec,
  origin: Origin,
  by: string,
): Promise<string> {
  const url = checkAddress(spec.url, { ...config, attached: origin === 'agent' })
  const name = spec.name ?? nameOf(url)
  if (!nodeNamePattern.test(name)) {
    const rule = 'a node name is up to 63 letters, digits and . _ : - and begins with a letter or digit'
    throw new Failure('node.name', `"${name}": ${rule}; give one with name=…`)
  }
  const twin = [...fleet.state.values()].find(node => node.url === url && node.name !== name)
  if (twin !== undefined) throw new Refusal('node.taken', `${url} is registered already, as ${twin.name}`)
  const { slots = SLOTS, residentMax = RESIDENT_MAX, weight, hours, labels } = spec
  const wanted = { ...(weight !== undefined && { weight }), ...(hours !== undefined && { hours }) }
  const data = { url, slots, residentMax, labels, origin, ...wanted }
  await engine.dispatch('node', name, { type: 'node.register', by, data })
  return name
}

/** At start: configured nodes, else known ones, else an Ollama that answers, else simulated ones. */
export async function discover(needs: RegisterNeeds): Promise<Found> {
  const { config, engine, fleet } = needs
  const embedded = [...fleet.state.values()]
    .filter(({ origin }) => origin === 'embedded')
    .map(({ name }) => name)
  const dismiss = (): void => {
    for (const name of embedded) engine.attempt('node', name, { type: 'node.remove', by: 'start', data: {} })
  }
  if (config.nodes.length > 0) {
    dismiss()
    for (const spec of config.nodes) await register(needs, spec, 'flag', 'start')
    return 'configured'
  }
  if (fleet.state.size > embedded.length) {
    dismiss()
    return 'known'
  }
  const url = ollamaAddress(config)
  if (url !== undefined && (await answers(needs, url))) {
    dismiss()
    await register(needs, { url, name: 'local', labels: {} }, 'found', 'start')
    return 'found'
  }
  // Where agents may attach, made-up answers would stand beside theirs.
  if (!config.embedded || config.agents !== 'off') {
    dismiss()
    return 'none'
  }
  const specs = await needs.embed()
  for (const name of embedded) {
    if (!specs.some(spec => spec.name === name))
      engine.attempt('node', name, { type: 'node.remove', by: 'start', data: {} })
  }
  for (const spec of specs) await register(needs, spec, 'embedded', 'start')
  return 'embedded'
}

/** Where OLLAMA_HOST says, but not where it points at this very house. */
function ollamaAddress({ ollamaHost, host, port }: Config): string | undefined {
  const href = addressOf(ollamaHost)
  if (href === undefined) return undefined
  const url = new URL(href)
  const own = url.port === String(port) && /^(localhost|127\..*|\[::1\])$/.test(url.hostname)
  return own || (url.hostname === host && url.port === String(port)) ? undefined : href
}

async function answers({ ollama, clock, config }: RegisterNeeds, url: string): Promise<boolean> {
  const abort = new AbortController()
  const timer = clock.after(FIRST_LOOK_MS, () => abort.abort())
  try {
    await ollama(checkAddress(url, config)).version(abort.signal)
    return true
  } catch (error) {
    if (error instanceof Failure) return false
    throw error
  } finally {
    timer.cancel()
  }
}

function nameOf(url: string): string {
  const { hostname, port, protocol } = new URL(url)
  const usual = port === OLLAMA_PORT || (port === '' && protocol === 'https:')
  return usual ? hostname : `${hostname}:${port || '80'}`
}
