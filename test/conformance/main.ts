/**
 * `npm run conformance -- --url URL --model M --embed E [options]`: one line a check, exit code 1 if any promise of
 * Ollama's is broken.
 */
import { parseArgs } from 'node:util'
import { conform, type Result } from './conform.ts'
import { dyingAt } from './simulated.ts'

const USAGE = `usage: npm run conformance -- --url URL --model M --embed E [options]

  --url URL         the server under test; its host should be a loopback address (67)
  --model M         a small completion model without tools and thinking, present
  --embed E         a small embedding model, present
  --absent N        a name that is nowhere           (conformance-absent)
  --pull N          a name the registry serves; it is pulled and deleted   (conformance-pulled:latest)
  --no-registry     the server reaches no registry: skip what pulls
  --max-queue Q     the server's OLLAMA_MAX_QUEUE    (512)
  --sim-url URL     a simulated node under test or behind the server (may be repeated): its runner is killed (73)
  --cli PATH        a real ollama binary (75)
  --key KEY         sent as a bearer token
  --deadline MS     longest time for one check       (20000)
  --only 12,30-40   only these checks
  --json            results as one JSON array
`

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    model: { type: 'string' },
    embed: { type: 'string' },
    absent: { type: 'string' },
    pull: { type: 'string' },
    'no-registry': { type: 'boolean' },
    'max-queue': { type: 'string' },
    'sim-url': { type: 'string', multiple: true },
    cli: { type: 'string' },
    key: { type: 'string' },
    deadline: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
const { url, model, embed, absent, pull, cli, key } = values
if (values.help || url === undefined || model === undefined || embed === undefined) {
  console.error(USAGE)
  process.exit(values.help ? 0 : 2)
}

const results = await conform({
  url,
  model,
  embed,
  registry: !values['no-registry'],
  ...(absent !== undefined && { absent }),
  ...(pull !== undefined && { pull }),
  ...(cli !== undefined && { cli }),
  ...(key !== undefined && { key }),
  ...(values['sim-url'] && { dying: dyingAt(values['sim-url']) }),
  ...(values['max-queue'] !== undefined && { maxQueue: Number(values['max-queue']) }),
  ...(values.deadline !== undefined && { deadlineMs: Number(values.deadline) }),
  ...(values.only !== undefined && { only: numbers(values.only) }),
  ...(!values.json && { onResult: result => console.log(line(result)) }),
})
const count = (outcome: Result['outcome']) => results.filter(result => result.outcome === outcome).length
if (values.json) console.log(JSON.stringify(results, null, 2))
else console.log(`\n${count('ok')} ok, ${count('failed')} failed, ${count('skipped')} skipped`)
process.exitCode = count('failed') > 0 ? 1 : 0

function line({ number, promise, outcome, reason, expected, got }: Result): string {
  const first = `${outcome === 'failed' ? 'FAIL' : outcome === 'ok' ? 'ok  ' : 'skip'} ${String(number).padStart(2)} ${promise}`
  if (outcome === 'ok') return first
  if (expected === undefined) return `${first}\n        ${reason}`
  return `${first}\n        ${reason}\n        expected ${expected}\n        got      ${got}`
}

/** `12,30-40` → 12, 30, 31, … 40 */
function numbers(text: string): number[] {
  return text.split(',').flatMap(part => {
    const [from, to = from] = part.split('-').map(Number)
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i)
  })
}
