/** `quipu journal`: the facts of a running house, page by page. */
import type { Index } from '../gateway/schema/house.ts'
import type { Told } from '../gateway/schema/words.ts'
import type { Entry } from '../journal/journal.ts'
import { type Client, clientOf } from './client.ts'
import { factLine } from './facts.ts'
import { houseOptions } from './settings.ts'
import { fitted, remark, say } from './terminal.ts'
import { misused, textOf, type Verb, wholeOf } from './verb.ts'

const LIMIT = 50
/** As many as the house gives at once. */
const PAGE_FACTS = 10_000

export const journal: Verb = {
  usage: ['journal'],
  about:
    'Prints facts from the journal of a running house, oldest first, one a line: the last ones, or those after a seq.',
  options: {
    after: {
      value: 'SEQ',
      fallback: 'the last ones',
      sentence: 'begin after this fact; 0 begins with the first',
    },
    limit: { value: 'N|all', fallback: String(LIMIT), sentence: 'how many at most' },
    ...houseOptions,
    json: { sentence: 'print each fact as JSON, one a line' },
  },
  examples: [
    ['quipu journal', `the last ${LIMIT} facts`],
    ['quipu journal --after 0 --limit all --json > facts.ndjson', 'all of them, for another program'],
  ],
  async run(given) {
    const client = clientOf(given)
    const limit =
      textOf(given, 'limit') === 'all' ? Number.POSITIVE_INFINITY : (wholeOf(given, 'limit') ?? LIMIT)
    if (limit === 0) throw misused('--limit: at least 1, or all')
    const json = given.switches.has('json')
    const { durable } = (await client.ask<Told<typeof Index>>('/quipu')).journal
    const after = wholeOf(given, 'after') ?? Math.max(0, durable - limit)
    const until = Math.min(durable, after + limit)
    for await (const line of facts(client, after, until)) {
      say(json ? line : fitted(factLine(JSON.parse(line) as Entry)))
    }
    if (json) return
    if (durable === 0) say('The journal is empty.')
    else if (after >= durable) remark(`the journal ends at fact ${durable}`)
    else if (until < durable) remark(`next: quipu journal --after ${until} --limit ${limit}`)
  },
}

async function* facts(client: Client, after: number, until: number): AsyncGenerator<string> {
  for (let from = after; from < until; from += PAGE_FACTS) {
    const query = { after: from, limit: Math.min(PAGE_FACTS, until - from) }
    for await (const line of client.lines('/quipu/journal', { query })) if (line !== '') yield line
  }
}
