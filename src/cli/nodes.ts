/** `quipu nodes`: which nodes the house has, and what people do with them. */
import { systemClock } from '../clock.ts'
import { hours as hoursOf, nodeSpec, terminalOf, weight as weightOf } from '../config.ts'
import type { NodeGone, NodeInFull } from '../gateway/schema/nodes.ts'
import type { Told } from '../gateway/schema/words.ts'
import { barsOf } from './bars.ts'
import { type Client, clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { type Gauges, gpusOf, type Heard, hardwareLines } from './hardware.ts'
import { countOf, sizeOf, timeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { type Column, sayTable } from './table.ts'
import { plain, say, sayJson, tinted } from './terminal.ts'
import type { NodeRow } from './top/picture.ts'
import { type Given, jsonOption, listOf, misused, textOf, type Verb, wholeOf } from './verb.ts'

type Whole = Told<typeof NodeInFull>

export const nodes: Verb = {
  usage: [
    'nodes [ls]',
    'nodes show NAME',
    'nodes add URL',
    'nodes drain NAME',
    'nodes resume NAME',
    'nodes rm NAME',
  ],
  about:
    'Lists the nodes of a running house and what they are up to, shows all about one (show), adds one or changes the ' +
    'one of that name, lets one finish what it runs and gives it nothing new (drain), gives it work again (resume), ' +
    'or forgets it (rm).',
  options: {
    name: { value: 'NAME', fallback: 'made from the URL', sentence: 'add: what to call it' },
    slots: {
      value: 'N',
      fallback: '1',
      sentence: 'add: requests at once per model (its OLLAMA_NUM_PARALLEL)',
    },
    resident: {
      value: 'N',
      fallback: '3',
      sentence: 'add: models in memory at once (its OLLAMA_MAX_LOADED_MODELS)',
    },
    weight: {
      value: 'N',
      fallback: '1',
      sentence: 'add: how much of the work it should get beside a node of weight 1',
    },
    hours: {
      value: 'HOURS',
      fallback: 'always',
      sentence: 'add: when it is wanted, as 18:00-08:00 or mon-fri@18:00-08:00+sat-sun, in local time',
    },
    label: {
      value: 'KEY=VALUE',
      list: true,
      fallback: 'none',
      sentence: 'add: what to remember of it; repeatable',
    },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu nodes add http://gpu-a:11434 --slots 4', 'send work there, four requests at a time'],
    ['quipu nodes add http://desk:11434 --hours 20:00-08:00', "somebody's desk by day, the house's by night"],
    ['quipu nodes drain gpu-a', 'before that machine is taken down'],
  ],
  wordsMax: 2,
  async run(given) {
    const asked = given.words.length === 0 ? ['ls'] : given.words
    const { name, deed, words } = deedIn(deeds, asked, { verb: 'nodes' })
    for (const flag of ADD_ONLY) {
      if (name !== 'add' && given.flags[flag] !== undefined) throw misused(`--${flag} goes with nodes add`)
    }
    await deed.run(clientOf(given), given, words[0] ?? '')
  },
}

const ADD_ONLY = ['name', 'slots', 'resident', 'weight', 'hours', 'label'] as const

interface Deed {
  readonly words: readonly string[]
  readonly run: (client: Client, given: Given, word: string) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  ls: { words: [], run: list },
  show: { words: ['NAME'], run: show },
  add: { words: ['URL'], run: add },
  drain: {
    words: ['NAME'],
    run: (client, given, name) =>
      turn(client, given, `${pathOf(name)}/drain`, node => turned('drain', name, node)),
  },
  resume: {
    words: ['NAME'],
    run: (client, given, name) =>
      turn(client, given, `${pathOf(name)}/resume`, node => turned('resume', name, node)),
  },
  rm: { words: ['NAME'], run: remove },
}

const pathOf = (name: string): string => `/quipu/nodes/${encodeURIComponent(name)}`

async function list(client: Client, { switches }: Given): Promise<void> {
  const rows = await client.ask<readonly NodeRow[]>('/quipu/nodes')
  if (switches.has('json')) return sayJson(rows)
  sayTable(
    rows,
    [
      {
        name: 'NAME',
        cell: ({ name, simulated }) => (simulated ? `${name} (simulated)` : name),
        tint: ({ simulated }) => (simulated ? 'yellow' : undefined),
      },
      { name: 'URL', cell: ({ url }) => url },
      {
        name: 'STANDING',
        cell: ({ standing, loss, throttled }) => {
          if (loss !== undefined) return `${standing} (${loss.reason})`
          return throttled === undefined ? standing : `${standing}, throttled (${throttled.cause})`
        },
        tint: ({ standing, throttled }) =>
          standing === 'up' && throttled === undefined ? 'green' : standing === 'down' ? 'red' : 'yellow',
      },
      { name: 'VERSION', cell: ({ version }) => version || '?' },
      { name: 'SLOTS', right: true, cell: ({ slots }) => String(slots) },
      { name: 'RUNNING', right: true, cell: ({ running }) => String(running) },
      { name: 'LOADED', right: true, cell: ({ models, residentMax }) => `${models.resident}/${residentMax}` },
      { name: 'MODELS', right: true, cell: ({ models }) => String(models.present) },
      ...hardwareIn(rows),
      ...wishesIn(rows),
      {
        name: 'BREAKER',
        cell: ({ breaker }) => BREAKERS[breaker.state],
        tint: ({ breaker }) => (breaker.state === 'closed' ? undefined : 'red'),
      },
    ],
    'No node is registered. Add one with: quipu nodes add http://HOST:11434',
  )
  const troubled = rows.filter(({ error }) => error !== undefined)
  if (troubled.length > 0) say()
  for (const { name, error } of troubled) say(plain(`${name}: ${error}`))
  if (!rows.some(({ simulated }) => simulated)) return
  say()
  say(tinted(['bold', 'yellow'], 'SIMULATED NODES: their answers are made up.'))
}

/** Where an agent told of any. */
function hardwareIn(rows: readonly NodeRow[]): Column<NodeRow>[] {
  if (!rows.some(({ hardware }) => hardware !== undefined)) return []
  return [
    { name: 'GPU', cell: ({ hardware }) => (hardware === undefined ? '?' : gpusOf(hardware.gpus)) },
    {
      name: 'GPU MEM',
      right: true,
      cell: ({ hardware: { gpus, vramBytes, vramUsedBytes } = {} as Partial<Gauges> }) => {
        if (vramBytes === undefined) return gpus?.length === 0 ? '' : '?'
        return `${vramUsedBytes === undefined ? '?' : sizeOf(vramUsedBytes)} of ${sizeOf(vramBytes)}`
      },
    },
  ]
}

/** Most houses have neither, and a narrow table is read more easily. */
function wishesIn(rows: readonly NodeRow[]): Column<NodeRow>[] {
  const columns: Column<NodeRow>[] = []
  if (rows.some(({ weight }) => weight !== 1))
    columns.push({ name: 'WEIGHT', right: true, cell: ({ weight }) => String(weight) })
  if (rows.some(({ hours }) => hours !== undefined))
    columns.push({ name: 'HOURS', cell: ({ hours = 'always' }) => hours })
  return columns
}

const BREAKERS: Readonly<Record<NodeRow['breaker']['state'], string>> = {
  closed: 'closed',
  open: 'OPEN',
  halfOpen: 'half open',
}

async function show(client: Client, { switches }: Given, name: string): Promise<void> {
  const [node, heard] = await Promise.all([
    client.ask<Whole>(pathOf(name)),
    client.find<Heard>(`${pathOf(name)}/status`),
  ])
  if (switches.has('json')) return sayJson(heard === undefined ? node : { ...node, heard })
  const bars = barsOf(terminalOf())
  const { loss, breaker, error, models, replicas } = node
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`)
  const lines: readonly (readonly [string, string])[] = [
    ['URL', node.url],
    ['standing', loss === undefined ? node.standing : `${node.standing} (${loss.reason})`],
    ['since', timeOf(node.since)],
    ['version', node.version || '?'],
    ['slots', `${node.slots} a model`],
    ['running', countOf(node.running, 'request')],
    ['in memory', `${models.resident} of ${node.residentMax}`],
    ['weight', String(node.weight)],
    ['hours', node.hours ?? 'always'],
    ['labels', labels.join(' ') || 'none'],
    [
      'breaker',
      breaker.reason === undefined
        ? BREAKERS[breaker.state]
        : `${BREAKERS[breaker.state]} (${breaker.reason})`,
    ],
    ...(error === undefined ? [] : [['last look', error] as const]),
    // Without an agent there is nothing to add to what the house knows.
    ...(heard === undefined || heard.agent === 'none' ? [] : hardwareLines(heard, systemClock.now(), bars)),
  ]
  say(plain(`${name}${node.simulated ? ' (simulated)' : ''}`))
  for (const [what, held] of lines) say(plain(`  ${what.padEnd(11)}${held}`))
  say()
  sayTable(
    replicas,
    [
      { name: 'MODEL', cell: ({ model }) => model },
      { name: 'STATE', cell: ({ state }) => state },
      { name: 'SIZE', right: true, cell: ({ sizeBytes }) => sizeOf(sizeBytes) },
      { name: 'CONTEXT', right: true, cell: ({ contextLength = '' }) => String(contextLength) },
      { name: 'RUNNING', right: true, cell: ({ running }) => String(running) },
    ],
    'It has no models.',
  )
}

async function add(client: Client, given: Given, text: string): Promise<void> {
  const body = wish(given, text)
  const node = await client.ask<Whole>('/quipu/nodes', { method: 'POST', body })
  if (given.switches.has('json')) return sayJson(node)
  const { name, standing, version, models, error } = node
  if (standing === 'joining' || standing === 'down') {
    const why = error === undefined ? '' : ` (${error})`
    return say(plain(`${name} is registered, but has not answered yet${why}; the house goes on asking`))
  }
  say(plain(`${name} is ${standing}: Ollama ${version}, ${countOf(models.present, 'model')}`))
}

/** URL[,name=…][,slots=…], as --node of serve has it; an option of its own wins. */
function wish(given: Given, text: string): object {
  let spec: ReturnType<typeof nodeSpec>
  try {
    spec = nodeSpec(text)
  } catch (error) {
    throw misused(`nodes add: ${(error as Error).message}`)
  }
  const name = textOf(given, 'name') ?? spec.name
  const slots = wholeOf(given, 'slots') ?? spec.slots
  const residentMax = wholeOf(given, 'resident') ?? spec.residentMax
  const weight = readAs(given, 'weight', weightOf) ?? spec.weight
  const hours = readAs(given, 'hours', hoursOf) ?? spec.hours
  const labels = Object.fromEntries(
    listOf(given, 'label').map(label => {
      const [, key, value] = /^([^=]+)=(.*)$/s.exec(label) ?? []
      if (key === undefined) throw misused(`--label: "${label}" is not KEY=VALUE`)
      return [key, value]
    }),
  )
  return { url: spec.url, name, slots, residentMax, weight, hours, labels: { ...spec.labels, ...labels } }
}

function readAs<T>(given: Given, name: string, read: (text: string) => T): T | undefined {
  const text = textOf(given, name)
  try {
    return text === undefined ? undefined : read(text)
  } catch (error) {
    throw misused(`--${name}: ${(error as Error).message}`)
  }
}

async function turn(
  client: Client,
  { switches }: Given,
  path: string,
  words: (node: Whole) => string,
): Promise<void> {
  const node = await client.ask<Whole>(path, { method: 'POST' })
  if (switches.has('json')) return sayJson(node)
  say(plain(words(node)))
}

/** What `quipu nodes drain` and `resume` say, and `top` says at its foot. */
export function turned(
  deed: 'drain' | 'resume',
  name: string,
  { standing, running }: Pick<Whole, 'standing' | 'running'>,
): string {
  if (deed === 'resume') {
    return standing === 'up'
      ? `${name} gets work again`
      : `${name} will get work again as soon as it is up (it is ${standing})`
  }
  return running === 0
    ? `${name} is ${standing}`
    : `${name} gets nothing new; ${countOf(running, 'request')} still run there`
}

async function remove(client: Client, { switches }: Given, name: string): Promise<void> {
  const gone = await client.ask<Told<typeof NodeGone>>(pathOf(name), { method: 'DELETE' })
  if (switches.has('json')) return sayJson(gone)
  const back = 'until its agent attaches again: end that there, or send it away with quipu pki revoke'
  say(plain(gone.returns ? `${gone.name} is forgotten ${back} ${gone.name}` : `${gone.name} is forgotten`))
}
