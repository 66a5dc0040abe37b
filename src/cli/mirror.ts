/** `quipu mirror`: how far the copy in Kafka has come, and what is in its way. */
import type { Mirror } from '../gateway/schema/journal.ts'
import type { Told } from '../gateway/schema/words.ts'
import { clientOf } from './client.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { plain, say, sayJson, type Tint, tinted } from './terminal.ts'
import { jsonOption, type Verb } from './verb.ts'

type Row = Told<typeof Mirror>

export const mirror: Verb = {
  usage: ['mirror'],
  about:
    'Shows how far the copy of the journal in Kafka has come, how many facts it lacks and since when, and what is in its ' +
    'way. The house goes on without it, and copies what it lacks when Kafka is back.',
  options: { ...houseOptions, ...jsonOption },
  examples: [['quipu mirror --json | jq .lagFacts', 'how many facts are not in Kafka']],
  async run(given) {
    const row = await clientOf(given).ask<Row>('/quipu/mirror')
    if (given.switches.has('json')) return sayJson(row)
    if (row.state === 'off') return say('There is no mirror: this house was started without --kafka.')
    for (const line of linesOf(row)) say(line)
  },
}

const TINTS: Readonly<Partial<Record<Row['state'], Tint>>> = {
  live: 'green',
  waiting: 'yellow',
  stopped: 'red',
}

function linesOf(row: Row): string[] {
  const { state, since, topic, brokers, partition, journal, mirrored, durable } = row
  const { lagFacts, lagMs, sent, opened, trouble, warnings } = row
  const tint = TINTS[state]
  const where = partition === undefined ? '' : `, partition ${partition}`
  const missing = lagFacts === 0 ? 'nothing' : `${countOf(lagFacts, 'fact')}, for ${durationOf(lagMs)}`
  return [
    `state    ${tint === undefined ? state : tinted(tint, state)}, since ${timeOf(since)}`,
    `topic    ${plain(topic ?? '')}${where}, at ${plain(brokers?.join(', ') ?? '')}`,
    `journal  ${journal}`,
    `there    ${mirrored === undefined ? 'not known yet' : `up to fact ${mirrored}`}, of ${durable}`,
    `missing  ${missing}`,
    `sent     ${countOf(sent, 'fact')} since the house began, over ${countOf(opened, 'connection')}`,
    ...(trouble === undefined
      ? []
      : [`trouble  ${plain(trouble.message)} (${trouble.code}; ${countOf(trouble.tries, 'try', 'tries')})`]),
    ...warnings.map(line => `warning  ${plain(line)}`),
  ]
}
