/** `quipu serve`: a house in the foreground. What it is and what to try next go to stdout, its log to stderr. */
import { systemClock } from '../clock.ts'
import { type Config, knobNames, readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import type { Node } from '../gateway/schema/nodes.ts'
import type { Told } from '../gateway/schema/words.ts'
import { type House, openHouse } from '../main.ts'
import { Client, reachable } from './client.ts'
import type { ModelRow } from './models/list.ts'
import { countOf, durationOf } from './quantities.ts'
import { program, release } from './release.ts'
import { knobOptions } from './settings.ts'
import { aborted, interruption, stayingFor } from './signals.ts'
import { tableLines } from './table.ts'
import { remark, say, tinted } from './terminal.ts'
import type { Verb } from './verb.ts'

/** Docker kills after ten seconds, Kubernetes after thirty. */
/** What closing may take beyond the grace that answers under way are given. */
const CLOSE_MS = 8_000

export const serve: Verb = {
  usage: ['serve'],
  about:
    'Runs a house until Ctrl-C: one Ollama endpoint in front of the nodes it is given. Without --node it takes those ' +
    'its journal knows, else an Ollama that answers on this machine, else three simulated nodes. Every option can ' +
    'also be given as the variable named behind its default.',
  options: knobOptions(...knobNames),
  examples: [
    ['quipu serve', 'on this machine; with no Ollama in sight, on simulated nodes'],
    [
      'quipu serve --host 0.0.0.0 --trust 10.0.0.0/8 --node http://gpu-a:11434 --node http://gpu-b:11434,slots=4',
      'for a network, in front of two machines',
    ],
  ],
  endures: true,
  async run({ flags, switches }) {
    const stop = interruption()
    const turnedOn = Object.fromEntries([...switches].map(name => [name, 'on']))
    const house = await openHouse({ config: readConfig({ ...flags, ...turnedOn }), version: release() })
    const { config } = house
    await introduce(house, config)
    await aborted(stop)
    remark('quipu: closing; once more ends it at once')
    const late = systemClock.after(config.graceMs + CLOSE_MS, () => {
      remark(`quipu: not closed in time; what was confirmed is in the journal`)
      process.exit(1)
    })
    await stayingFor(house.close())
    late.cancel()
    process.exit(0)
  },
}

/** All of it at once, when the house is up. */
async function introduce(house: House, config: Config): Promise<void> {
  const { journal, address, port } = house
  const here = `${reachable(address)}:${port}`
  const client = new Client(`http://${here}`)
  const nodes = await seen<NodeRow>(client, '/quipu/nodes')
  const models = await seen<ModelRow>(client, '/quipu/models')
  const { seq, hash } = journal.head
  const everywhere = address === '0.0.0.0' || address === '::' ? ' (every address of this machine)' : ''
  const lines = [
    tinted('bold', `Quipu ${release()}`),
    '',
    `  address  ${house.url}${everywhere}`,
    ...(house.grpc === undefined ? [] : [`  grpc     ${house.grpc}`]),
    ...(house.agents === undefined
      ? []
      : [`  agents   ${house.agents}${config.insecure ? ' (in plain text)' : ''}`]),
    `  journal  ${config.data}, ${startOf(house)}; head ${seq}:${hash}`,
    `  nodes    ${ORIGINS[house.nodes]}`,
    '',
    ...(nodes.length === 0 ? [] : [...nodeLines(nodes).map(line => `  ${line}`), '']),
    ...(nodes.some(({ simulated }) => simulated) || house.nodes === 'embedded' ? WARNING : []),
    'Try:',
    ...next(here, models, house).map(line => `  ${line}`),
    '',
  ]
  say(lines.join('\n'))
}

function startOf({ facts, snapshotSeq, replayMs }: House): string {
  if (facts === 0) return 'new'
  const took = `in ${durationOf(replayMs)}`
  if (snapshotSeq === 0) return `${countOf(facts, 'fact')} replayed ${took}`
  return `${countOf(facts, 'fact')}, ${countOf(facts - snapshotSeq)} of them replayed after a snapshot, ${took}`
}

type NodeRow = Told<typeof Node>

const ORIGINS: Readonly<Record<House['nodes'], string>> = {
  configured: 'as configured',
  known: 'as the journal knows them',
  found: 'an Ollama found on this machine',
  embedded: 'three simulated ones, because none is configured and no Ollama answers',
  none: 'none yet, so that nothing can be answered',
}

/** The banner shows what the house itself would tell; where it listens to others only, it need not tell us. */
async function seen<Row>(client: Client, path: string): Promise<readonly Row[]> {
  try {
    return await client.ask<readonly Row[]>(path)
  } catch (error) {
    if (error instanceof Failure) return []
    throw error
  }
}

function nodeLines(nodes: readonly NodeRow[]): string[] {
  return tableLines(nodes, [
    {
      name: 'NAME',
      cell: ({ name, simulated }) => (simulated ? `${name} (simulated)` : name),
      tint: ({ simulated }) => (simulated ? 'yellow' : undefined),
    },
    { name: 'URL', cell: ({ url }) => url },
    {
      name: 'STANDING',
      cell: ({ standing, error }) => (error === undefined ? standing : `${standing}: ${error}`),
    },
    { name: 'VERSION', cell: ({ version }) => version || '?' },
    { name: 'MODELS', right: true, cell: ({ models }) => String(models.present) },
  ])
}

const WARNING = [
  tinted(['bold', 'yellow'], '  SIMULATED NODES: answers are made up, by no model at all.'),
  tinted('yellow', `  Real ones: ${program()} serve --node http://HOST:11434`),
  '',
]

/** Lines to copy. */
function next(
  here: string,
  models: readonly ModelRow[],
  { agents, config, nodes }: House,
): readonly string[] {
  const talker = models.find(({ capabilities }) => capabilities.includes('completion')) ?? models[0]
  const where = here === usual() ? '' : ` --host ${here}`
  const add = `${program()} nodes add http://HOST:11434${where}`
  const follow = `curl -N http://${here}/quipu/events`
  const invite = agents === undefined || config.insecure ? [] : [`${program()} pki invite NODE${where}`]
  if (nodes === 'none') return [add, ...invite, follow]
  const model = talker?.name ?? 'MODEL'
  return [
    `curl http://${here}/api/generate -d '{"model":"${model}","prompt":"Why is the sky blue?"}'`,
    `OLLAMA_HOST=${here} ollama run ${model}`,
    `${program()} explain last${where}`,
    follow,
    add,
  ]
}

/** Where verbs look for a house when nothing is said. */
function usual(): string | undefined {
  try {
    const { host, port } = readConfig()
    return `${reachable(host)}:${port}`
  } catch {
    return undefined
  }
}
