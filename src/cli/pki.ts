/** `quipu pki`: the house's authority, and whose agents may come. */
import { hostname } from 'node:os'
import { systemClock } from '../clock.ts'
import { durationMs, readConfig } from '../config.ts'
import type { AgentRow, InvitedAgent } from '../gateway/schema/agents.ts'
import type { Told } from '../gateway/schema/words.ts'
import { certificateIn, keyIn, makeAuthority, pkiIn } from '../pki/authority.ts'
import { clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { durationOf, timeOf } from './quantities.ts'
import { houseOptions, told } from './settings.ts'
import { type Column, sayTable } from './table.ts'
import { plain, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

type Row = Told<typeof AgentRow>
type Invited = Told<typeof InvitedAgent>

export const pki: Verb = {
  usage: ['pki init', 'pki invite NODE', 'pki [ls]', 'pki revoke NODE'],
  about:
    'A house and the agents of its nodes know each other by certificates of an authority of the house’s own. `init` makes ' +
    'it, once, in the data folder; it is never written over, and a house that runs takes it up when it is started anew. ' +
    '`invite` has a running house make a token for a node, and prints what to run there; the token is shown this once. ' +
    '`ls` lists who may come, and until when. `revoke` sends the agent of a node away, at once.',
  options: {
    ttl: { value: 'DURATION', fallback: '1h', sentence: 'invite: how long the token lasts, up to 168h' },
    reason: { value: 'TEXT', fallback: 'asked', sentence: 'revoke: why; it stays in the journal' },
    ...told({ data: 'init: folder of the journal; made when it is not there' }),
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu pki init', 'then start the house with --agents 0.0.0.0:11436'],
    ['quipu pki invite gpu-1', 'and run on the node what it prints'],
    ['quipu pki revoke gpu-1 --reason "sold"', 'its lines end, and its certificate is worth nothing'],
  ],
  wordsMax: 2,
  async run(given) {
    const asked = given.words.length === 0 ? ['ls'] : given.words
    const { name, deed, words } = deedIn(deeds, asked, { verb: 'pki' })
    for (const [flag, goesWith] of Object.entries(ALONE)) {
      if (given.flags[flag] !== undefined && goesWith !== name)
        throw misused(`--${flag} goes with pki ${goesWith}`)
    }
    await deed.run(given, words[0] ?? '')
  },
}

const ALONE: Readonly<Record<string, string>> = { ttl: 'invite', reason: 'revoke', data: 'init' }

interface Deed {
  readonly words: readonly string[]
  readonly run: (given: Given, node: string) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  init: { words: [], run: init },
  invite: { words: ['NODE'], run: invite },
  ls: { words: [], run: list },
  revoke: { words: ['NODE'], run: revoke },
}

async function init({ flags, switches }: Given): Promise<void> {
  const dir = pkiIn(readConfig(flags).data)
  const { fingerprint, until } = await makeAuthority(dir, systemClock)
  if (switches.has('json')) return sayJson({ dir, fingerprint, until })
  say(plain(`made         ${certificateIn(dir)}`))
  say(plain(`its key      ${keyIn(dir)}; keep it as secret as the journal, and in its copies`))
  say(plain(`fingerprint  ${fingerprint}`))
  say(plain(`until        ${timeOf(until)}`))
  say()
  say('Start the house with --agents 0.0.0.0:11436, then invite each node: quipu pki invite NODE')
}

async function invite(given: Given, node: string): Promise<void> {
  const client = clientOf(given)
  const ttl = textOf(given, 'ttl')
  const body = { node, ...(ttl !== undefined && { ttlMs: ttlOf(ttl) }) }
  const invited = await client.ask<Invited>('/quipu/agents', { method: 'POST', body })
  const house = reachable(invited.house, client.url)
  if (given.switches.has('json')) return sayJson({ ...invited, house })
  const left = durationOf(invited.until - systemClock.now())
  say(plain(`Run this on ${node} within ${left}. It works once, and nobody is shown it again:`))
  say()
  say(plain(`  quipu agent join --house ${house} --token ${invited.token}`))
  say()
  say('If the node knows this machine by another name or address, put that after --house.')
}

function ttlOf(text: string): number {
  try {
    return durationMs(text)
  } catch (error) {
    throw misused(`--ttl: ${(error as Error).message}`)
  }
}

/** A house that listens at every address of its machine is reached by the one that we have reached it at, or its name. */
function reachable(listens: string, url: string): string {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(listens) ?? []
  if (!/^(0\.0\.0\.0|\[?::\]?)$/.test(host)) return listens
  const ours = new URL(url).hostname
  return `${/^(localhost|127\..*|\[::1\])$/.test(ours) ? hostname() : ours}:${port}`
}

const columns: readonly Column<Row>[] = [
  { name: 'NODE', cell: ({ node }) => node },
  {
    name: 'STATE',
    cell: ({ state, reason }) => (reason === undefined ? state : `${state} (${reason})`),
    tint: ({ state }) =>
      ({ trusted: 'green', invited: 'yellow', expired: 'red', revoked: 'red' })[state] as never,
  },
  { name: 'SINCE', cell: ({ since }) => timeOf(since) },
  { name: 'UNTIL', cell: ({ certificate }) => (certificate === undefined ? '' : timeOf(certificate.until)) },
  { name: 'SERIAL', cell: ({ certificate }) => certificate?.serial ?? '' },
  {
    name: 'TOKEN',
    cell: ({ invitation }) =>
      invitation === undefined ? '' : invitation.expired ? 'expired' : `until ${timeOf(invitation.until)}`,
  },
]

async function list(given: Given): Promise<void> {
  const rows = await clientOf(given).ask<readonly Row[]>('/quipu/agents')
  if (given.switches.has('json')) return sayJson(rows)
  sayTable(rows, columns, 'No agent was invited yet. Do that with: quipu pki invite NODE')
}

async function revoke(given: Given, node: string): Promise<void> {
  const reason = textOf(given, 'reason')
  const row = await clientOf(given).ask<Row>(`/quipu/agents/${encodeURIComponent(node)}/revoke`, {
    method: 'POST',
    body: reason === undefined ? {} : { reason },
  })
  if (given.switches.has('json')) return sayJson(row)
  say(
    plain(
      `${node} is sent away, and its certificate worth nothing. It comes back with: quipu pki invite ${node}`,
    ),
  )
}
