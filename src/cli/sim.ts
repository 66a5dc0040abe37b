/** `quipu sim`: simulated Ollama nodes on this machine, to try a house on without a GPU. */
import { Failure } from '../failure.ts'
import { MODES, SIM_OPTIONS, type Sim, type SimOptions, startSims } from '../sim/sim.ts'
import { program } from './release.ts'
import { aborted, interruption } from './signals.ts'
import { sayTable } from './table.ts'
import { say, sayJson, tinted } from './terminal.ts'
import {
  type Given,
  jsonOption,
  misused,
  type Option,
  type Options,
  textOf,
  type Verb,
  wholeOf,
} from './verb.ts'

const NODES = 3
const NODES_MAX = 64
/** The first of them; each further node has the next one. */
const PORT = 21_434
const PORT_MAX = 65_535

/** What all the nodes are told alike. They are named in a row (sim-1, sim-2, …), and live by this machine's clock. */
type Told = Exclude<keyof SimOptions, 'clock' | 'name' | 'port'>

const told = Object.keys(SIM_OPTIONS).filter(
  (name): name is Told => name !== 'clock' && name !== 'name' && name !== 'port',
)

const SHAPES: Readonly<Partial<Record<Told, string>>> = { host: 'ADDR', models: 'NAMES', version: 'V' }

const options: Options = {
  nodes: { value: 'N', fallback: String(NODES), sentence: 'how many nodes' },
  port: {
    value: 'PORT',
    fallback: String(PORT),
    sentence: 'port of the first one; the others follow; 0 takes free ones',
  },
  ...Object.fromEntries(told.map((name): [string, Option] => [flagOf(name), optionOf(name)])),
  ...jsonOption,
}

export const sim: Verb = {
  usage: ['sim'],
  about:
    'Runs simulated Ollama nodes on this machine until Ctrl-C: Ollama as a client sees it, with models that are only ' +
    'names, answers that are made up, and the waits of a real one.',
  options,
  examples: [
    ['quipu sim --nodes 3 --models tiny:latest,embed:latest', 'three nodes with the same two models'],
    ['quipu sim --decode-tps 20 --load-ms 8000', 'slow ones, as if on a CPU'],
  ],
  endures: true,
  async run(given) {
    const nodes = wholeOf(given, 'nodes', NODES_MAX) ?? NODES
    if (nodes === 0) throw misused('--nodes: there must be at least one')
    const port = wholeOf(given, 'port', PORT_MAX - nodes) ?? PORT
    const stop = interruption()
    const sims = await startSims({ nodes, port, ...wishes(given) }).catch(error => {
      throw occupied(error, port)
    })
    const listed = sims.map(node => ({ name: node.name, url: node.url, models: node.models() }))
    if (given.switches.has('json')) sayJson(listed)
    else introduce(sims)
    await aborted(stop)
    await Promise.all(sims.map(node => node.close()))
  },
}

/** `loadMs` is `--load-ms`. */
function flagOf(name: Told): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

function optionOf(name: Told): Option {
  const { fallback, sentence: full } = SIM_OPTIONS[name]
  const sentence = full.replace(/\.$/, '').replace(/^./, first => first.toLowerCase())
  if (typeof fallback === 'boolean') return { sentence }
  return { value: SHAPES[name] ?? 'N', fallback: String(fallback), sentence }
}

function wishes(given: Given): Partial<SimOptions> {
  const wishes: Record<string, unknown> = {}
  for (const name of told) {
    const flag = flagOf(name)
    const { fallback } = SIM_OPTIONS[name]
    const text = textOf(given, flag)
    if (typeof fallback === 'boolean') wishes[name] = given.switches.has(flag)
    else if (text !== undefined) wishes[name] = typeof fallback === 'number' ? numberOf(flag, text) : text
  }
  return wishes
}

function numberOf(flag: string, text: string): number {
  if (!/^\d+(\.\d+)?(e\d+)?$/.test(text)) throw misused(`--${flag}: "${text}" is not a number, 0 or more`)
  return Number(text)
}

function introduce(sims: readonly Sim[]): void {
  say(tinted(['bold', 'yellow'], 'SIMULATED NODES: their answers are made up.'))
  say()
  sayTable(sims, [
    { name: 'NAME', cell: ({ name }) => name },
    { name: 'URL', cell: ({ url }) => url },
    { name: 'MODELS', cell: node => node.models().join(', ') },
  ])
  const [first] = sims as [Sim]
  const [model = 'tiny:latest'] = first.models()
  say()
  say('Put a house in front of them:')
  say(`  ${program()} serve ${sims.map(({ url }) => `--node ${url}`).join(' ')}`)
  say('Ask one directly:')
  say(`  curl ${first.url}/api/generate -d '{"model":"${model}","prompt":"Why is the sky blue?"}'`)
  say(`Make one misbehave (${Object.keys(MODES).join(', ')}):`)
  say(`  curl ${first.url}/sim/mode -d '{"mode":"hang"}'`)
  say('Ctrl-C ends them.')
}

function occupied(error: unknown, port: number): unknown {
  const { code } = error as NodeJS.ErrnoException
  const why: Record<string, string> = {
    EADDRINUSE: 'something listens on one of these ports already; choose others with --port',
    EADDRNOTAVAIL: 'this machine does not have that address; choose another with --host',
    EACCES: 'this user may not listen there; ports below 1024 are for root',
    ENOTFOUND: 'there is no such address; choose another with --host',
  }
  if (code === undefined || why[code] === undefined) return error
  return new Failure('sim.address', `the nodes cannot listen from port ${port} on: ${why[code]}`, {
    cause: error,
  })
}
