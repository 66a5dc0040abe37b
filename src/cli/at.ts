/** `quipu at`: nodes, models, queue and settings as they were at some moment. */
import type { PolicyData } from '../../machines/policy.ts'
import { MOMENTS, momentText, pastOptions, stateAt, type Then } from './past.ts'
import { countOf, durationOf, sizeOf, timeOf } from './quantities.ts'
import { sayTable } from './table.ts'
import { say, sayJson, tinted } from './terminal.ts'
import { jsonOption, misused, type Verb } from './verb.ts'

const sections: Readonly<Record<string, (then: Then) => void>> = {
  nodes: sayNodes,
  models: sayModels,
  queue: sayQueue,
  config: sayConfig,
}

export const at: Verb = {
  usage: ['at MOMENT [nodes|models|queue|config]'],
  about:
    'Tells what the house looked like at a moment of its past: its nodes, its models and who had them, who ran and who ' +
    `waited, which settings and policies people had set; or one of these. ${MOMENTS} The house reads its journal up to ` +
    'there, from the nearest snapshot on.',
  options: { ...pastOptions, ...jsonOption },
  examples: [
    ['quipu at "2026-11-21 14:03"', 'everything, as it was then'],
    ['quipu at -10m queue', 'who ran and who waited ten minutes ago'],
    ['quipu at 1290 nodes --data /var/lib/quipu', 'the nodes right after a fact, without asking a house'],
  ],
  wordsMax: 2,
  async run(given) {
    const [moment, section] = given.words
    if (moment === undefined) throw misused('at needs a moment, such as 14:03 or -10m')
    const wanted = section === undefined ? Object.keys(sections) : [section]
    if (wanted.some(name => !Object.hasOwn(sections, name))) {
      throw misused(`there is no "${section}"; there are ${Object.keys(sections).join(', ')}`)
    }
    const then = await stateAt(given, moment)
    if (given.switches.has('json')) return sayJson(then)
    say(tinted('bold', momentText(then.moment)))
    for (const name of wanted) {
      say()
      sections[name]!(then)
    }
  },
}

/** How long before the moment. */
function ago({ moment: { at, factAt } }: Then, since: number): string {
  return durationOf(Math.max(0, (at ?? factAt) - since))
}

function sayNodes(then: Then): void {
  sayTable(
    then.nodes,
    [
      { name: 'NODE', cell: ({ name }) => name },
      {
        name: 'STANDING',
        cell: ({ standing, loss, throttled }) => {
          if (loss !== undefined) return `${standing} (${loss.reason})`
          return throttled === undefined ? standing : `${standing}, throttled (${throttled})`
        },
        tint: ({ standing }) => (standing === 'up' ? undefined : standing === 'down' ? 'red' : 'yellow'),
      },
      { name: 'FOR', right: true, cell: ({ since }) => ago(then, since) },
      {
        name: 'BREAKER',
        cell: ({ breaker }) => (breaker === 'halfOpen' ? 'half open' : breaker),
        tint: ({ breaker }) => (breaker === 'closed' ? undefined : 'red'),
      },
      { name: 'RUNNING', right: true, cell: ({ running }) => String(running) },
      { name: 'SLOTS', right: true, cell: ({ slots }) => String(slots) },
      {
        name: 'IN MEMORY',
        cell: ({ resident, loading }) =>
          [...resident, ...loading.map(model => `${model} (loading)`)].join(', ') || '-',
      },
      { name: 'VERSION', cell: ({ version }) => version || '-' },
      { name: 'URL', cell: ({ url, simulated }) => (simulated ? `${url} (simulated)` : url) },
    ],
    'There were no nodes.',
  )
}

function sayModels({ models }: Then): void {
  sayTable(
    models,
    [
      { name: 'MODEL', cell: ({ name }) => name },
      { name: 'SIZE', right: true, cell: ({ sizeBytes }) => sizeOf(sizeBytes) },
      { name: 'RUNNING', right: true, cell: ({ running }) => String(running) },
      { name: 'WAITING', right: true, cell: ({ waiting }) => String(waiting) },
      {
        name: 'WHERE',
        cell: ({ nodes }) =>
          nodes
            .map(({ node, state, variant }) => {
              const how = [WHERE[state], variant].filter(Boolean).join(', ')
              return how === '' ? node : `${node} (${how})`
            })
            .join(', '),
      },
    ],
    'No node had a model.',
  )
}

const WHERE = { present: '', loading: 'loading', resident: 'in memory' } as const

function sayQueue(then: Then): void {
  const { waiting, running, requests } = then.queue
  say(`${countOf(running, 'request')} ran, ${countOf(waiting)} waited.`)
  if (requests.length === 0) return
  sayTable(requests, [
    { name: 'REQUEST', cell: ({ id }) => id },
    {
      name: 'STATE',
      cell: ({ state, position }) => (position === undefined ? state : `queued, ${position}. in line`),
    },
    { name: 'MODEL', cell: ({ model }) => model },
    { name: 'CLIENT', cell: ({ client }) => client },
    { name: 'CLASS', cell: row => (row.job ? `${row.class} job` : row.class) },
    { name: 'PRIORITY', right: true, cell: ({ priority }) => String(priority) },
    { name: 'CAME', right: true, cell: ({ admittedAt }) => `${ago(then, admittedAt)} before` },
    { name: 'NODE', cell: ({ node = '-' }) => node },
    {
      name: 'RAN FOR',
      right: true,
      cell: ({ assignedAt }) => (assignedAt === undefined ? '-' : ago(then, assignedAt)),
    },
  ])
  if (requests.length < waiting + running) say(`… and ${countOf(waiting + running - requests.length)} more.`)
}

function sayConfig({ settings, policies }: Then): void {
  sayTable(
    settings,
    [
      { name: 'SETTING', cell: ({ name }) => name },
      { name: 'VALUE', cell: ({ value }) => value },
      { name: 'SET', cell: ({ setAt }) => (setAt === undefined ? '-' : timeOf(setAt)) },
      { name: 'BY', cell: ({ by = '-' }) => by },
    ],
    'Nothing was set while the house ran; flags, variables and defaults of that start held, which no fact tells.',
  )
  say()
  sayTable(
    policies,
    [
      { name: 'POLICY OF', cell: ({ model }) => model },
      { name: 'SAYS', cell: ({ policy }) => policyText(policy as PolicyData) },
      { name: 'SET', cell: ({ setAt }) => timeOf(setAt) },
      { name: 'BY', cell: ({ by = '-' }) => by },
    ],
    'No model had a policy.',
  )
}

function policyText(policy: PolicyData): string {
  const said = Object.entries(policy).map(([name, value]) => {
    if (Array.isArray(value)) return `${name} ${value.join('+')}`
    if (typeof value !== 'object') return `${name} ${value}`
    const labels = Object.entries(value as Record<string, string>)
    return `${name} ${labels.map(([key, held]) => `${key}=${held}`).join('+')}`
  })
  return said.join(', ') || 'nothing'
}
